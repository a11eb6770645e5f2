//! `nats server check stream`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::server::check::outcome::{Metric, Outcome};
use crate::command::server::check::threshold::Brought;
use crate::invocation::Invocation;
use crate::parse::duration;
use crate::show::go_duration;

/// Check a stream: its messages, its replicas, and the streams it copies
///
/// Thresholds may also stand in the metadata of the stream: io.nats.monitor.lag-critical and so on.
#[derive(Args, Debug, Default)]
pub(crate) struct Stream {
    /// The stream
    #[arg(long)]
    stream: String,
    /// Critical when the origin of a mirror or a source is this many messages ahead
    #[arg(long, value_name = "MSGS")]
    lag_critical: Option<i64>,
    /// Critical when the origin of a mirror or a source was not seen for so long
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    seen_critical: Option<Duration>,
    /// Critical when there are fewer sources
    #[arg(long, value_name = "SOURCES")]
    min_sources: Option<i64>,
    /// Critical when there are more sources
    #[arg(long, value_name = "SOURCES")]
    max_sources: Option<i64>,
    /// Critical when there are not exactly so many replicas
    #[arg(long, value_name = "PEERS")]
    peer_expect: Option<i64>,
    /// Critical when a replica is more than this many operations behind
    #[arg(long, value_name = "OPS")]
    peer_lag_critical: Option<i64>,
    /// Critical when a replica was not seen for longer
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    peer_seen_critical: Option<Duration>,
    /// Warn when there are not more than this many messages
    #[arg(long, value_name = "MSGS")]
    msgs_warn: Option<i64>,
    /// Critical when there are not more than this many messages
    #[arg(long, value_name = "MSGS")]
    msgs_critical: Option<i64>,
    /// Warn when there are this many subjects, or, when --subjects-critical is lower, not more than this many
    #[arg(long, value_name = "SUBJECTS", allow_negative_numbers = true)]
    subjects_warn: Option<i64>,
    /// Critical when there are this many subjects, or, when --subjects-warn is higher, not more than this many
    #[arg(long, value_name = "SUBJECTS", allow_negative_numbers = true)]
    subjects_critical: Option<i64>,
}

/// The thresholds that hold, from flags and metadata.
#[derive(Debug, Default)]
struct Limits {
    lag: Option<u64>,
    seen: Option<Duration>,
    min_sources: Option<u64>,
    max_sources: Option<u64>,
    peers: Option<u64>,
    peer_lag: Option<u64>,
    peer_seen: Option<Duration>,
    messages: (Option<u64>, Option<u64>),
    subjects: (Option<u64>, Option<u64>),
}

impl Stream {
    pub(crate) fn name(&self) -> &str {
        &self.stream
    }

    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let loaded = async { Api::open(invocation).await?.stream(&self.stream).await };
        let Some(info) = outcome.needs(loaded.await, "could not load info") else { return Ok(()) };
        let limits = self.limits(&Brought::by(&info));
        let Some(limits) = outcome.needs(limits, "could not configure based on metadata") else { return Ok(()) };
        limits.judge(&info, outcome);
        Ok(())
    }

    /// Judges a stream by what its metadata says, and by nothing else.
    pub(super) fn by_metadata(info: &Value, outcome: &mut Outcome) -> Result<()> {
        Self::default().limits(&Brought::by(info))?.judge(info, outcome);
        Ok(())
    }

    fn limits(&self, brought: &Brought<'_>) -> Result<Limits> {
        Ok(Limits {
            lag: brought.whole(self.lag_critical, "lag-critical")?,
            seen: brought.span(self.seen_critical, "seen-critical")?,
            min_sources: brought.whole(self.min_sources, "min-sources")?,
            max_sources: brought.whole(self.max_sources, "max-sources")?,
            peers: brought.whole(self.peer_expect, "peer-expect")?,
            peer_lag: brought.whole(self.peer_lag_critical, "peer-lag-critical")?,
            peer_seen: brought.span(self.peer_seen_critical, "peer-seen-critical")?,
            messages: (
                brought.whole(self.msgs_warn, "msgs-warn")?,
                brought.whole(self.msgs_critical, "msgs-critical")?,
            ),
            subjects: (
                brought.whole(self.subjects_warn, "subjects-warn")?,
                brought.whole(self.subjects_critical, "subjects-critical")?,
            ),
        })
    }
}

impl Limits {
    fn judge(&self, info: &Value, outcome: &mut Outcome) {
        self.judge_replicas(info, outcome);
        self.judge_messages(info.whole("state.messages"), outcome);
        self.judge_subjects(info.whole("state.num_subjects"), outcome);
        self.judge_sources(info.list("sources"), outcome);
        self.judge_mirror(info, outcome);
    }

