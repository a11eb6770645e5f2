//! The command line: words of the reference server, with one dash or two, as a second tree that is read over the file.

use std::path::PathBuf;

use conf::{Map, Node, Place, Text, Value};

use crate::listener::split_host_port;
use crate::url::Url;

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// `-c`.
    pub(crate) config_file: Option<String>,
    /// `-t`.
    pub(crate) is_test: bool,
    /// Instead of running.
    pub(crate) instead: Option<Instead>,
    /// `--tls` and its companions.
    pub(crate) tls: TlsFlags,
    /// Options, as a tree.
    pub(crate) tree: Map,
    /// `--cluster ""` takes the listener of the file back.
    pub(crate) closes_cluster: bool,
}

/// What to do instead of running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    Version,
    Help,
    HelpTls,
    Signal(String),
}

/// `--tls` and its companions. They replace the block of the file, they do not add to it.
#[derive(Debug, Default)]
pub(crate) struct TlsFlags {
    on: Option<bool>,
    verify: Option<bool>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

/// What the TLS flags ask for.
pub(crate) enum TlsChoice {
    /// What the file says.
    AsConfigured,
    /// No encryption.
    Off,
    /// This block.
    Block(Box<tls::Settings>),
}

impl TlsFlags {
    pub(crate) fn choice(&self) -> Result<TlsChoice, &'static str> {
        let is_any =
            self.verify.is_some() || self.cert_file.is_some() || self.key_file.is_some() || self.ca_file.is_some();
        match self.on {
            Some(false) => return Ok(TlsChoice::Off),
            None if !is_any => return Ok(TlsChoice::AsConfigured),
            _ => {}
        }
        let cert_file = self.cert_file.clone().ok_or("TLS Server certificate must be present and valid")?;
        let key_file = self.key_file.clone().ok_or("TLS Server private key must be present and valid")?;
        let verify = self.verify.unwrap_or(false);
        let block = crate::tls::from_flags(cert_file, key_file, self.ca_file.clone(), verify);
        Ok(TlsChoice::Block(Box::new(block)))
    }
}

/// Why the command line is not one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The words are wrong: the usage text follows.
    Usage(String),
    /// The words are right and their meaning is not.
    Meaning(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Bool,
    Integer,
    Text,
}

/// What a flag does.
#[derive(Clone, Copy)]
enum Does {
    /// Sets options of the tree, by path.
    Sets(&'static [&'static [&'static str]]),
    Config,
    Test,
    Version,
    Help,
    HelpTls,
    Signal,
    Cluster,
    Routes,
    Tls,
    TlsVerify,
    TlsCert,
    TlsKey,
    TlsCa,
}

struct Flag {
    names: &'static [&'static str],
    takes: Takes,
    does: Does,
}

const fn flag(names: &'static [&'static str], takes: Takes, does: Does) -> Flag {
    Flag { names, takes, does }
}

use Does::Sets;
use Takes::{Bool, Integer};

