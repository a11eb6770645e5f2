//! From an HTTP request to a page, and from an answer to HTTP.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode, Uri};

use crate::answer::Answer;
use crate::pages::House;
use crate::query::{Fault, Query};

impl House {
    /// The answer to a request. Any method gets it; bodies are not read.
    pub(crate) async fn answer(&self, uri: &Uri) -> Response<Full<Bytes>> {
        let query = Query::parse(uri.query().unwrap_or_default());
        let page = match inside(uri.path(), self.settings.base()) {
            Some(path) => self.page(path, &query).await,
            None => None,
        };
        let answer = match page {
            Some(Ok(answer)) => answer,
            Some(Err(Fault(text))) => Answer::fault(&text),
            None => Answer::nowhere(),
        };
        spoken(answer, self.settings.cross_origin)
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

fn spoken(answer: Answer, cross_origin: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
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
