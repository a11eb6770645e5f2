//! Who may do what, as a table in the repository. A change of any decision is a change of the file, to be seen in review.
//!
//! After a change that is meant, write it anew with `BULWARK_BLESS=1 cargo test -p bulwark-auth matrix`.

use std::fmt::Write;

use auth::{Action, Attempt, Because, Denial, Directory, Permissions, Refusal, Rule, Verdict, authenticate};
use data_encoding::BASE64URL_NOPAD;
use jwt::chain::UserRefusal;
use jwt::testing::{Chain, NOW, TestAccount};
use testkit::accounts::{Words, attempt, compiled, robot, settings, shop, user};

use crate::{claims, filter, queue, subject};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/matrix.txt");

/// The users of the shop, in the order of its file.
const USERS: [&str; 11] =
    ["owner", "alice", "clerk", "auditor", "worker", "guest", "responder", "narrow", "teller", "vault", "root"];

/// What is tried: the columns.
#[derive(Clone, Copy)]
enum Try {
    Publish(&'static str),
    Reply(&'static str),
    /// To have the server send messages there.
    Deliver(&'static str),
    Subscribe(&'static str),
    Join(&'static str, &'static str),
}

use Try::{Deliver, Join, Publish, Reply, Subscribe};

const COLUMNS: &[Try] = &[
    Publish("orders.created"),
    Publish("users.signup"),
    Publish("a.b"),
    Publish("a.b.c"),
    Publish("admin.stop"),
    Publish("jobs.new"),
    Publish("_INBOX.x"),
    Publish("$JS.API.INFO"),
    Publish("$NRG.V.x"),
    Publish("_GR_.x.y"),
    Publish("$GR.x"),
    Reply("_INBOX.x"),
    Reply("_R_.x"),
    Reply("$JS.ACK.x"),
    Reply("_GR_.x"),
    Deliver("orders.created"),
    Deliver("a.b.c"),
    Deliver("admin.stop"),
    Deliver("jobs.new"),
    Deliver("public.news"),
    Deliver("_INBOX.x.y"),
    Deliver("$NRG.V.x"),
    Deliver("_GR_.x.y"),
    Subscribe(">"),
    Subscribe("*"),
    Subscribe("orders.>"),
    Subscribe("orders.eu.card"),
    Subscribe("orders.*.card"),
    Subscribe("events.>"),
    Subscribe("events.audit.login"),
    Subscribe("a.*"),
    Subscribe("a.>"),
    Subscribe("admin.x"),
    Subscribe("x.secret"),
    Subscribe("jobs.open"),
    Subscribe("jobs.secret"),
    Subscribe("public.news"),
    Subscribe("_INBOX.x.*"),
    Subscribe("svc.add"),
    Join("orders.>", "q"),
    Join("jobs.new", "w1"),
    Join("jobs.new", "w2"),
    Join("jobs.open", "batch.a"),
    Join("jobs.open", "other"),
    Join("jobs.secret", "batch.a"),
    Join("jobs.secret", "batch.b"),
    Join("jobs.>", "batch.b"),
    Join("admin.x", "workers"),
    Join("open", "restricted"),
    Join("open", "_sys_"),
];

impl Try {
    fn title(self) -> String {
        match self {
            Publish(to) => format!("publish {to}"),
            Reply(to) => format!("publish, answer to {to}"),
            Deliver(to) => format!("have sent to {to}"),
            Subscribe(to) => format!("subscribe {to}"),
            Join(to, queue) => format!("subscribe {to} in queue {queue}"),
        }
    }

    /// The rules that withhold something, or why not.
    fn outcome(self, of: &Permissions) -> Result<Vec<Rule>, Denial> {
        match self {
            Publish(to) => of.publish(subject(to)).map(|_| Vec::new()),
            Reply(to) => of.reply(to.as_bytes()).map(|()| Vec::new()),
            Deliver(to) => of.deliver(subject(to), None).map(|()| Vec::new()),
            Subscribe(to) => of.subscribe(filter(to), None).map(|grant| grant.withheld()),
            Join(to, group) => of.subscribe(filter(to), Some(&queue(group))).map(|grant| grant.withheld()),
        }
    }
}

/// Reasons, numbered as they come.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn number(&mut self, text: String) -> usize {
        self.0.iter().position(|note| *note == text).unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        }) + 1
    }
}

