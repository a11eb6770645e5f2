//! The first page, for people.

use crate::answer::Answer;
use crate::pages::House;

const PAGES: [(&str, &str); 11] = [
    ("varz", "Server"),
    ("jsz", "JetStream"),
    ("connz", "Connections"),
    ("accountz", "Accounts"),
    ("accstatz", "Account counts"),
    ("subsz", "Subscriptions"),
    ("routez", "Routes"),
    ("leafz", "Leaf nodes"),
    ("gatewayz", "Gateways"),
    ("healthz", "Health"),
    ("metrics", "Metrics"),
];

impl House {
    pub(super) fn root(&self) -> Answer {
        // A page at `/some/path` has no slash at its end, so links begin with the whole path.
        let base = escaped(self.settings.base());
        let version = escaped(&self.hub.settings().greeting.version);
        let links: String =
            PAGES.iter().map(|(page, title)| format!("<li><a href=\"{base}/{page}\">{title}</a></li>\n")).collect();
        Answer::html(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>nats-server</title></head>\n<body>\n\
             <h1>nats-server {version}</h1>\n<ul>\n{links}</ul>\n</body>\n</html>\n"
        ))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
