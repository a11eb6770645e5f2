//! `nats server check server`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::gather::{Question, ask_servers, check};
use crate::command::server::check::outcome::{Metric, Outcome};
use crate::command::server::check::threshold::Limits;
use crate::invocation::Invocation;
use crate::parse::{duration, signed_size};
use crate::show::{go_duration, humanize};

/// Check a server: its load, its uptime, and what it demands; needs the system account
#[derive(Args, Debug)]
pub(crate) struct Server {
    /// Name of the server
    #[arg(long)]
    name: String,
    /// Warn at this use of processors, in percent of one
    #[arg(long, value_name = "PERCENT")]
    cpu_warn: Option<i64>,
    /// Critical at this use of processors, in percent of one
    #[arg(long, value_name = "PERCENT")]
    cpu_critical: Option<i64>,
    /// Warn at this use of memory
    #[arg(long, value_name = "BYTES", value_parser = signed_size)]
    mem_warn: Option<i64>,
    /// Critical at this use of memory
    #[arg(long, value_name = "BYTES", value_parser = signed_size)]
    mem_critical: Option<i64>,
    /// Warn at this many connections; when higher than --conn-critical, at not more than this many
    #[arg(long, value_name = "CONNECTIONS")]
    conn_warn: Option<i64>,
    /// Critical at this many connections; when lower than --conn-warn, at not more than this many
    #[arg(long, value_name = "CONNECTIONS")]
    conn_critical: Option<i64>,
    /// Warn at this many subscriptions; when higher than --subs-critical, at not more than this many
    #[arg(long, value_name = "SUBSCRIPTIONS")]
    subs_warn: Option<i64>,
    /// Critical at this many subscriptions; when lower than --subs-warn, at not more than this many
    #[arg(long, value_name = "SUBSCRIPTIONS")]
    subs_critical: Option<i64>,
    /// Warn when the server started less than so long ago
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    uptime_warn: Option<Duration>,
    /// Critical when the server started less than so long ago
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    uptime_critical: Option<Duration>,
    /// Critical unless clients must log in
    #[arg(long)]
    auth_required: bool,
    /// Critical unless clients must use TLS
    #[arg(long)]
    tls_required: bool,
    /// Critical unless JetStream is enabled
    #[arg(long)]
    js_required: bool,
    /// Warn when a certificate of the server expires sooner
    #[arg(long, value_parser = duration, value_name = "DURATION", requires = "tls_cert_crit")]
    tls_cert_warn: Option<Duration>,
    /// Critical when a certificate of the server expires sooner
    #[arg(long, value_parser = duration, value_name = "DURATION", requires = "tls_cert_warn")]
    tls_cert_crit: Option<Duration>,
}

/// Whose certificate it is, and where its end stands.
pub(crate) const CERTIFICATES: [(&str, &str); 6] = [
    ("server", "tls_cert_not_after"),
    ("cluster", "cluster.tls_cert_not_after"),
    ("gateway", "gateway.tls_cert_not_after"),
    ("leafnode", "leaf.tls_cert_not_after"),
    ("mqtt", "mqtt.tls_cert_not_after"),
    ("websocket", "websocket.tls_cert_not_after"),
];

impl Server {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn run(&self, invocation: &Invocation, outcome: &mut Outcome) -> Result<()> {
        let Some(link) = outcome.needs(invocation.connect().await, "connection failed") else { return Ok(()) };
        let body = json!({"server_name": self.name, "exact_match": true});
        let question = Question { subject: "$SYS.REQ.SERVER.PING.VARZ", body, expect: 1 };
        let asked = ask_servers(invocation, &link, &question).await;
        let asked = asked.and_then(|answers| answers.into_iter().next().context("no data received"));
        let Some(answer) = outcome.needs(asked, "varz failed") else { return Ok(()) };
        if outcome.needs(check(&answer), "varz failed").is_some() {
            self.judge(answer.dig("data"), outcome);
        }
        Ok(())
    }

    fn judge(&self, varz: &Value, outcome: &mut Outcome) {
        if varz.text("server_name") != self.name {
            return outcome.critical(format!("result from wrong server {:?}", varz.text("server_name")));
        }
        let has_jetstream = varz.has("jetstream.config");
        for (is_wanted, is_there, fine, trouble) in [
            (self.js_required, has_jetstream, "JetStream enabled", "JetStream not enabled"),
            (self.tls_required, varz.flag("tls_required"), "TLS required", "TLS not required"),
            (self.auth_required, varz.flag("auth_required"), "Authentication required", "Authentication not required"),
        ] {
            match (is_wanted, is_there) {
                (false, _) => {}
                (true, true) => outcome.ok(fine),
                (true, false) => outcome.critical(trouble),
            }
        }
        let now = varz.time("now").unwrap_or_else(Timestamp::now);
        self.judge_certificates(varz, now, outcome);
        let up = varz.time("start").map(|start| Duration::try_from(now.duration_since(start)).unwrap_or_default());
        self.judge_uptime(up.unwrap_or_default(), outcome);
        self.judge_load(varz, outcome);
    }