    /// Without `--peer-expect` there must be as many replicas as the stream is configured for.
    fn judge_replicas(&self, info: &Value, outcome: &mut Outcome) {
        let wanted = info.whole("config.num_replicas");
        if wanted <= 1 || !info.has("cluster") {
            if self.peers.is_some() {
                outcome.critical("Stream is not clustered");
            }
            return;
        }
        if info.text("cluster.leader").is_empty() {
            return outcome.critical("No leader");
        }
        let replicas = info.list("cluster.replicas");
        let (found, wanted) = (replicas.len() as u64 + 1, self.peers.unwrap_or(wanted));
        if found != wanted {
            return outcome.critical(format!("Expected {wanted} replicas got {found}"));
        }
        outcome.ok(format!("{found} peers"));
        let offline = count(replicas, |replica| replica.flag("offline"));
        if offline > 0 {
            outcome.critical(format!("{offline} replicas offline"));
        }
        if let Some(most) = self.peer_lag {
            let lagged = count(replicas, |replica| replica.whole("lag") > most);
            outcome.all_fine(lagged, format!("{lagged} replicas lagged"), "replicas are current".to_owned());
        }
        if let Some(longest) = self.peer_seen {
            let inactive = count(replicas, |replica| !is_seen_within(replica, longest));
            outcome.all_fine(inactive, format!("{inactive} replicas inactive"), "replicas are active".to_owned());
        }
    }

    fn judge_messages(&self, messages: u64, outcome: &mut Outcome) {
        let (warn, critical) = self.messages;
        if warn.is_none() && critical.is_none() {
            return;
        }
        outcome.metric(
            Metric::count("messages", messages as f64, "Messages stored in the stream")
                .limits(shown(warn), shown(critical)),
        );
        let text = format!("{messages} messages");
        match () {
            () if critical.is_some_and(|limit| messages <= limit) => outcome.critical(text),
            () if warn.is_some_and(|limit| messages <= limit) => outcome.warn(text),
            () => outcome.ok(text),
        }
    }

    /// More subjects than the limits are bad when the critical one is the higher, fewer when it is the lower.
    fn judge_subjects(&self, subjects: u64, outcome: &mut Outcome) {
        let (warn, critical) = self.subjects;
        if warn.is_none() && critical.is_none() {
            return;
        }
        outcome.metric(
            Metric::count("subjects", subjects as f64, "Number of subjects stored in the stream")
                .limits(shown(warn), shown(critical)),
        );
        let (warn, critical) = (warn.unwrap_or(0), critical.unwrap_or(0));
        let is_beyond = |limit: u64| if warn < critical { subjects >= limit } else { subjects <= limit };
        let text = format!("{subjects} subjects");
        match (is_beyond(critical), is_beyond(warn)) {
            (true, _) => outcome.critical(text),
            (_, true) => outcome.warn(text),
            _ => outcome.ok(text),
        }
    }

    fn judge_sources(&self, sources: &[Value], outcome: &mut Outcome) {
        let found = sources.len() as u64;
        outcome.metric(
            Metric::count("sources", found as f64, "Number of sources being consumed by this stream")
                .limits(shown(self.min_sources), shown(self.max_sources)),
        );
        let text = format!("{found} sources");
        let is_wrong =
            self.min_sources.is_some_and(|least| found < least) || self.max_sources.is_some_and(|most| found > most);
        if is_wrong {
            outcome.critical(text)
        } else {
            outcome.ok(text)
        }
        if sources.is_empty() || (self.lag.is_none() && self.seen.is_none()) {
            return;
        }
        let lagged = count(sources, |source| self.is_lagged(source));
        let inactive = count(sources, |source| !self.is_seen(source));
        outcome.metric(Metric::count(
            "sources_lagged",
            lagged as f64,
            "Number of sources that are behind more than the configured threshold",
        ));
        outcome.metric(Metric::count("sources_inactive", inactive as f64, "Number of sources that are inactive"));
        outcome.all_fine(lagged, format!("{lagged} sources are lagged"), format!("{found} sources current"));
        outcome.all_fine(inactive, format!("{inactive} sources are inactive"), format!("{found} sources active"));
    }

    /// A threshold for an origin on a stream that has none is a mistake worth telling.
    fn judge_mirror(&self, info: &Value, outcome: &mut Outcome) {
        if (self.lag.is_none() && self.seen.is_none()) || !info.list("sources").is_empty() {
            return;
        }
        if !info.has("config.mirror") {
            return outcome.critical("not mirrored");
        }
        let mirror = info.dig("mirror");
        if mirror.is_null() {
            return outcome.critical("invalid state");
        }
        outcome.metric(
            Metric::count("lag", mirror.number("lag"), "Number of operations this peer is behind its origin")
                .limits(0.0, shown(self.lag)),
        );
        outcome.metric(
            Metric::count(
                "active",
                mirror.span("active").as_secs_f64(),
                "Indicates if this peer is active and catching up if lagged",
            )
            .limits(0.0, self.seen.unwrap_or_default().as_secs_f64())
            .unit("s"),
        );
        if self.is_lagged(mirror) {
            outcome.critical(format!("Mirror Lag {}", mirror.whole("lag")));
        }
        if !self.is_seen(mirror) {
            outcome.critical(format!("Mirror Seen {}", last_seen(mirror)));
        }
        if !self.is_lagged(mirror) && self.is_seen(mirror) {
            outcome.ok(format!("Mirror {}", info.text("config.mirror.name")));
        }
    }

