//! Scripts that run against the reference and against ours, step by step.
//!
//! ```text
//! # a remark
//! > subject [Header: value|...] body     a request; its first answer follows as `<`
//! >> subject [...] body                  a request; all its answers follow as `<`
//! + subject [...] body                   a message without reply
//! @ filter                               from here on everything of these subjects is written down as `=`
//! ~ 1500                                 so many milliseconds pass
//! ```
//!
//! `{{n256}}`, `{{x4097}}` stand for repeated letters, `{{+5s}}` for the moment in five seconds. Answers are normalised:
//! what differs from run to run is replaced by fixed words on both sides.

use std::fmt::Write as _;

use crate::varying::{is_time, replace_values};

/// A message, as somebody received it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub subject: String,
    pub reply: String,
    pub headers: String,
    pub body: String,
}

/// Who is asked.
pub(crate) trait Driver {
    /// The answers to a request: one, or all.
    fn ask(&mut self, subject: &str, headers: &str, body: &str, all: bool) -> Vec<Heard>;
    fn publish(&mut self, subject: &str, headers: &str, body: &str);
    fn listen(&mut self, filter: &str);
    fn wait(&mut self, millis: u64);
    /// What was heard of the subjects that are listened to, since the last time.
    fn overheard(&mut self) -> Vec<Heard>;
    /// The time of day in seconds.
    fn seconds(&self) -> i64;
}

/// Runs a script, whose recorded lines do not matter, and gives it with the lines of this run.
pub(crate) fn run(script: &str, driver: &mut dyn Driver) -> String {
    let mut out = String::new();
    for line in script.lines().filter(|line| !line.starts_with("< ") && !line.starts_with("= ")) {
        let _ = writeln!(out, "{line}");
        let Some((kind, rest)) = line.split_once(' ') else { continue };
        let (subject, headers, body) = parts(&fill(rest, driver.seconds()));
        let answers = match kind {
            ">" | ">>" => driver.ask(&subject, &headers, &body, kind == ">>"),
            "+" => {
                driver.publish(&subject, &headers, &body);
                Vec::new()
            }
            "@" => {
                driver.listen(rest);
                continue;
            }
            "~" => {
                driver.wait(rest.parse().expect("milliseconds"));
                Vec::new()
            }
            _ => continue,
        };
        if answers.is_empty() && kind.starts_with('>') {
            let _ = writeln!(out, "< -");
        }
        for heard in answers {
            let _ = writeln!(out, "< {}", normal(&written(&heard)));
        }
        // What several threads of the reference tell comes in any order.
        let overheard = driver.overheard();
        let mut lines: Vec<String> =
            overheard.iter().map(|heard| format!("= {} {}", normal(&heard.subject), normal(&written(heard)))).collect();
        lines.sort();
        lines.iter().for_each(|line| out.push_str(&format!("{line}\n")));
    }
    out
}

fn fill(text: &str, now: i64) -> String {
    let text = text.replace("{{x4097}}", &"x".repeat(4097)).replace("{{n256}}", &"n".repeat(256));
    let text = text.replace("{{x70000}}", &"x".repeat(70_000));
    let Some((before, rest)) = text.split_once("{{+") else { return text };
    let (count, after) = rest.split_once("s}}").expect("a number of seconds");
    let at = moment::Timestamp::from_secs(now + count.parse::<i64>().expect("a number"));
    format!("{before}{at}{after}")
}

/// `subject [Header: value|...] body`, each part but the first optional.
fn parts(text: &str) -> (String, String, String) {
    let (subject, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (headers, body) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("] ").or(rest.split_once(']'))) {
        Some((headers, body)) if headers.contains(": ") => {
            let lines: String = headers.split('|').map(|line| format!("{line}\r\n")).collect();
            (format!("NATS/1.0\r\n{lines}\r\n"), body)
        }
        _ => (String::new(), rest),
    };
    (subject.to_owned(), headers, body.to_owned())
}

