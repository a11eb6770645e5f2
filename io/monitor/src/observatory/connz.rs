//! `connz`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use api::monitoring::options::{ConnectionState, ConnzOptions, Subscriptions};
use api::monitoring::{ConnectionInfo, Connz, PeerCertificate, Proxy};
use broker::{ConnectionKey, Hub, LinkKind, Note, Step, Subscription, SubscriptionFacts, Target};
use data_encoding::{BASE64, HEXLOWER};
use moment::{GoDuration, Timestamp};
use subject::Filter;

use super::rows::{End, Row, Sort};
use super::subsz::detail;
use super::{Fault, Observatory, PAGE_MAX, SUBSCRIPTIONS_SHOWN_MAX, some};
use crate::clock;

/// How long workers have to list subscriptions. Connections whose worker is later are shown without.
const LISTING_TIME_MAX: Duration = Duration::from_secs(1);

/// The account that has no name for people.
const GLOBAL: &str = "$G";

impl Observatory {
    /// A page of connections.
    ///
    /// # Errors
    /// If what is asked for makes no sense.
    pub fn connz(&self, wish: &ConnzOptions) -> Result<Connz, Fault> {
        let sort = Sort::parse(&wish.sort, wish.state)?;
        let filter = filter(wish)?;
        let mut page = wish.page;
        if wish.id > 0 {
            page.limit = 1;
        }
        let now = clock::now();
        let mut connz = Connz {
            server_id: self.server_id(),
            now: now.to_string(),
            offset: page.offset,
            limit: page.limit,
            ..Connz::default()
        };
        if !wish.account.is_empty() && self.hub.directory().account(&wish.account).is_none() {
            connz.server_id = String::new();
            return Ok(connz);
        }
        let mut rows = self.rows(wish);
        connz.total = rows.len();
        if let Some(filter) = &filter {
            self.keep_listeners(&mut rows, &wish.account, filter);
        }
        rows.retain(|row| wish.id == 0 || row.id == wish.id);
        rows.retain(|row| wish.user.is_empty() || *row.facts.user == *wish.user);
        // No connection here speaks MQTT.
        rows.retain(|_| wish.mqtt_client.is_empty());
        sort.apply(&mut rows, now);
        let rows = page.of(rows, PAGE_MAX);
        let listed = match wish.subscriptions {
            Subscriptions::None => HashMap::new(),
            _ => list_subscriptions(&self.hub, &rows),
        };
        let infos: Vec<_> = rows.iter().map(|row| info(row, wish, listed.get(&row.id), now)).collect();
        connz.num_connections = infos.len();
        connz.connections = Some(infos);
        Ok(connz)
    }

    /// The connections of the state and account that are asked for.
    fn rows(&self, wish: &ConnzOptions) -> Vec<Row> {
        let ledger = self.hub.ledger();
        let mut rows = Vec::new();
        if matches!(wish.state, ConnectionState::Open | ConnectionState::Any) {
            rows.extend(self.hub.connections().iter().map(|registered| Row::open(registered, ledger)));
            let leafs = self.hub.links().into_iter().filter(|known| known.link.kind == LinkKind::Leaf);
            rows.extend(leafs.map(|known| Row::leaf(&known, ledger)));
        }
        if matches!(wish.state, ConnectionState::Closed | ConnectionState::Any) {
            rows.extend(ledger.closed().iter().map(|closed| Row::closed(closed, ledger)));
        }
        rows.retain(|row| wish.account.is_empty() || row.account.as_deref() == Some(&wish.account));
        rows
    }

    /// Leaves those that listen, or listened at the end, to something the filter has in common with it.
    fn keep_listeners(&self, rows: &mut Vec<Row>, account: &str, filter: &Filter) {
        let mut listeners = HashSet::new();
        if let Some(account) = self.hub.account_named(account) {
            account.graph.for_each(&mut |subscription| {
                if subscription.grant.filter.overlaps(filter) {
                    listeners.insert(match &subscription.target {
                        Target::Remote(remote) => remote.peer.link.key.id,
                        _ => SubscriptionFacts::of(subscription).connection,
                    });
                }
            });
        }
        rows.retain(|row| match &row.end {
            End::Open(key) => listeners.contains(&key.id),
            End::Closed(closed) => closed.subscriptions.iter().any(|facts| facts.filter.overlaps(filter)),
        });
    }
}

/// The filter of subjects that is asked for. It is only for whoever names an account.
fn filter(wish: &ConnzOptions) -> Result<Option<Filter>, Fault> {
    if matches!(wish.filter_subject.as_str(), "" | ">") {
        return Ok(None);
    }
    if wish.account.is_empty() {
        return Err(Fault("filter by subject only valid with account filtering".to_owned()));
    }
    let wrong = |_| Fault(format!("invalid filter subject: {}", wish.filter_subject));
    Filter::parse(wish.filter_subject.as_bytes()).map(Some).map_err(wrong)
}

