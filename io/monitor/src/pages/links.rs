//! `/routez`, `/gatewayz`, `/leafz` and `/jsz`, as a server answers that has none of these parts.

use api::monitoring::{Gatewayz, Jsz, Leafz, Routez};

use crate::answer::Answer;
use crate::pages::House;
use crate::query::{Fault, Query};

impl House {
    pub(super) fn routez(&self, query: &Query) -> Result<Answer, Fault> {
        query.subscriptions()?;
        let server_name = self.hub.settings().greeting.server_name.clone();
        let routez = Routez { server_id: self.server_id(), server_name, now: self.now(), ..Routez::default() };
        Ok(Answer::document(&routez))
    }

    pub(super) fn gatewayz(&self, query: &Query) -> Result<Answer, Fault> {
        query.subscriptions()?;
        query.flag("accs")?;
        Ok(Answer::document(&Gatewayz { server_id: self.server_id(), now: self.now(), ..Gatewayz::default() }))
    }

    pub(super) fn leafz(&self, query: &Query) -> Result<Answer, Fault> {
        query.flag("subs")?;
        Ok(Answer::document(&Leafz { server_id: self.server_id(), now: self.now(), ..Leafz::default() }))
    }

    pub(super) fn jsz(&self, query: &Query) -> Result<Answer, Fault> {
        query.flags([
            "accounts",
            "streams",
            "consumers",
            "direct-consumers",
            "config",
            "leader-only",
            "raft",
            "stream-leader-only",
        ])?;
        query.page()?;
        let jsz = Jsz { server_id: self.server_id(), now: self.now(), disabled: true, ..Jsz::default() };
        Ok(Answer::document(&jsz))
    }
}