fn written(heard: &Heard) -> String {
    let reply = if heard.reply.is_empty() { String::new() } else { format!("({}) ", heard.reply) };
    let headers = heard.headers.trim_end().replace("\r\n", "|");
    let headers = if headers.is_empty() { headers } else { format!("[{headers}] ") };
    format!("{reply}{headers}{}", heard.body)
}

/// Replaces what differs from run to run.
fn normal(line: &str) -> String {
    let mut line = decoded(line);
    for key in ["created", "ts", "first_ts", "last_ts", "time", "last_active", "pinned_ts", "timestamp", "start", "end"]
    {
        line = replace_values(&line, &format!("\"{key}\":\"20"), '"', &format!("\"{key}\":\"T\""));
    }
    for key in
        ["id", "server", "server_id", "leader", "host", "pinned_client_id", "pinned_id", "pause_until", "account"]
    {
        line = replace_values(&line, &format!("\"{key}\":\""), '"', &format!("\"{key}\":\"X\""));
    }
    for key in ["pause_remaining", "ack_time", "active"] {
        line = replace_values(&line, &format!("\"{key}\":"), |c: char| !c.is_ascii_digit(), &format!("\"{key}\":1"));
    }
    if line.contains("api_audit")
        && let Some(at) = line.find(",\"response\":")
    {
        line.truncate(at);
        line.push_str(",\"response\":\"R\"}");
    }
    line = replace_values(&line, "Nats-Stream-Identity: ", |c: char| c == '|' || c == ']', "Nats-Stream-Identity: X");
    let identity = "stream identity does not match: ";
    line = replace_values(&line, identity, '"', &format!("{identity}X\""));
    line = replace_values(&line, "\"client\":{", '}', "\"client\":{}");
    for name in ["Nats-Time-Stamp", "Nats-Schedule-Next"] {
        line = replace_values(&line, &format!("{name}: 20"), |c: char| c == '|' || c == ']', &format!("{name}: T"));
    }
    line = replace_values(&line, "Nats-Schedule: @at 20", |c: char| c == '|' || c == ']', "Nats-Schedule: @at T");
    line = replace_values(&line, "Nats-Pin-Id: ", |c: char| c == '|' || c == ']', "Nats-Pin-Id: X");
    for prefix in ["$JS.SNAPSHOT.RESTORE.", "$JS.SNAPSHOT.ACK."] {
        if let Some(at) = line.find(prefix) {
            let tail = &line[at + prefix.len()..];
            let mut tokens: Vec<String> = tail.split('.').map(str::to_owned).collect();
            if let Some(id) = tokens.get_mut(1) {
                let end = id.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(id.len());
                id.replace_range(..end, "ID");
            }
            line = format!("{}{prefix}{}", &line[..at], tokens.join("."));
        }
    }
    let tokens: Vec<&str> = line.split('.').map(|token| if is_time(token) { "TIME" } else { token }).collect();
    tokens.join(".").replace(&"x".repeat(4097), "{{x4097}}").replace(&"n".repeat(256), "{{n256}}")
}

/// Header blocks in base 64 as text, with the identity of an origin replaced.
fn decoded(line: &str) -> String {
    let Some((before, rest)) = line.split_once("\"hdrs\":\"") else { return line.to_owned() };
    let Some((coded, after)) = rest.split_once('"') else { return line.to_owned() };
    let bytes = data_encoding::BASE64.decode(coded.as_bytes()).expect("base 64");
    let block = String::from_utf8_lossy(&bytes).trim_end().replace("\r\n", "|");
    let lines = block.split('|').map(|line| match line.strip_prefix("Nats-Stream-Source: ") {
        Some(source) if source.split(' ').count() == 6 => {
            let (known, _) = source.rsplit_once(' ').expect("six words");
            format!("Nats-Stream-Source: {known} ID")
        }
        _ => line.to_owned(),
    });
    format!("{before}\"hdrs\":\"{}\"{after}", lines.collect::<Vec<_>>().join("|"))
}