    fn judge_certificates(&self, varz: &Value, now: Timestamp, outcome: &mut Outcome) {
        let (Some(warn), Some(critical)) = (self.tls_cert_warn, self.tls_cert_crit) else { return };
        let ends: Vec<_> =
            CERTIFICATES.iter().filter_map(|(owner, path)| varz.time(path).map(|end| (owner, end))).collect();
        if ends.is_empty() {
            return outcome.critical("TLS certificate expiry thresholds configured but no TLS certificates found");
        }
        for (owner, end) in ends {
            let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
            let left = Duration::from_secs(left.as_secs());
            let text = format!("{owner} TLS certificate expires in {} (expires_at={end})", go_duration(left));
            match () {
                () if left.is_zero() => {
                    outcome.critical(format!("{owner} TLS certificate expired (expired_at={end})"));
                }
                () if left <= critical => outcome.critical(text),
                () if left <= warn => outcome.warn(text),
                () => outcome.ok(text),
            }
        }
    }

    fn judge_uptime(&self, up: Duration, outcome: &mut Outcome) {
        let (warn, critical) = (self.uptime_warn.unwrap_or_default(), self.uptime_critical.unwrap_or_default());
        let metric = Metric::count("uptime", up.as_secs_f64(), "NATS Server uptime in seconds");
        outcome.metric(metric.limits(warn.as_secs_f64(), critical.as_secs_f64()).unit("s"));
        let text = format!("Up {}", humanize(up));
        match () {
            () if warn.is_zero() && critical.is_zero() => {}
            () if self.uptime_warn.is_some() && critical > warn => outcome.critical("Up invalid thresholds"),
            () if !critical.is_zero() && up <= critical => outcome.critical(text),
            () if !warn.is_zero() && up <= warn => outcome.warn(text),
            () => outcome.ok(text),
        }
    }

    fn judge_load(&self, varz: &Value, outcome: &mut Outcome) {
        let rows = [
            ("CPU", "cpu", "NATS Server CPU usage in percentage", "%", (self.cpu_warn, self.cpu_critical), false),
            ("Memory", "mem", "NATS Server memory usage in bytes", "", (self.mem_warn, self.mem_critical), false),
            ("Connections", "connections", "Active connections", "", (self.conn_warn, self.conn_critical), true),
            ("Subscriptions", "subscriptions", "Active subscriptions", "", (self.subs_warn, self.subs_critical), true),
        ];
        for (label, path, help, unit, (warn, critical), may_invert) in rows {
            let (limits, value) = (Limits::above_zero(warn, critical), varz.number(path));
            let (warn, critical) = limits.pair();
            outcome.metric(Metric::count(path, value, help).limits(warn, critical).unit(unit));
            match () {
                () if limits.is_none() => {}
                () if limits.is_inverted() && !may_invert => outcome.critical(format!("{label} invalid thresholds")),
                () => limits.judge(value, format!("{label} {value:.2}"), outcome),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        check: Server,
    }

    fn judged(args: &[&str], varz: &Value) -> String {
        let check = <Typed as clap::Parser>::parse_from([&["check", "--name", "n"], args].concat()).check;
        let mut outcome = Outcome::new("n", "server");
        check.judge(varz, &mut outcome);
        outcome.nagios()
    }

    fn varz() -> Value {
        json!({
            "server_name": "n", "now": "2026-11-24T10:01:00Z", "start": "2026-11-24T10:00:00Z", "cpu": 50.0,
            "mem": 1024, "connections": 3, "subscriptions": 60, "auth_required": true,
            "tls_cert_not_after": "2026-11-25T10:01:00Z",
        })
    }

    #[test]
    fn load_is_held_against_its_limits() {
        assert_eq!(judged(&[], &varz()), "OK n | uptime=60.0000s cpu=50% mem=1024 connections=3 subscriptions=60");
        assert!(judged(&["--cpu-warn", "50", "--cpu-critical", "90"], &varz()).starts_with("WARNING n Warn:CPU 50.00"));
        assert!(judged(&["--mem-critical", "1KB"], &varz()).starts_with("CRITICAL n Crit:Memory 1024.00"));
        assert!(judged(&["--cpu-warn", "9", "--cpu-critical", "5"], &varz()).contains("Crit:CPU invalid thresholds"));
        let few = ["--conn-warn", "10", "--conn-critical", "2"];
        assert!(judged(&few, &varz()).starts_with("WARNING n Warn:Connections 3.00"), "few connections are bad");
    }

    #[test]
    fn demands_uptime_and_certificates_are_checked() {
        let text = judged(&["--auth-required", "--tls-required", "--js-required"], &varz());
        assert!(
            text.starts_with("CRITICAL n Crit:JetStream not enabled Crit:TLS not required OK:Authentication required")
        );
        assert!(judged(&["--uptime-warn", "2m", "--uptime-critical", "10s"], &varz()).contains("Warn:Up 1m0s"));
        assert!(judged(&["--uptime-critical", "10s"], &varz()).contains("OK:Up 1m0s"));
        let expiring = ["--tls-cert-warn", "2d", "--tls-cert-crit", "1h"];
        assert!(judged(&expiring, &varz()).contains("Warn:server TLS certificate expires in 24h0m0s"));
        let bare = json!({"server_name": "n"});
        assert!(judged(&expiring, &bare).contains("no TLS certificates found"));
        assert!(judged(&[], &json!({"server_name": "m"})).contains("Crit:result from wrong server \"m\""));
    }
}
