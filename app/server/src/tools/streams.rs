//! Who can read a stream, and by which of the ways there are. A stream's messages leave it by requests to the JetStream API,
//! so it is the right to publish those that opens a way; which of the rules about subscribing narrow or close it is the
//! server's `subscribe_permissions` (ADR 17).

use std::sync::Arc;

use account::{Account, ServiceImport};
use auth::{Directory, Permissions, Reach, Reading};
use subject::Filter;

use super::abroad::View;

/// One way of reading: what it is, and the request it takes.
struct WayOut {
    what: &'static str,
    request: &'static str,
    takes: Takes,
}

/// What leaves the stream by a way: for ADR 17 that makes a difference, as a copy no longer bears the name that is denied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Messages, each by its name: what is denied is withheld.
    Messages,
    /// All of the stream: refused if anything of it is denied.
    Everything,
}

const fn messages(what: &'static str, request: &'static str) -> WayOut {
    WayOut { what, request, takes: Takes::Messages }
}

const fn everything(what: &'static str, request: &'static str) -> WayOut {
    WayOut { what, request, takes: Takes::Everything }
}

/// The ways out of a stream. `%` stands for its name. The last ones make another stream that takes its messages from this one:
/// they name it in their body.
const WAYS: [WayOut; 9] = [
    messages("get one message", "$JS.API.STREAM.MSG.GET.%"),
    messages("get messages directly", "$JS.API.DIRECT.GET.%"),
    messages("get the last message of a subject directly", "$JS.API.DIRECT.GET.%.>"),
    messages("make a consumer", "$JS.API.CONSUMER.CREATE.%.>"),
    messages("make a durable consumer", "$JS.API.CONSUMER.DURABLE.CREATE.%.>"),
    messages("ask a consumer for messages", "$JS.API.CONSUMER.MSG.NEXT.%.>"),
    everything("take a snapshot", "$JS.API.STREAM.SNAPSHOT.%"),
    everything("make a stream that mirrors or sources it", "$JS.API.STREAM.CREATE.>"),
    everything("make an existing stream source it", "$JS.API.STREAM.UPDATE.>"),
];

/// A way that a user's right to publish opens.
pub struct Way {
    pub what: String,
    pub request: String,
    /// How much of it is open.
    pub reach: Reach,
    /// Which rule about subscribing narrows or closes it.
    pub because: Option<String>,
}

/// Which stream is asked about, and what binds its readers.
pub struct Asked<'a> {
    pub home: &'a Arc<Account>,
    pub stream: &'a str,
    /// What the stream keeps, where that was said.
    pub subjects: Option<Filter>,
    pub view: &'a View,
}

/// What one user can do to read the stream.
pub struct Reader {
    pub account: String,
    pub user: String,
    /// Those that are closed by a rule about subscribing included.
    pub ways: Vec<Way>,
}

/// Every configured user that has a way to read the stream of this account, over service imports, too.
pub fn readers(directory: &Directory, asked: &Asked<'_>) -> Vec<Reader> {
    let mut users: Vec<&str> = directory.user_names().collect();
    users.sort_unstable();
    let reader = |user: &str| {
        let (account, permissions) = directory.permissions_of(user)?;
        let ways: Vec<_> = if account.name == asked.home.name {
            let reading = asked.view.reading(user, permissions);
            WAYS.iter().filter_map(|way| own(permissions, reading.as_ref(), way, asked)).collect()
        } else {
            let imports = account.sharing.services.iter().filter(|import| *import.exporter() == asked.home.name);
            let over = |import| WAYS.iter().filter_map(move |way| imported(permissions, import, way, asked.stream));
            imports.flat_map(|import| over(&**import)).collect()
        };
        let (account, user) = (account.name.to_string(), user.to_owned());
        ways.iter().any(|way: &Way| way.reach > Reach::Nothing).then_some(Reader { account, user, ways })
    };
    users.into_iter().filter_map(reader).collect()
}

fn own(permissions: &Permissions, reading: Option<&Reading>, way: &WayOut, asked: &Asked<'_>) -> Option<Way> {
    let request = way.request.replace('%', asked.stream);
    let opened = permissions.publish_reach(&Filter::parse(request.as_bytes()).ok()?);
    if opened == Reach::Nothing {
        return None;
    }
    let (read, because) = reading.map_or((Reach::All, None), |reading| bound(reading, way.takes, asked));
    Some(Way { what: way.what.to_owned(), request, reach: opened.min(read), because })
}

/// What the rules about subscribing leave of a way. Without a word about what the stream keeps nothing is closed for certain.
fn bound(reading: &Reading, takes: Takes, asked: &Asked<'_>) -> (Reach, Option<String>) {
    let everything: Filter = ">".parse().expect("it is a filter");
    let filter = asked.subjects.as_ref().unwrap_or(&everything);
    let judged = match takes {
        Takes::Messages => reading.read(filter),
        Takes::Everything => reading.read_all(filter),
    };
    match judged {
        Err(denial) if asked.subjects.is_some() => (Reach::Nothing, Some(denial.because.to_string())),
        Err(denial) => (Reach::Part, Some(denial.because.to_string())),
        Ok(()) => match reading.withholding(filter).as_slice() {
            [] => (Reach::All, None),
            rules => {
                let rules: Vec<_> = rules.iter().map(|rule| format!("deny {rule}")).collect();
                (Reach::Part, Some(format!("withheld: {}", rules.join(", "))))
            }
        },
    }
}

/// The same over an import: what the user publishes here is a request there. The importer's rules speak of subjects of another
/// account, and do not bind what is read.
fn imported(permissions: &Permissions, import: &ServiceImport, way: &WayOut, stream: &str) -> Option<Way> {
    let request = Filter::parse(way.request.replace('%', stream).as_bytes()).ok()?;
    if !import.subject().overlaps(&request) {
        return None;
    }
    // What keeps its name is asked by it; of what is renamed, all that leads there.
    let keeps = import.local() == import.subject();
    let asked = if keeps && import.subject().covers(&request) { &request } else { import.local() };
    let opened = permissions.publish_reach(asked);
    let reach = if import.subject().covers(&request) { opened } else { opened.min(Reach::Part) };
    let what = format!("{}, over the import of {} from {}", way.what, import.subject(), import.exporter());
    (reach > Reach::Nothing).then(|| Way { what, request: asked.to_string(), reach, because: None })
}
