//! `/connz`.

use std::collections::HashMap;
use std::time::Duration;

use api::monitoring::{ConnectionInfo, Connz, Proxy};
use broker::{ConnectionKey, Hub, Note, Step, SubscriptionFacts};
use moment::{GoDuration, Timestamp};
use tokio::sync::mpsc;

use super::rows::{End, Row, Sort, State};
use super::subsz::detail;
use super::{PAGE_MAX, SUBSCRIPTIONS_SHOWN_MAX, some};
use crate::answer::Answer;
use crate::clock;
use crate::pages::House;
use crate::query::{Fault, Page, Query, Subscriptions};

/// How long workers have to list subscriptions. Connections whose worker is later are shown without.
const LISTING_TIME_MAX: Duration = Duration::from_secs(1);

/// The account that has no name for people.
const GLOBAL: &str = "$G";

/// What is asked for.
struct Wish {
    sort: Sort,
    state: State,
    page: Page,
    subscriptions: Subscriptions,
    auth: bool,
    id: u64,
    user: String,
    account: String,
    mqtt_client: String,
}

impl Wish {
    fn read(query: &Query) -> Result<Self, Fault> {
        let auth = query.flag("auth")?;
        let subscriptions = query.subscriptions()?;
        let mut page = query.page()?;
        let id = query.number("cid")?;
        let state = State::parse(query.text("state"))?;
        let sort = Sort::parse(query.text("sort"), state)?;
        if id > 0 {
            page.limit = 1;
        }
        let [user, account, mqtt_client] = ["user", "acc", "mqtt_client"].map(|name| query.text(name).to_owned());
        Ok(Self { sort, state, page, subscriptions, auth, id, user, account, mqtt_client })
    }
}

impl House {
    pub(super) async fn connz(&self, query: &Query) -> Result<Answer, Fault> {
        let wish = Wish::read(query)?;
        let now = clock::now();
        let mut connz = Connz {
            server_id: self.server_id(),
            now: now.to_string(),
            offset: wish.page.offset,
            limit: wish.page.limit,
            ..Connz::default()
        };
        if !wish.account.is_empty() && self.hub.directory().account(&wish.account).is_none() {
            connz.server_id = String::new();
            return Ok(Answer::document(&connz));
        }
        let mut rows = self.rows(&wish);
        connz.total = rows.len();
        rows.retain(|row| wish.id == 0 || row.id == wish.id);
        rows.retain(|row| wish.user.is_empty() || *row.facts.user == *wish.user);
        // No connection here speaks MQTT.
        rows.retain(|_| wish.mqtt_client.is_empty());
        wish.sort.apply(&mut rows, now);
        let rows = wish.page.of(rows, PAGE_MAX);
        let listed = match wish.subscriptions {
            Subscriptions::None => HashMap::new(),
            _ => list_subscriptions(&self.hub, &rows).await,
        };
        let infos: Vec<_> = rows.iter().map(|row| info(row, &wish, listed.get(&row.id), now)).collect();
        connz.num_connections = infos.len();
        connz.connections = Some(infos);
        Ok(Answer::document(&connz))
    }

    /// The connections of the state and account that are asked for.
    fn rows(&self, wish: &Wish) -> Vec<Row> {
        let ledger = self.hub.ledger();
        let mut rows = Vec::new();
        if wish.state != State::Closed {
            rows.extend(self.hub.connections().iter().map(|registered| Row::open(registered, ledger)));
        }
        if wish.state != State::Open {
            rows.extend(ledger.closed().iter().map(|closed| Row::closed(closed, ledger)));
        }
        rows.retain(|row| wish.account.is_empty() || row.account.as_deref() == Some(&wish.account));
        rows
    }
}

/// Asks the workers for the subscriptions of these connections.
async fn list_subscriptions(hub: &Hub, rows: &[Row]) -> HashMap<u64, Vec<SubscriptionFacts>> {
    let (sender, mut answers) = mpsc::unbounded_channel();
    for row in rows {
        if let End::Open(key) = row.end {
            hub.tell(key, ask(key, sender.clone()));
        }
    }
    // From here on the channel ends when every question was answered, or dropped with its connection.
    drop(sender);
    let mut listed = HashMap::new();
    let mut shown = 0;
    let end = tokio::time::Instant::now() + LISTING_TIME_MAX;
    while let Ok(Some((id, list))) = tokio::time::timeout_at(end, answers.recv()).await {
        let list: Vec<SubscriptionFacts> = list;
        if list.len() <= SUBSCRIPTIONS_SHOWN_MAX - shown {
            shown += list.len();
            listed.insert(id, list);
        }
    }
    listed
}

fn ask(key: ConnectionKey, sender: mpsc::UnboundedSender<(u64, Vec<SubscriptionFacts>)>) -> Note {
    Note::Do(
        key,
        Box::new(move |hands| {
            // Nobody listens any more when the time was up.
            let _ = sender.send((key.id, hands.connection().subscriptions()));
            Step::Continue
        }),
    )
}

fn info(row: &Row, wish: &Wish, listed: Option<&Vec<SubscriptionFacts>>, now: Timestamp) -> ConnectionInfo {
    let (stop, reason) = match row.end {
        End::Open(_) => (None, None),
        End::Closed(at, reason) => (Some(at), Some(reason)),
    };
    let end = stop.unwrap_or(now);
    let numbers = &row.numbers;
    let mut info = ConnectionInfo {
        cid: row.id,
        kind: "Client",
        kind_of_client: "nats",
        ip: row.address.ip().to_canonical().to_string(),
        port: row.address.port(),
        start: row.start.to_string(),
        last_activity: row.last_activity.to_string(),
        stop: stop.map(|at| at.to_string()),
        reason,
        rtt: GoDuration(i64::try_from(numbers.rtt).unwrap_or(i64::MAX)).to_string(),
        uptime: clock::span(row.start, end),
        idle: clock::span(row.last_activity, end),
        pending_bytes: row.pending_bytes,
        in_msgs: numbers.in_msgs,
        out_msgs: numbers.out_msgs,
        in_bytes: numbers.in_bytes,
        out_bytes: numbers.out_bytes,
        subscriptions: numbers.subscriptions,
        name: row.facts.name.clone(),
        lang: row.facts.lang.clone(),
        version: row.facts.version.clone(),
        proxy: row.facts.proxy.as_ref().map(|key| Proxy { key: key.to_string() }),
        ..ConnectionInfo::default()
    };
    if wish.auth {
        introduce(&mut info, row);
    }
    if let Some(list) = listed {
        show_subscriptions(&mut info, list, wish.subscriptions);
    }
    info
}

/// Who the connection is. What it showed to prove that is nobody's business: a user JWT may be all it takes to log in.
fn introduce(info: &mut ConnectionInfo, row: &Row) {
    info.authorized_user = some(&row.facts.user);
    info.account = row.account.clone().filter(|account| account != GLOBAL);
    info.name_tag = row.account.clone();
    if let Some(claims) = &row.facts.claims {
        info.issuer_key = Some(claims.issuer.to_string());
        info.name_tag = some(&claims.account_name).or(info.name_tag.take());
        info.tags = claims.tags.clone();
    }
}

fn show_subscriptions(info: &mut ConnectionInfo, list: &[SubscriptionFacts], how: Subscriptions) {
    match how {
        Subscriptions::None => {}
        Subscriptions::Names => info.subscriptions_list = list.iter().map(|facts| facts.filter.to_string()).collect(),
        Subscriptions::Details => {
            info.subscriptions_list_detail = list.iter().map(|facts| detail(facts, None)).collect();
        }
    }
}