/// Asks the workers for the subscriptions of these connections.
fn list_subscriptions(hub: &Hub, rows: &[Row]) -> HashMap<u64, Vec<SubscriptionFacts>> {
    let (sender, answers) = mpsc::channel();
    for row in rows {
        match &row.end {
            End::Open(key) if row.kind == LinkKind::Leaf => drop(sender.send((row.id, wanted_by_leaf(hub, *key)))),
            End::Open(key) => hub.tell(*key, ask(*key, sender.clone())),
            // Nobody listens any more when the time was up.
            End::Closed(closed) => drop(sender.send((row.id, closed.subscriptions.to_vec()))),
        }
    }
    // From here on the channel ends when every question was answered, or dropped with its connection.
    drop(sender);
    let mut listed = HashMap::new();
    let mut shown = 0;
    let end = Instant::now() + LISTING_TIME_MAX;
    while let Ok((id, list)) = answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
        let list: Vec<SubscriptionFacts> = list;
        if list.len() <= SUBSCRIPTIONS_SHOWN_MAX - shown {
            shown += list.len();
            listed.insert(id, list);
        }
    }
    listed
}

/// What the far end of a leaf connection wants. It names a subscription by what it wants.
fn wanted_by_leaf(hub: &Hub, key: ConnectionKey) -> Vec<SubscriptionFacts> {
    let facts = |subscription: &Arc<Subscription>| {
        let facts = SubscriptionFacts::of(subscription);
        let queue = facts.queue.iter().flat_map(|queue| [b" ", queue.as_bytes()]);
        let sid = [facts.filter.as_bytes()].into_iter().chain(queue).collect::<Vec<_>>().concat();
        SubscriptionFacts { sid: sid.into(), connection: key.id, ..facts }
    };
    hub.interest_of_link(key.id).iter().flat_map(|(_, own)| own).map(facts).collect()
}

fn ask(key: ConnectionKey, sender: mpsc::Sender<(u64, Vec<SubscriptionFacts>)>) -> Note {
    Note::Do(
        key,
        Box::new(move |hands| {
            // Nobody listens any more when the time was up.
            let _ = sender.send((key.id, hands.connection().subscriptions()));
            Step::Continue
        }),
    )
}

fn info(row: &Row, wish: &ConnzOptions, listed: Option<&Vec<SubscriptionFacts>>, now: Timestamp) -> ConnectionInfo {
    let (stop, reason) = match &row.end {
        End::Open(_) => (None, None),
        End::Closed(closed) => (Some(row.stop()), Some(closed.reason.as_str())),
    };
    let end = stop.unwrap_or(now);
    let numbers = &row.numbers;
    let mut info = ConnectionInfo {
        cid: row.id,
        kind: if row.kind == LinkKind::Leaf { "Leafnode" } else { "Client" },
        kind_of_client: if row.kind == LinkKind::Leaf { "" } else { row.carrier.word() },
        ip: row.address.ip().to_canonical().to_string(),
        port: row.address.port(),
        start: row.start.to_string(),
        last_activity: row.last_activity.to_string(),
        stop: stop.map(|at| at.to_string()),
        reason,
        rtt: round_trip(numbers.rtt),
        uptime: clock::span(row.start, end),
        idle: clock::span(row.last_activity, end),
        pending_bytes: row.pending_bytes,
        in_msgs: numbers.in_msgs,
        out_msgs: numbers.out_msgs,
        in_bytes: numbers.in_bytes,
        out_bytes: numbers.out_bytes,
        stalls: row.stalls,
        subscriptions: numbers.subscriptions,
        held: (numbers.held > 0).then(|| duration(numbers.held)),
        name: row.facts.name.clone(),
        lang: row.facts.lang.clone(),
        version: row.facts.version.clone(),
        tls_version: row.facts.tls.as_ref().map(|tls| tls.version.clone()).unwrap_or_default(),
        tls_cipher_suite: row.facts.tls.as_ref().map(|tls| tls.cipher.clone()).unwrap_or_default(),
        tls_first: row.facts.tls_first,
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

fn duration(nanos: u64) -> String {
    GoDuration(i64::try_from(nanos).unwrap_or(i64::MAX)).to_string()
}

/// The round trip time, below a millisecond in whole microseconds.
pub(super) fn round_trip(nanos: u64) -> String {
    duration(if (1_000..1_000_000).contains(&nanos) { nanos / 1_000 * 1_000 } else { nanos })
}

/// Who the connection is. What it showed to prove that is nobody's business: a user JWT may be all it takes to log in.
fn introduce(info: &mut ConnectionInfo, row: &Row) {
    let chains = row.facts.tls.iter().flat_map(|tls| &tls.verified_chains);
    info.tls_peer_certs = chains.flatten().filter_map(|pem| certificate(pem)).collect();
    info.authorized_user = some(&row.facts.user);
    info.account = row.account.clone().filter(|account| account != GLOBAL);
    info.name_tag = row.account.clone();
    if let Some(claims) = &row.facts.claims {
        info.issuer_key = Some(claims.issuer.to_string());
        info.name_tag = some(&claims.account_name).or(info.name_tag.take());
        info.tags = claims.tags.clone();
    }
}

/// What is told of a certificate in PEM.
fn certificate(pem: &str) -> Option<PeerCertificate> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let facts = tls::PeerFacts::read(&BASE64.decode(body.as_bytes()).ok()?).ok()?;
    Some(PeerCertificate {
        subject: facts.subject,
        spki_sha256: facts.spki_sha256.to_string(),
        cert_sha256: HEXLOWER.encode(&facts.certificate_sha256),
    })
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