fn permissions<'a>(directory: &'a Directory, name: &str) -> (&'a str, &'a Permissions) {
    let (account, permissions) = directory.permissions_of(name).expect("the shop has this user");
    (account.name.as_str(), permissions)
}

fn cell(outcome: Result<Vec<Rule>, Denial>, notes: &mut Notes) -> String {
    match outcome {
        Ok(withheld) if withheld.is_empty() => "+".into(),
        Ok(withheld) => {
            let rules: Vec<String> = withheld.iter().map(ToString::to_string).collect();
            format!("~{}", notes.number(format!("withheld: deny {}", rules.join(", deny "))))
        }
        Err(denial) => format!("-{}", notes.number(denial.because.to_string())),
    }
}

fn everyone(directory: &Directory) -> Vec<(String, &str, &Permissions)> {
    let key = robot().public().to_string();
    let named = USERS.iter().map(|name| ((*name).to_owned(), *name));
    let all = named.chain([("robot".to_owned(), key.as_str())]);
    let row = |(title, name): (String, &str)| {
        let (account, permissions) = permissions(directory, name);
        (title, account, permissions)
    };
    all.map(row).collect()
}

fn table(directory: &Directory) -> String {
    let mut out = String::from(
        "Permissions\n\n+ allowed   ~ allowed, but some subjects are withheld   - denied; the number tells why\n\n",
    );
    for (number, column) in (1..).zip(COLUMNS) {
        writeln!(out, "{number:>3}  {}", column.title()).unwrap();
    }
    let mut notes = Notes::default();
    let numbers: String = (1..=COLUMNS.len()).map(|number| format!("{number:>4}")).collect();
    write!(out, "\n{:<16}{numbers}\n", "").unwrap();
    for (name, account, permissions) in everyone(directory) {
        let cells = COLUMNS.iter().map(|column| format!("{:>4}", cell(column.outcome(permissions), &mut notes)));
        writeln!(out, "{:<16}{}", format!("{account}/{name}"), cells.collect::<String>()).unwrap();
    }
    out.push('\n');
    for (number, note) in (1..).zip(&notes.0) {
        writeln!(out, "{number:>3}  {note}").unwrap();
    }
    out
}

fn with(attempt: Attempt, change: impl FnOnce(&mut Attempt)) -> Attempt {
    let mut attempt = attempt;
    change(&mut attempt);
    attempt
}

fn signed(signature: &str) -> Attempt {
    with(Attempt::silent(auth::ConnectionKind::Standard), |attempt| {
        attempt.nonce = Some(b"nonce".as_slice().into());
        attempt.credentials.nkey = Some(robot().public().to_string());
        attempt.credentials.signature = Some(signature.to_owned()).filter(|text| !text.is_empty());
    })
}