    fn is_lagged(&self, origin: &Value) -> bool {
        self.lag.is_some_and(|most| origin.whole("lag") >= most)
    }

    fn is_seen(&self, origin: &Value) -> bool {
        self.seen.is_none_or(|longest| origin.signed("active") >= 0 && origin.span("active") < longest)
    }
}

/// A peer that was never seen has a time below zero.
fn is_seen_within(peer: &Value, longest: Duration) -> bool {
    peer.signed("active") >= 0 && peer.span("active") <= longest
}

fn last_seen(peer: &Value) -> String {
    if peer.signed("active") < 0 { "never".to_owned() } else { go_duration(peer.span("active")) }
}

fn count(values: &[Value], is_bad: impl Fn(&Value) -> bool) -> usize {
    values.iter().filter(|value| is_bad(value)).count()
}

fn shown(limit: Option<u64>) -> f64 {
    limit.unwrap_or(0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(limits: &Limits, info: &Value) -> String {
        let mut outcome = Outcome::new("S", "stream");
        limits.judge(info, &mut outcome);
        outcome.nagios().split(" | ").next().unwrap_or_default().to_owned()
    }

    #[test]
    fn replicas_are_counted_and_must_keep_up() {
        let info = |replicas: Value| json!({"config": {"num_replicas": 3}, "cluster": {"name": "C", "leader": "a", "replicas": replicas}});
        let healthy = json!({"name": "b", "current": true, "active": 1_000_000, "lag": 1});
        let away = json!({"name": "c", "offline": true, "active": -1, "lag": 900});
        let limits = Limits { peer_lag: Some(10), peer_seen: Some(Duration::from_secs(5)), ..Limits::default() };
        assert_eq!(
            judged(&limits, &info(json!([healthy, healthy]))),
            "OK S OK:3 peers OK:replicas are current OK:replicas are active OK:0 sources"
        );
        assert_eq!(
            judged(&limits, &info(json!([healthy, away]))),
            "CRITICAL S Crit:1 replicas offline Crit:1 replicas lagged Crit:1 replicas inactive OK:3 peers OK:0 sources"
        );
        assert!(judged(&limits, &info(json!([healthy]))).contains("Crit:Expected 3 replicas got 2"));
        let expecting = Limits { peers: Some(3), ..Limits::default() };
        assert!(judged(&expecting, &json!({"config": {"num_replicas": 1}})).contains("Crit:Stream is not clustered"));
        assert!(judged(&expecting, &json!({"config": {"num_replicas": 3}, "cluster": {}})).contains("Crit:No leader"));
    }

    #[test]
    fn few_messages_and_many_subjects_are_bad() {
        let info = |messages: u64, subjects: u64| json!({"state": {"messages": messages, "num_subjects": subjects}});
        let few = Limits { messages: (Some(10), Some(5)), ..Limits::default() };
        assert!(judged(&few, &info(11, 0)).starts_with("OK"));
        assert!(judged(&few, &info(10, 0)).starts_with("WARNING S Warn:10 messages"));
        assert!(judged(&few, &info(5, 0)).starts_with("CRITICAL S Crit:5 messages"));
        let many = Limits { subjects: (Some(5), Some(10)), ..Limits::default() };
        assert!(judged(&many, &info(0, 4)).starts_with("OK"));
        assert!(judged(&many, &info(0, 5)).starts_with("WARNING"));
        assert!(judged(&many, &info(0, 10)).starts_with("CRITICAL"));
        let inverted = Limits { subjects: (Some(10), Some(5)), ..Limits::default() };
        assert!(judged(&inverted, &info(0, 11)).starts_with("OK"));
        assert!(judged(&inverted, &info(0, 5)).starts_with("CRITICAL"));
    }

    #[test]
    fn origins_must_be_near_and_seen() {
        let limits = Limits { lag: Some(10), seen: Some(Duration::from_secs(1)), ..Limits::default() };
        let origin = |lag: u64, active: i64| json!({"name": "O", "lag": lag, "active": active});
        let mirror = |lag, active| json!({"config": {"mirror": {"name": "O"}}, "mirror": origin(lag, active)});
        assert!(judged(&limits, &mirror(9, 1_000)).ends_with("OK:Mirror O"));
        assert!(judged(&limits, &mirror(10, 2_000_000_000)).contains("Crit:Mirror Lag 10 Crit:Mirror Seen 2s"));
        assert!(judged(&limits, &mirror(0, -1)).contains("Crit:Mirror Seen never"));
        assert!(judged(&limits, &json!({"config": {}})).contains("Crit:not mirrored"));
        let sources = json!({"sources": [origin(50, 1_000), origin(0, -1)]});
        let text = judged(&limits, &sources);
        assert!(text.contains("Crit:1 sources are lagged Crit:1 sources are inactive OK:2 sources"), "{text}");
        let counted = Limits { min_sources: Some(3), ..Limits::default() };
        assert!(judged(&counted, &sources).contains("Crit:2 sources"));
    }
}