/// All flags.
const FLAGS: &[Flag] = &[
    flag(&["h", "help"], Bool, Does::Help),
    flag(&["help_tls"], Bool, Does::HelpTls),
    flag(&["v", "version"], Bool, Does::Version),
    flag(&["c", "config"], Takes::Text, Does::Config),
    flag(&["t"], Bool, Does::Test),
    flag(&["sl", "signal"], Takes::Text, Does::Signal),
    flag(&["a", "addr", "net"], Takes::Text, Sets(&[&["host"]])),
    flag(&["p", "port"], Integer, Sets(&[&["port"]])),
    flag(&["n", "name", "server_name"], Takes::Text, Sets(&[&["server_name"]])),
    flag(&["client_advertise"], Takes::Text, Sets(&[&["client_advertise"]])),
    flag(&["P", "pid"], Takes::Text, Sets(&[&["pid_file"]])),
    flag(&["ports_file_dir"], Takes::Text, Sets(&[&["ports_file_dir"]])),
    flag(&["m", "http_port"], Integer, Sets(&[&["http_port"]])),
    flag(&["ms", "https_port"], Integer, Sets(&[&["https_port"]])),
    flag(&["l", "log"], Takes::Text, Sets(&[&["log_file"]])),
    flag(&["log_format"], Takes::Text, Sets(&[&["log_format"]])),
    flag(&["log_size_limit"], Integer, Sets(&[&["log_size_limit"]])),
    flag(&["T", "logtime"], Bool, Sets(&[&["logtime"]])),
    flag(&["logtime_utc"], Bool, Sets(&[&["logtime_utc"]])),
    flag(&["s", "syslog"], Bool, Sets(&[&["syslog"]])),
    flag(&["r", "remote_syslog"], Takes::Text, Sets(&[&["remote_syslog"]])),
    flag(&["D", "debug"], Bool, Sets(&[&["debug"]])),
    flag(&["V", "trace"], Bool, Sets(&[&["trace"]])),
    flag(&["DV"], Bool, Sets(&[&["debug"], &["trace"]])),
    flag(&["VV"], Bool, Sets(&[&["trace_verbose"]])),
    flag(&["DVV"], Bool, Sets(&[&["debug"], &["trace_verbose"]])),
    flag(&["max_traced_msg_len"], Integer, Sets(&[&["max_traced_msg_len"]])),
    flag(&["js", "jetstream"], Bool, Sets(&[&["jetstream"]])),
    flag(&["sd", "store_dir"], Takes::Text, Sets(&[&["store_dir"]])),
    flag(&["user"], Takes::Text, Sets(&[&["authorization", "user"]])),
    flag(&["pass"], Takes::Text, Sets(&[&["authorization", "password"]])),
    flag(&["auth"], Takes::Text, Sets(&[&["authorization", "token"]])),
    flag(&["tls"], Bool, Does::Tls),
    flag(&["tlsverify"], Bool, Does::TlsVerify),
    flag(&["tlscert"], Takes::Text, Does::TlsCert),
    flag(&["tlskey"], Takes::Text, Does::TlsKey),
    flag(&["tlscacert"], Takes::Text, Does::TlsCa),
    flag(&["routes"], Takes::Text, Does::Routes),
    flag(&["cluster", "cluster_listen"], Takes::Text, Does::Cluster),
    flag(&["cluster_name"], Takes::Text, Sets(&[&["cluster", "name"]])),
    flag(&["cluster_advertise"], Takes::Text, Sets(&[&["cluster", "advertise"]])),
    flag(&["no_advertise"], Bool, Sets(&[&["cluster", "no_advertise"]])),
    flag(&["connect_retries"], Integer, Sets(&[&["cluster", "connect_retries"]])),
    flag(&["profile"], Integer, Sets(&[&["prof_port"]])),
];

/// Every name a flag has, for the test that the help names them all.
#[doc(hidden)]
pub fn flag_names() -> Vec<&'static str> {
    FLAGS.iter().flat_map(|flag| flag.names.iter().copied()).collect()
}

/// Reads the words behind the program's name.
pub(crate) fn parse(args: &[String]) -> Result<Flags, Mistake> {
    let mut flags = Flags::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let Some(body) = body_of(word)? else {
            // Words that are not flags end them.
            let rest = if word == "--" { words.next() } else { Some(word) };
            flags.command(rest)?;
            break;
        };
        let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
        let flag = FLAGS.iter().find(|flag| flag.names.contains(&name));
        let Some(flag) = flag else {
            return Err(unknown(name));
        };
        let value = match (flag.takes, value) {
            (_, Some(value)) => value,
            (Takes::Bool, None) => "true",
            (_, None) => match words.next() {
                Some(value) => value,
                None => return Err(Mistake::Usage(format!("flag needs an argument: -{name}"))),
            },
        };
        flags.apply(flag, name, value)?;
    }
    Ok(flags)
}

/// The flag without its dashes; `None` for a word that is no flag.
fn body_of(word: &str) -> Result<Option<&str>, Mistake> {
    let Some(one) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
        return Ok(None);
    };
    let body = one.strip_prefix('-').unwrap_or(one);
    if body.is_empty() {
        return Ok(None);
    }
    if body.starts_with(['-', '=']) {
        return Err(Mistake::Usage(format!("bad flag syntax: {word}")));
    }
    Ok(Some(body))
}

fn unknown(name: &str) -> Mistake {
    let all: Vec<&str> = FLAGS.iter().flat_map(|flag| flag.names).copied().collect();
    let hint = crate::suggest::nearest(name, &all).filter(|_| name.len() > 2);
    let hint = hint.map(|meant| format!(" (did you mean --{meant}?)")).unwrap_or_default();
    Mistake::Usage(format!("flag provided but not defined: -{name}{hint}"))
}

impl Flags {
    fn command(&mut self, word: Option<&String>) -> Result<(), Mistake> {
        match word.map(|word| word.to_ascii_lowercase()).as_deref() {
            None => {}
            Some("version") => self.instead = Some(Instead::Version),
            Some("help") => self.instead = Some(Instead::Help),
            Some(_) => {
                let shown = crate::go_text::quoted(word.map_or("", String::as_str));
                return Err(Mistake::Meaning(format!("unrecognized command: {shown}")));
            }
        }
        Ok(())
    }

