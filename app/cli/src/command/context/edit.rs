//! `nats context edit`: the context as a text with comments, in a person's own editor.

use std::fmt::Write;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Map, Value};

use crate::command::context::info;
use crate::context::{Record, Shelf};
use crate::invocation::Invocation;
use crate::parse::words;

/// Edit a context in $EDITOR
#[derive(Args, Debug)]
pub(crate) struct Edit {
    /// The context to edit
    name: String,
}

/// The keys in the order in which they are edited, each with what it means.
const KEYS: [(&str, &str); 22] = [
    ("description", "What this context is for"),
    ("url", "Servers to connect to, separated by commas"),
    ("user", "Name of the user; needs a password"),
    ("password", "Password: the text itself, or op://, nsc://, env://, file://"),
    ("creds", "Credentials: a file, or op://, nsc://, env://, data:;base64,"),
    ("nkey", "Seed of a user nkey: the same forms"),
    ("user_jwt", "User JWT, instead of credentials"),
    ("user_seed", "Seed that belongs to the user JWT"),
    ("token", "Token"),
    ("cert", "TLS certificate of this client; needs its key"),
    ("key", "TLS key of this client"),
    ("ca", "Certificate authorities to trust instead of the system's"),
    ("tls_first", "Make the TLS handshake before the server's greeting: true or false"),
    ("inbox_prefix", "Prefix of inboxes, for example _INBOX.private.user"),
    ("color_scheme", "Colours: rounded, double, yellow, blue, cyan, green, magenta, red"),
    ("jetstream_domain", "JetStream domain"),
    ("jetstream_api_prefix", "Subject prefix of a JetStream API that is imported"),
    ("jetstream_event_prefix", "Subject prefix of JetStream events that are imported"),
    ("socks_proxy", "SOCKS5 proxy, for example socks5://example.net:1090"),
    ("windows_cert_store", "Windows certificate store: user or machine"),
    ("windows_cert_match", "Which certificate of the store"),
    ("windows_cert_match_by", "Look for it by subject or issuer"),
];

impl Edit {
    pub(crate) async fn run(&self, invocation: &Invocation, shelf: &Shelf) -> Result<()> {
        if !shelf.knows(&self.name) {
            bail!("unknown context {:?}", self.name);
        }
        let before = shelf.load(&self.name)?;
        let scratch = Scratch::new(&page(&before)?)?;
        scratch.edit()?;
        let edited = parse(&std::fs::read_to_string(&scratch.0)?, &before)?;
        shelf.save(&self.name, &edited)?;
        info::show(invocation, shelf, &self.name, false).await.map(drop)
    }
}

/// A file for the editor that nobody else can read and that does not stay behind.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(text: &str) -> Result<Self> {
        let name = format!("nats-context-{}.yaml", crate::template::random_letters(12));
        let path = std::env::temp_dir().join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).context("could not create temporary copy to edit")?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        Ok(Self(path))
    }

    fn edit(&self) -> Result<()> {
        let editor = std::env::var("EDITOR").unwrap_or_default();
        let words = words(&editor).map_err(|error| anyhow::anyhow!("could not parse EDITOR: {error}"))?;
        let Some((program, arguments)) = words.split_first() else {
            bail!("set EDITOR environment variable to your chosen editor");
        };
        let status = std::process::Command::new(program).args(arguments).arg(&self.0).status();
        let status = status.with_context(|| format!("could not run the editor {program:?}"))?;
        if !status.success() {
            bail!("the editor ended with {status}, nothing was changed");
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn page(record: &Record) -> Result<String> {
    let values = serde_json::to_value(record)?;
    let mut text = String::new();
    for (key, meaning) in KEYS {
        let value = values.get(key).cloned().unwrap_or_default();
        writeln!(text, "# {meaning}\n{key}: {value}\n")?;
    }
    Ok(text)
}

/// Reads `key: value` lines: values are bare words, or quoted as in JSON. What is not on the page stays as it was.
fn parse(text: &str, before: &Record) -> Result<Record> {
    let Value::Object(mut values) = serde_json::to_value(before)? else { bail!("the context is not a record") };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        set(&mut values, line).with_context(|| format!("line {}", number + 1))?;
    }
    serde_json::from_value(Value::Object(values)).context("the edited context is not valid")
}

fn set(values: &mut Map<String, Value>, line: &str) -> Result<()> {
    let (key, value) = line.split_once(':').context("expected `key: value`")?;
    let (key, value) = (key.trim(), value.trim());
    if !KEYS.iter().any(|(known, _)| *known == key) {
        bail!("unknown key {key:?}");
    }
    let value = match value {
        "true" | "false" if key == "tls_first" => Value::Bool(value == "true"),
        quoted if quoted.starts_with('"') => serde_json::from_str(quoted).context("a quoted text is not closed")?,
        single if single.starts_with('\'') => Value::String(single.trim_matches('\'').to_owned()),
        "null" | "~" => Value::String(String::new()),
        bare => Value::String(bare.to_owned()),
    };
    values.insert(key.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_back_as_the_same_context() {
        let record = Record {
            url: "nats://a:1".into(),
            password: "with \"quotes\": and # marks".into(),
            user: "u".into(),
            tls_first: true,
            ..Record::default()
        };
        assert!(parse(&page(&record).unwrap(), &record).unwrap() == record);
    }

    #[test]
    fn bare_words_are_values_and_unknown_keys_are_errors() {
        let record = Record::default();
        assert_eq!(parse("url: nats://b:2\n# no\n", &record).unwrap().url, "nats://b:2");
        assert!(format!("{:#}", parse("\nurll: x", &record).err().unwrap()).contains("line 2: unknown key \"urll\""));
    }
}
