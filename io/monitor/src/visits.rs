//! How often each page was asked for.

use std::collections::BTreeMap;

/// Visits by page, for `http_req_stats`.
#[derive(Default)]
pub(crate) struct Visits(BTreeMap<&'static str, u64>);

impl Visits {
    /// One more.
    pub(crate) fn count(&mut self, page: &'static str) {
        let visits = self.0.entry(page).or_default();
        *visits = visits.saturating_add(1);
    }

    /// The counts so far.
    pub(crate) fn all(&self) -> &BTreeMap<&'static str, u64> {
        &self.0
    }
}
