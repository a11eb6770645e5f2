//! `/metrics`: the same numbers for Prometheus, in its text format.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::answer::Answer;
use crate::clock;
use crate::facts::TraceTotals;
use crate::observatory::{Observatory, State};
use crate::totals::{self, AccountTotal, Traffic};
use crate::usage;

/// So many accounts have series of their own: those with most connections. The others are added up under an empty name,
/// so that whoever stores the samples is not drowned by tenants.
pub const METRIC_ACCOUNTS_MAX: usize = 100;

/// Samples being written.
#[derive(Default)]
struct Sheet(String);

impl Sheet {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn per_account<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        rows: &[Series],
        value: impl Fn(&Series) -> V,
    ) {
        self.head(name, kind, help);
        for row in rows {
            let _ = writeln!(self.0, "{name}{{account=\"{}\"}} {}", label(&row.name), value(row));
        }
    }
}

/// The numbers of one account, or of all that have no series of their own.
#[derive(Default, Clone)]
struct Series {
    name: String,
    connections: u64,
    subscriptions: u64,
    slow_consumers: u64,
    holds: u64,
    held: Duration,
    traffic: Traffic,
}

impl From<&AccountTotal> for Series {
    fn from(total: &AccountTotal) -> Self {
        let (holds, held) = total.account.holds();
        Self {
            holds,
            held,
            name: total.name.clone(),
            connections: total.account.connections() as u64,
            subscriptions: total.account.subscriptions() as u64,
            slow_consumers: total.account.slow_consumers(),
            traffic: total.traffic,
        }
    }
}

/// The largest accounts each for itself, the rest as one.
fn bounded(mut all: Vec<Series>) -> Vec<Series> {
    if all.len() <= METRIC_ACCOUNTS_MAX {
        return all;
    }
    all.sort_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.name.cmp(&b.name)));
    let mut rest = Series::default();
    for series in all.drain(METRIC_ACCOUNTS_MAX..) {
        rest.connections += series.connections;
        rest.subscriptions += series.subscriptions;
        rest.slow_consumers += series.slow_consumers;
        rest.holds += series.holds;
        rest.held += series.held;
        rest.traffic.add(series.traffic);
    }
    all.push(rest);
    all
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Observatory {
    pub(crate) fn metrics(&self) -> Answer {
        let totals = totals::of_accounts(&self.hub);
        let (traffic, cpu) = {
            let State { rising, usage, .. } = &mut *self.state();
            (rising.of(&totals).clients, usage.cpu_percent())
        };
        let mut sheet = Sheet::default();
        self.write_server(&mut sheet, cpu, traffic);
        write_accounts(&mut sheet, &bounded(totals.iter().map(Series::from).collect()));
        Answer::metrics(sheet.0)
    }

    fn write_server(&self, sheet: &mut Sheet, cpu: f64, traffic: Traffic) {
        let settings = self.hub.settings();
        let greeting = &settings.greeting;
        sheet.head("bulwark_info", "gauge", "The server; always 1.");
        let (id, name, version) = (label(&greeting.server_id), label(&greeting.server_name), label(&greeting.bulwark));
        let _ = writeln!(sheet.0, "bulwark_info{{id=\"{id}\",name=\"{name}\",version=\"{version}\"}} 1");
        let uptime = clock::now().since(self.facts.portrait().start).as_secs();
        let (connections, total) = self.hub.client_counts();
        let troubles = self.hub.ledger().troubles();
        let (gauge, counter) = ("gauge", "counter");
        sheet.one("bulwark_uptime_seconds", gauge, "Seconds since the start.", uptime);
        sheet.one("bulwark_resident_memory_bytes", gauge, "Memory of the process.", usage::resident_bytes());
        sheet.one("bulwark_cpu_percent", gauge, "Percent of one processor.", cpu);
        sheet.one("bulwark_connections", gauge, "Client connections.", connections);
        sheet.one("bulwark_connections_total", counter, "Client connections since the start.", total);
        sheet.one("bulwark_received_messages_total", counter, "Messages from clients.", traffic.in_msgs);
        sheet.one("bulwark_received_bytes_total", counter, "Bytes of messages from clients.", traffic.in_bytes);
        sheet.one("bulwark_sent_messages_total", counter, "Messages to clients.", traffic.out_msgs);
        sheet.one("bulwark_sent_bytes_total", counter, "Bytes of messages to clients.", traffic.out_bytes);
        let slow = troubles.slow_consumers.clients;
        sheet.one("bulwark_slow_consumers_total", counter, "Clients closed because they did not keep up.", slow);
        let stale = troubles.stale_connections.clients;
        sheet.one("bulwark_stale_connections_total", counter, "Clients closed because they did not answer.", stale);
        sheet.one("bulwark_stalled_publishers_total", counter, "Times a publisher was held up.", troubles.stalls);
        if let Some(TraceTotals { exported, dropped, failed }) = self.facts.traces() {
            sheet.one("bulwark_trace_spans_exported_total", counter, "Spans that the collector took.", exported);
            sheet.one("bulwark_trace_spans_failed_total", counter, "Spans that the collector did not take.", failed);
            let help = "Messages that were to be traced and were not: too many at once.";
            sheet.one("bulwark_trace_messages_dropped_total", counter, help, dropped);
        }
    }
}

fn write_accounts(sheet: &mut Sheet, rows: &[Series]) {
    let (gauge, counter) = ("gauge", "counter");
    sheet.per_account("bulwark_account_connections", gauge, "Client connections.", rows, |row| row.connections);
    sheet.per_account("bulwark_account_subscriptions", gauge, "Subscriptions.", rows, |row| row.subscriptions);
    let name = "bulwark_account_received_messages_total";
    sheet.per_account(name, counter, "Messages from clients.", rows, |row| row.traffic.in_msgs);
    let name = "bulwark_account_received_bytes_total";
    sheet.per_account(name, counter, "Bytes of messages from clients.", rows, |row| row.traffic.in_bytes);
    let name = "bulwark_account_sent_messages_total";
    sheet.per_account(name, counter, "Messages to clients.", rows, |row| row.traffic.out_msgs);
    let name = "bulwark_account_sent_bytes_total";
    sheet.per_account(name, counter, "Bytes of messages to clients.", rows, |row| row.traffic.out_bytes);
    let name = "bulwark_account_holds_total";
    sheet.per_account(name, counter, "Times a limit held a connection up.", rows, |row| row.holds);
    let name = "bulwark_account_held_seconds_total";
    sheet.per_account(name, counter, "How long limits held connections up.", rows, |row| row.held.as_secs_f64());
    let name = "bulwark_account_slow_consumers_total";
    sheet.per_account(name, counter, "Clients closed because they did not keep up.", rows, |row| row.slow_consumers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_tenants_there_are_the_series_are_bounded() {
        let all = (0..1_000).map(|n| Series { name: format!("A{n}"), connections: n, ..Series::default() });
        let rows = bounded(all.collect());
        assert_eq!(rows.len(), METRIC_ACCOUNTS_MAX + 1);
        assert_eq!(rows[0].name, "A999");
        assert_eq!(rows[METRIC_ACCOUNTS_MAX].name, "");
        assert_eq!(rows.iter().map(|row| row.connections).sum::<u64>(), (0..1_000).sum::<u64>());
    }

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        assert_eq!(label("a\"} 1\n\\"), "a\\\"} 1\\n\\\\");
    }
}