/// Attempts, with where they are made: the rows of the second table.
fn logins() -> Vec<(&'static str, Directory, Attempt)> {
    let shop = || compiled(&shop());
    let silent = || Attempt::silent(auth::ConnectionKind::Standard);
    let good = BASE64URL_NOPAD.encode(&robot().sign(b"nonce"));
    let proxied = |users| {
        let mut settings = settings(vec![("A", users)]);
        settings.trusted_proxies =
            vec![nkeys::KeyPair::from_raw_seed(nkeys::Role::Server, nkeys::Secret::new([9; 32])).public().to_string()];
        compiled(&settings)
    };
    let mut inside = user("inside");
    inside.proxy_required = true;
    let mapped = || {
        let mut settings = settings(vec![("A", vec![user("host")])]);
        settings.certificate_kinds = vec![auth::ConnectionKind::Standard];
        compiled(&settings)
    };
    let token = || {
        let mut settings = auth::settings::Settings::default();
        settings.authorization.token = Some("t".into());
        compiled(&settings)
    };
    let only_websocket = user("web").connects_by(&[auth::ConnectionKind::WebSocket]);
    let dns = |name: &str| Some(vec![auth::CertificateName::Dns(name.into())]);
    vec![
        ("user and password", shop(), attempt("alice", "alice")),
        ("wrong password", shop(), attempt("alice", "bob")),
        ("unknown user", shop(), attempt("eve", "eve")),
        ("nothing shown", shop(), silent()),
        (
            "an account asked for",
            shop(),
            with(attempt("alice", "alice"), |attempt| attempt.credentials.names_account = true),
        ),
        ("nkey, nonce signed", shop(), signed(&good)),
        ("nkey, not signed", shop(), signed("")),
        ("nkey, signature not base64", shop(), signed("?")),
        ("nkey, another signature", shop(), signed("AAAA")),
        ("unknown nkey", shop(), with(signed(&good), |attempt| attempt.credentials.nkey = Some("UEVE".into()))),
        ("the token", token(), with(silent(), |attempt| attempt.credentials.token = Some("t".into()))),
        ("another token", token(), with(silent(), |attempt| attempt.credentials.token = Some("x".into()))),
        ("kind of connection not allowed", compiled(&settings(vec![("A", vec![only_websocket])])), attempt("web", "")),
        ("proxy required, none there", proxied(vec![inside.clone()]), attempt("inside", "")),
        (
            "proxy not trusted",
            proxied(vec![inside]),
            with(attempt("inside", ""), |attempt| {
                attempt.nonce = Some(b"nonce".as_slice().into());
                attempt.credentials.proxy_signature = Some(good.clone());
            }),
        ),
        ("certificate", mapped(), with(silent(), |attempt| attempt.certificate = dns("host"))),
        ("certificate of nobody", mapped(), with(silent(), |attempt| attempt.certificate = dns("other"))),
        ("no certificate", mapped(), silent()),
        (
            "certificate user with a password",
            mapped(),
            with(attempt("host", ""), |attempt| attempt.kind = auth::ConnectionKind::WebSocket),
        ),
        ("nobody is asked", testkit::accounts::directory(vec![]), silent()),
    ]
}

