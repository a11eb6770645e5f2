//! Asking a responder.

use std::time::{Duration, Instant};

use tls::ClientTls;
use tls::ocsp::{MAX_ANSWER, get_url};

use crate::http::{Answer, Question, Url, exchange};

/// Asks one responder: by POST, and by GET if it does not like that.
///
/// # Errors
/// With what went wrong, for the log.
pub(super) fn ask(responder: &str, question: &[u8], patience: Duration) -> Result<Vec<u8>, String> {
    let until = Instant::now() + patience;
    let posted = Url::parse(responder).and_then(|url| fetch(&url, Some(question), until));
    posted.or_else(|why| {
        let got = Url::parse(&get_url(responder, question)).and_then(|url| fetch(&url, None, until));
        got.map_err(|also| if also == why { why } else { format!("{why}; by GET: {also}") })
    })
}

fn fetch(url: &Url, body: Option<&[u8]>, until: Instant) -> Result<Vec<u8>, String> {
    let build = || ClientTls::build(&tls::Settings::default(), &|path| std::fs::read(path));
    let tls = url.is_secure().then(build).transpose().map_err(|error| error.to_string())?;
    let headers = [("Accept", "application/ocsp-response"), ("Content-Type", "application/ocsp-request")];
    let headers = if body.is_some() { &headers[..] } else { &headers[..1] };
    let Answer { status, body } =
        exchange(url, &Question { headers, body, body_max: MAX_ANSWER }, tls.as_ref(), until)?;
    if status == "200" { Ok(body) } else { Err(format!("bad OCSP responder http status: [{status}]")) }
}
