//! From an HTTP request to a page, and from an answer to HTTP.

use std::net::IpAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode, Uri};

use crate::answer::Answer;
use crate::login;
use crate::observatory::Fault;
use crate::pages::House;
use crate::query::Query;

/// What a browser may do with our pages: show them, with our own style and script, which may ask us. Nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl House {
    /// The answer to a request. Any method gets it; bodies are not read.
    pub(crate) fn answer(&self, uri: &Uri, shown: Option<&HeaderValue>, from: IpAddr) -> Response<Full<Bytes>> {
        let facts = &self.observatory.facts;
        let asks = facts.asks_who();
        let admits = |login: login::Login| facts.admits(&login.user, login.password.expose(), from);
        if asks && !login::read(shown).is_some_and(admits) {
            if shown.is_some() {
                facts.warn("monitoring: a login was refused");
            }
            return spoken(Answer::who(), false);
        }
        let query = Query::parse(uri.query().unwrap_or_default());
        let page = match inside(uri.path(), self.settings.base()) {
            Some(path) => self.page(path, &query),
            None => None,
        };
        let answer = match page {
            Some(Ok(answer)) => answer,
            Some(Err(Fault(text))) => Answer::fault(&text),
            None => Answer::nowhere(),
        };
        // Where visitors log in, no page of another origin reads along.
        spoken(answer, self.settings.cross_origin && !asks)
    }
}

/// The path behind the base path.
fn inside<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    match path.strip_prefix(base)? {
        "" => Some("/"),
        "/" if !base.is_empty() => None,
        rest if rest.starts_with('/') => Some(rest),
        _ => None,
    }
}

pub(crate) fn spoken(answer: Answer, cross_origin: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if answer.status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"nats-server\", charset=\"UTF-8\""));
    }
    if answer.is_open && cross_origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_live_under_the_base_path() {
        assert_eq!(inside("/", ""), Some("/"));
        assert_eq!(inside("/varz", ""), Some("/varz"));
        assert_eq!(inside("/some/path", "/some/path"), Some("/"));
        assert_eq!(inside("/some/path/varz", "/some/path"), Some("/varz"));
        assert_eq!(inside("/some/path/", "/some/path"), None);
        assert_eq!(inside("/some/pathvarz", "/some/path"), None);
        assert_eq!(inside("/varz", "/some/path"), None);
    }
}