/// Attempts with user claims: one for each way in which the chain of trust can break.
fn claim_logins() -> Vec<(&'static str, Directory, Attempt)> {
    let chain = Chain::new("acme");
    let shop = || chain.account("shop");
    let known = |account: &TestAccount| claims::directory(&chain, &[account]);
    let on = |account: TestAccount, change: fn(&mut jwt::UserClaims)| {
        let joe = account.user("joe").with(change);
        (known(&account), claims::attempt(&joe))
    };
    let fine = |change| on(shop(), change);
    let scoped = |template: fn(&mut jwt::Scope), change: fn(&mut jwt::UserClaims)| {
        let mut account = shop();
        let signer = account.add_scope("team", template);
        let joe = account.scoped_user("joe", &signer).with(change);
        (known(&account), claims::attempt(&joe))
    };
    let row = |what, (directory, attempt)| (what, directory, attempt);
    let signed_with = |signature: Option<&str>| {
        let (directory, mut attempt) = fine(|_| {});
        attempt.credentials.signature = signature.map(str::to_owned);
        (directory, attempt)
    };
    let pinned = {
        let mut settings = claims::operators(&chain);
        settings.trust = settings.trust.pinned_to([]);
        claims::with(settings, &[&shop()])
    };
    let strict = {
        let mut strict = chain.clone();
        strict.claims.strict_signing_key_usage = true;
        let account = strict.account("shop");
        (claims::directory(&strict, &[&account]), claims::attempt(&account.user("joe")))
    };
    let stranger = {
        let mut joe = shop().delegated_user("joe");
        joe.signer = jwt::testing::key(nkeys::Role::Account, "stranger");
        (known(&shop()), claims::attempt(&joe))
    };
    let soon_over = shop().with(|account| account.common.expires = NOW.as_secs() + 5);
    vec![
        row("user claims", fine(|_| {})),
        row("account not at hand", (claims::directory(&chain, &[]), claims::attempt(&shop().user("joe")))),
        ("no claims", known(&shop()), Attempt::silent(auth::ConnectionKind::Standard)),
        ("not a token", known(&shop()), claims::shows("x.y.z")),
        ("account not pinned", pinned, claims::attempt(&shop().user("joe"))),
        row("account over in five seconds", on(soon_over, |_| {})),
        row("claims not valid", fine(|user| user.rights.sources = vec!["nowhere".into()])),
        row("a limit that is none", fine(|user| user.common.tags = vec!["limit.max_payload:few".into()])),
        row("claims over", fine(|user| user.common.expires = NOW.as_secs() - 1)),
        row("claims too early", fine(|user| user.common.not_before = NOW.as_secs() + 60)),
        row("signed by a stranger", stranger),
        row("strict operator, account key", strict),
        row("scope, and rights of its own", scoped(|_| {}, |user| user.rights.bearer_token = true)),
        row(
            "scope that needs a tag",
            scoped(|scope| scope.template.permissions.publish.deny = vec!["{{tag(x)}}".into()], |_| {}),
        ),
        row("proxy required by claims", fine(|user| user.rights.proxy_required = true)),
        row(
            "bearer, not allowed",
            on(shop().with(|account| account.limits.account.disallow_bearer = true), |user| {
                user.rights.bearer_token = true
            }),
        ),
        row("kind not allowed by claims", fine(|user| user.rights.allowed_connection_types = vec!["MQTT".into()])),
        row("kind that nobody knows", fine(|user| user.rights.allowed_connection_types = vec!["PIGEON".into()])),
        row("claims, nonce not signed", signed_with(None)),
        row("claims, signature not base64", signed_with(Some("?"))),
        row("claims, another signature", signed_with(Some("AAAA"))),
        row("revoked", on(shop().with(|account| account.revocations.revoke(jwt::Revoked::All, NOW.as_secs())), |_| {})),
        row("from elsewhere", fine(|user| user.rights.sources = vec!["10.0.0.0/8".into()])),
        row(
            "at another time",
            fine(|user| {
                user.rights.times = vec![jwt::TimeRange { start: "01:00:00".into(), end: "01:00:01".into() }];
            }),
        ),
        row(
            "in an unknown zone",
            fine(|user| {
                user.rights.times = vec![jwt::TimeRange { start: "01:00:00".into(), end: "01:00:01".into() }];
                user.rights.times_location = "Atlantis".into();
            }),
        ),
    ]
}

/// When a login is judged: the claims of the account over in five seconds are over, all others are as they were signed.
fn when(what: &str) -> moment::Timestamp {
    let late = what == "account over in five seconds";
    moment::Timestamp::from_secs(NOW.as_secs() + if late { 6 } else { 0 })
}

fn login_table() -> String {
    let mut out = String::from("\nLogins\n\n");
    for (what, directory, attempt) in logins().into_iter().chain(claim_logins()) {
        let came_of_it = match authenticate(&directory, &attempt, when(what)) {
            Verdict::NeedAccount(_) => "? the account's claims".into(),
            Verdict::AskCallout(question) => format!("? the callout service in {}", question.account.name),
            Verdict::Admit(admission) => {
                format!("+ {} {} by {:?}", admission.account.name, admission.user, admission.by)
            }
            Verdict::Refuse(refusal) => format!("- {refusal}"),
        };
        writeln!(out, "{what:<36}{came_of_it}").unwrap();
    }
    out
}

#[test]
fn the_matrix_is_the_file_in_the_repository() {
    let found = format!("{}{}", table(&compiled(&shop())), login_table());
    if std::env::var_os("BULWARK_BLESS").is_some() {
        std::fs::write(FILE, &found).expect("the repository can be written");
    }
    let expected = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(found == expected, "decisions changed; look at this and bless it if it is meant:\n{found}");
}