    fn apply(&mut self, flag: &Flag, name: &str, written: &str) -> Result<(), Mistake> {
        let value = value_of(flag, name, written)?;
        let truth = matches!(value, Value::Bool(true));
        let path = || Some(PathBuf::from(written)).filter(|_| !written.is_empty());
        match flag.does {
            Sets(paths) => paths.iter().for_each(|path| set(&mut self.tree, path, name, value.clone())),
            Does::Config => self.config_file = Some(written.to_owned()).filter(|file| !file.is_empty()),
            Does::Test => self.is_test = truth,
            // The version comes before the help, and both before anything else.
            Does::Version if truth => self.instead = Some(Instead::Version),
            Does::Help if truth && self.instead != Some(Instead::Version) => self.instead = Some(Instead::Help),
            Does::HelpTls if truth && !matches!(self.instead, Some(Instead::Version | Instead::Help)) => {
                self.instead = Some(Instead::HelpTls);
            }
            Does::Version | Does::Help | Does::HelpTls => {}
            Does::Signal if self.instead.is_none() && !written.is_empty() => {
                self.instead = Some(Instead::Signal(written.to_owned()));
            }
            Does::Signal => {}
            Does::Cluster => self.set_cluster(name, written)?,
            Does::Routes => self.set_routes(name, written),
            Does::Tls => self.tls.on = Some(truth),
            Does::TlsVerify => self.tls.verify = Some(truth),
            Does::TlsCert => self.tls.cert_file = path(),
            Does::TlsKey => self.tls.key_file = path(),
            Does::TlsCa => self.tls.ca_file = path(),
        }
        Ok(())
    }

    /// `nats://user:password@host:port`. The login of the file goes with its listener.
    fn set_cluster(&mut self, name: &str, written: &str) -> Result<(), Mistake> {
        self.closes_cluster = written.is_empty();
        if written.is_empty() {
            return Ok(());
        }
        let (address, is_random) = match written.strip_suffix(":-1") {
            Some(host) => (format!("{host}:0"), true),
            None => (written.to_owned(), false),
        };
        let wrong = || Mistake::Meaning(format!("invalid cluster url for --{name}: write nats://host:port"));
        // Port 0 is no port of an address elsewhere, so it is taken apart here.
        let authority = address.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
        let (info, host_port) = authority.rsplit_once('@').map_or((None, authority), |(i, rest)| (Some(i), rest));
        let (host, port) = split_host_port(host_port).ok_or_else(wrong)?;
        let port: i64 = if is_random { -1 } else { port.parse().map_err(|_| wrong())? };
        let text = |text: &str| Value::String(Text::new(text));
        set(&mut self.tree, &["cluster", "host"], name, text(host));
        set(&mut self.tree, &["cluster", "port"], name, Value::Integer(port));
        let (user, password) = match info {
            None => (String::new(), String::new()),
            Some(info) if !info.contains(':') => {
                return Err(Mistake::Meaning("expected cluster password to be set".to_owned()));
            }
            Some(info) => {
                let url = Url::parse(&format!("nats://{info}@host")).ok_or_else(wrong)?;
                let part = |part: Option<nkeys::Secret<String>>| part.map_or_else(String::new, |s| s.expose().clone());
                (part(url.user), part(url.password))
            }
        };
        set(&mut self.tree, &["cluster", "authorization", "user"], name, text(&user));
        set(&mut self.tree, &["cluster", "authorization", "password"], name, text(&password));
        Ok(())
    }

    fn set_routes(&mut self, name: &str, written: &str) {
        let routes = written.split(',').map(str::trim).filter(|route| !route.is_empty());
        let nodes = routes.map(|route| Node::new(place(name), Value::String(Text::new(route)))).collect();
        set(&mut self.tree, &["cluster", "routes"], name, Value::Array(nodes));
    }
}

fn value_of(flag: &Flag, name: &str, written: &str) -> Result<Value, Mistake> {
    let shown = crate::go_text::quoted(written);
    match flag.takes {
        Takes::Text => Ok(Value::String(Text::new(written))),
        Takes::Bool => match written {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(Mistake::Usage(format!("invalid boolean value {shown} for -{name}: parse error"))),
        },
        Takes::Integer => match integer(written) {
            Some(number) => Ok(Value::Integer(number)),
            None => Err(Mistake::Usage(format!("invalid value {shown} for flag -{name}: parse error"))),
        },
    }
}

/// Decimal, or with the prefix of another base.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ => (10, lower.strip_prefix('+').filter(|_| !negative).unwrap_or(&lower)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i64::from_str_radix(digits, base).ok()?;
    Some(if negative { -number } else { number })
}

fn place(name: &str) -> Place {
    let dashes = if name.len() > 2 { "--" } else { "-" };
    Place::new(format!("{dashes}{name}"), 0, 0)
}

