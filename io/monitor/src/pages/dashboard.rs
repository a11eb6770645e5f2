//! The dashboard: three files that come with the server. They ask no other host, and the browser is told to allow nothing
//! else.

use crate::answer::Answer;
use crate::pages::House;

const PAGE: &str = include_str!("../dashboard/index.html");
const STYLE: &str = include_str!("../dashboard/dashboard.css");
const SCRIPT: &str = include_str!("../dashboard/dashboard.js");

/// Where the base path stands in the page.
const BASE: &str = "{{base}}";

impl House {
    /// The page. A page at `/some/path` has no slash at its end, so its links begin with the whole path.
    pub(super) fn dashboard(&self) -> Answer {
        Answer::html(PAGE.replace(BASE, &escaped(self.settings.base())))
    }
}

/// What the page asks for.
pub(super) fn part(path: &str) -> Option<Answer> {
    match path {
        "/dashboard.css" => Some(Answer::asset("text/css; charset=utf-8", STYLE)),
        "/dashboard.js" => Some(Answer::asset("text/javascript; charset=utf-8", SCRIPT)),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
