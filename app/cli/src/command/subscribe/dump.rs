//! Messages as JSON, in files or on stdout.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use async_nats::Message;
use data_encoding::BASE64;
use serde::Serialize;

use crate::command::body::Translator;
use crate::show::{log, out, write_out};

/// A message as programs read it: the body in base64.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Dumped<'a> {
    subject: &'a str,
    reply: &'a str,
    header: Option<BTreeMap<String, Vec<String>>>,
    data: String,
    sub: Option<()>,
}

/// Writes a message to a file, or to stdout with a NUL behind it.
pub(crate) async fn dump(message: &Message, translator: &Translator<'_>, file: Option<&Path>, number: u64) {
    let body = match translator.translate(&message.payload, "", "").await {
        Ok(body) => body,
        Err(error) => return log!("Error while translating msg body: {error:#}\n"),
    };
    let header = message.headers.as_ref().map(|headers| {
        let texts = |values: &Vec<async_nats::HeaderValue>| values.iter().map(ToString::to_string).collect();
        headers.iter().map(|(name, values)| (name.to_string(), texts(values))).collect()
    });
    let reply = message.reply.as_ref().map_or("", |reply| reply.as_str());
    let dumped = Dumped { subject: &message.subject, reply, header, data: BASE64.encode(&body), sub: None };
    let mut json = serde_json::to_vec(&dumped).unwrap_or_default();
    match file {
        None => {
            json.push(0);
            write_out(&json);
        }
        Some(path) => {
            if let Err(error) = write_private(path, &json) {
                log!("Could not save message: {error}");
            }
            if number.is_multiple_of(100) {
                out!(".");
            }
        }
    }
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content)
}