/// Sets a key of the tree, making the maps on the way. What is set later is read later.
fn set(tree: &mut Map, path: &[&str], name: &str, value: Value) {
    match path {
        [] => {}
        [key] => tree.insert(*key, Node::new(place(name), value)),
        [key, rest @ ..] => {
            if tree.get(key).is_none_or(|node| node.as_map().is_none()) {
                tree.insert(*key, Node::new(place(name), Value::Map(Map::new())));
            }
            if let Some(Node { value: Value::Map(inner), .. }) = tree.get_mut(key) {
                set(inner, rest, name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Flags {
        parse(&words(line)).unwrap_or_else(|mistake| panic!("{line}: {mistake:?}"))
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn json(line: &str) -> String {
        conf::to_json(&parsed(line).tree).to_string()
    }

    #[test]
    fn one_dash_and_two_are_the_same_and_a_value_may_follow_an_equals_sign() {
        for line in ["-p 4333", "--port 4333", "-port=4333", "--p=4333", "-p 0x10ED"] {
            assert_eq!(json(line), r#"{"port":4333}"#, "{line}");
        }
        assert_eq!(json("-p -1 -a 127.0.0.1"), r#"{"host":"127.0.0.1","port":-1}"#);
    }

    #[test]
    fn a_boolean_takes_its_value_after_an_equals_sign_only() {
        assert_eq!(json("-D --logtime=false -DV=0"), r#"{"debug":false,"logtime":false,"trace":false}"#);
        assert_eq!(json("-DVV"), r#"{"debug":true,"trace_verbose":true}"#);
    }

    #[test]
    fn what_is_no_flag_ends_the_flags() {
        assert_eq!(parsed("-D version -x").instead, Some(Instead::Version));
        assert_eq!(parsed("HELP").instead, Some(Instead::Help));
        assert_eq!(parsed("-- version").instead, Some(Instead::Version));
        let mistake = parse(&words("start")).unwrap_err();
        assert_eq!(mistake, Mistake::Meaning("unrecognized command: \"start\"".to_owned()));
    }

    #[test]
    fn wrong_words_are_told_as_the_reference_does() {
        for (line, text) in [
            ("--foo", "flag provided but not defined: -foo"),
            ("--prot 1", "flag provided but not defined: -prot (did you mean --port?)"),
            ("-p", "flag needs an argument: -p"),
            ("-p abc", "invalid value \"abc\" for flag -p: parse error"),
            ("-p 1x", "invalid value \"1x\" for flag -p: parse error"),
            ("-D=maybe", "invalid boolean value \"maybe\" for -D: parse error"),
            ("---p 1", "bad flag syntax: ---p"),
            ("-=1", "bad flag syntax: -=1"),
        ] {
            assert_eq!(parse(&words(line)).unwrap_err(), Mistake::Usage(text.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_cluster_address_may_hold_a_login_and_a_random_port() {
        let tree = r#"{"cluster":{"authorization":{"password":"p@w","user":"bob"},"host":"::1","port":-1}}"#;
        assert_eq!(json("--cluster nats://bob:p%40w@[::1]:-1"), tree);
        let tree = r#"{"cluster":{"authorization":{"password":"","user":""},"host":"h","port":6222}}"#;
        assert_eq!(json("--cluster_listen nats://h:6222"), tree);
        let mistake = parse(&words("--cluster nats://bob@h:1")).unwrap_err();
        assert_eq!(mistake, Mistake::Meaning("expected cluster password to be set".to_owned()));
        assert!(parse(&words("--cluster h:1")).is_err());
        assert!(parse(&["--cluster".to_owned(), String::new()]).is_ok_and(|flags| flags.closes_cluster));
    }

    #[test]
    fn tls_flags_want_a_certificate_and_its_key() {
        let why = |line: &str| parsed(line).tls.choice().err();
        assert_eq!(why("--tls"), Some("TLS Server certificate must be present and valid"));
        assert_eq!(why("--tlsverify --tlscert c"), Some("TLS Server private key must be present and valid"));
        assert!(matches!(parsed("--tls=false --tlscert c").tls.choice(), Ok(TlsChoice::Off)));
        assert!(matches!(parsed("-D").tls.choice(), Ok(TlsChoice::AsConfigured)));
        let Ok(TlsChoice::Block(block)) = parsed("--tlsverify --tlscert c --tlskey k --tlscacert a").tls.choice()
        else {
            panic!("a block");
        };
        assert!(block.verify && block.certificates.len() == 1 && block.ca_file == Some("a".into()));
    }

    #[test]
    fn every_flag_is_read_and_no_name_is_used_twice() {
        let mut seen = Vec::new();
        for flag in FLAGS {
            for name in flag.names {
                assert!(!seen.contains(name), "{name}");
                seen.push(name);
                let value = if flag.takes == Takes::Integer { "1" } else { "true" };
                assert!(parse(&[format!("--{name}={value}")]).is_ok() || matches!(flag.does, Does::Cluster), "{name}");
            }
        }
        assert_eq!(seen.len(), 65);
    }
}