/// Adding a variant breaks this match, and then a column or a row is due.
#[test]
fn every_action_and_every_reason_is_in_the_matrix() {
    let directory = compiled(&shop());
    let mut seen = [false; 10];
    let everyone = everyone(&directory);
    let denials = everyone
        .iter()
        .flat_map(|(_, _, permissions)| COLUMNS.iter().filter_map(|column| column.outcome(permissions).err()));
    for denial in denials.chain([Denial::too_many_tokens(&filter("a.b"), None, 1)]) {
        seen[match denial.action {
            Action::Publish(_) => 0,
            Action::Reply(_) => 1,
            Action::Subscribe { .. } => 2,
        }] = true;
        seen[match denial.because {
            Because::NotAllowed(_) => 3,
            Because::OtherQueue(_) => 4,
            Because::Denied(_) => 5,
            Because::ReservedSubject(_) => 6,
            Because::ReservedReply(_) => 7,
            Because::ReservedQueue => 8,
            Because::TooManyTokens(_) => 9,
        }] = true;
    }
    assert_eq!(seen, [true; 10]);
}

#[test]
fn every_refusal_has_a_row() {
    let mut seen = [false; 18];
    for (what, directory, attempt) in logins().into_iter().chain(claim_logins()) {
        let Verdict::Refuse(refusal) = authenticate(&directory, &attempt, when(what)) else { continue };
        assert_eq!(refusal.wire_text(), "Authorization Violation");
        seen[match refusal {
            Refusal::NamesAccount => 0,
            Refusal::ProxyNotTrusted => 1,
            Refusal::ProxyRequired(_) => 2,
            Refusal::NoCredentials => 3,
            Refusal::UnknownUser(_) => 4,
            Refusal::WrongPassword(_) => 5,
            Refusal::WrongToken => 6,
            Refusal::UnknownNkey(_) => 7,
            Refusal::SignatureMissing(_) => 8,
            Refusal::SignatureMalformed(_) => 9,
            Refusal::SignatureWrong(_) => 10,
            Refusal::KindNotAllowed(..) => 11,
            Refusal::CertificateMissing => 12,
            Refusal::CertificateUnknown(_) => 13,
            Refusal::CertificateRequired(_) => 14,
            Refusal::JwtMissing => 15,
            Refusal::JwtMalformed(_) => 16,
            Refusal::Limits(..) => 17,
            // The next test looks at these.
            Refusal::User(..) => continue,
            // What a callout service can answer has a file of scenes.
            Refusal::Callout(_) => unreachable!("no service is asked here"),
            // About a connection, not about an attempt: the broker's scenes produce them.
            Refusal::TooManyLogins | Refusal::IdentityChanged | Refusal::Banned(..) => {
                unreachable!("a directory cannot know this")
            }
            // About what fetching an account came to: scenes of the server produce them.
            Refusal::UnknownAccount(_) | Refusal::AccountLate(_) | Refusal::Account(..) => {
                unreachable!("a directory asks for the account")
            }
        }] = true;
    }
    assert_eq!(seen, [true; 18]);
}

#[test]
fn every_way_in_which_the_chain_can_break_has_a_row() {
    let mut seen = [false; 20];
    for (what, directory, attempt) in claim_logins() {
        let Verdict::Refuse(Refusal::User(_, refusal)) = authenticate(&directory, &attempt, when(what)) else {
            continue;
        };
        seen[match refusal {
            UserRefusal::NotPinned(_) => 0,
            UserRefusal::Account(_) => 1,
            UserRefusal::Invalid(_) => 2,
            UserRefusal::Expired => 3,
            UserRefusal::Early => 4,
            UserRefusal::UnknownIssuer(_) => 5,
            UserRefusal::IdentityKey => 6,
            UserRefusal::ScopedWithRights(_) => 7,
            UserRefusal::Template(_) => 8,
            UserRefusal::ProxyRequired => 9,
            UserRefusal::BearerDisallowed => 10,
            UserRefusal::ConnectionType(_) => 11,
            UserRefusal::NoKnownConnectionType => 12,
            UserRefusal::SignatureMissing => 13,
            UserRefusal::SignatureEncoding => 14,
            UserRefusal::Signature => 15,
            UserRefusal::Revoked => 16,
            UserRefusal::Source(_) => 17,
            UserRefusal::OutsideTimes => 18,
            UserRefusal::UnknownZone(_) => 19,
            // A user is judged by the account it names, and claims are validated before their rules are compiled.
            UserRefusal::OtherAccount(_) | UserRefusal::Permissions => unreachable!("{what}"),
        }] = true;
    }
    assert_eq!(seen, [true; 20]);
}
