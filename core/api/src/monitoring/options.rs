//! What a request for a document asks for: said by a query over HTTP, or by the body of a request to a system service.

use crate::system::{Body, BodyFault};

/// How much of its subscriptions is shown of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Subscriptions {
    /// Nothing.
    #[default]
    None,
    /// What they listen to.
    Names,
    /// All about them.
    Details,
}

impl Subscriptions {
    fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(match (body.flag("subscriptions_detail")?, body.flag("subscriptions")?) {
            (true, _) => Self::Details,
            (false, true) => Self::Names,
            (false, false) => Self::None,
        })
    }
}

/// The page nobody chose.
pub const PAGE_DEFAULT: u64 = 1024;

/// Which part of a list is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// So many are left out before it.
    pub offset: u64,
    /// So many it may have.
    pub limit: u64,
}

impl Default for Page {
    fn default() -> Self {
        Self { offset: 0, limit: PAGE_DEFAULT }
    }
}

impl Page {
    /// A page; numbers that make no sense are the default.
    pub fn new(offset: i64, limit: i64) -> Self {
        let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(PAGE_DEFAULT);
        Self { offset: u64::try_from(offset).unwrap_or(0), limit }
    }

    fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self::new(body.int("offset")?, body.int("limit")?))
    }

    /// The page of a list, cut to the bound. Nothing is added up that could run over.
    pub fn of<T>(self, list: Vec<T>, most: usize) -> Vec<T> {
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let take = usize::try_from(self.limit).unwrap_or(usize::MAX).min(most);
        list.into_iter().skip(skip).take(take).collect()
    }
}

/// Which connections are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ConnectionState {
    /// Those that live.
    #[default]
    Open,
    /// Those that are over.
    Closed,
    /// Both.
    Any,
    /// A state nobody knows: none.
    Unknown,
}

/// What is asked of `connz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ConnzOptions {
    pub sort: String,
    pub state: ConnectionState,
    pub page: Page,
    pub subscriptions: Subscriptions,
    pub auth: bool,
    pub id: u64,
    pub user: String,
    pub account: String,
    pub mqtt_client: String,
    pub filter_subject: String,
}

impl ConnzOptions {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self {
            sort: body.word("sort", "server.SortOpt")?,
            auth: body.flag("auth")?,
            subscriptions: Subscriptions::read(body)?,
            page: Page::read(body)?,
            id: body.uint("cid")?,
            mqtt_client: body.text("mqtt_client")?,
            state: match body.choice("state", "server.ConnState")? {
                0 => ConnectionState::Open,
                1 => ConnectionState::Closed,
                2 => ConnectionState::Any,
                _ => ConnectionState::Unknown,
            },
            user: body.text("user")?,
            account: body.text("acc")?,
            filter_subject: body.text("filter_subject")?,
        })
    }
}

/// What is asked of `subsz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SubszOptions {
    pub page: Page,
    pub subscriptions: bool,
    pub account: String,
    pub test: String,
}

impl SubszOptions {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self {
            page: Page::read(body)?,
            subscriptions: body.flag("subscriptions")?,
            account: body.text("account")?,
            test: body.text("test")?,
        })
    }
}

/// What is asked of `routez`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoutezOptions {
    /// Subscriptions of each route.
    pub subscriptions: Subscriptions,
}

impl RoutezOptions {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self { subscriptions: Subscriptions::read(body)? })
    }
}

/// What is asked of `gatewayz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct GatewayzOptions {
    pub name: String,
    pub accounts: bool,
    pub account: String,
    pub subscriptions: Subscriptions,
}

impl GatewayzOptions {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self {
            name: body.text("name")?,
            accounts: body.flag("accounts")?,
            account: body.text("account_name")?,
            subscriptions: Subscriptions::read(body)?,
        })
    }
}

/// What is asked of `leafz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LeafzOptions {
    pub subscriptions: bool,
    pub account: String,
}

impl LeafzOptions {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self { subscriptions: body.flag("subscriptions")?, account: body.text("account")? })
    }
}

/// What is asked of `jsz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JszOptions {
    pub account: String,
    pub accounts: bool,
    pub streams: bool,
    pub consumers: bool,
    pub direct_consumers: bool,
    pub config: bool,
    pub leader_only: bool,
    pub page: Page,
    pub raft: bool,
    pub stream_leader_only: bool,
}

impl JszOptions {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self {
            account: body.text("account")?,
            accounts: body.flag("accounts")?,
            streams: body.flag("streams")?,
            consumers: body.flag("consumer")?,
            direct_consumers: body.flag("direct_consumer")?,
            config: body.flag("config")?,
            leader_only: body.flag("leader_only")?,
            page: Page::read(body)?,
            raft: body.flag("raft")?,
            stream_leader_only: body.flag("stream_leader_only")?,
        })
    }
}

/// What is asked of `healthz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct HealthzOptions {
    pub enabled_only: bool,
    pub server_only: bool,
    pub meta_only: bool,
    pub account: String,
    pub stream: String,
    pub consumer: String,
    pub details: bool,
}

impl HealthzOptions {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self {
            enabled_only: body.flag("js-enabled")? | body.flag("js-enabled-only")?,
            server_only: body.flag("js-server-only")?,
            meta_only: body.flag("js-meta-only")?,
            account: body.text("account")?,
            stream: body.text("stream")?,
            consumer: body.text("consumer")?,
            details: body.flag("details")?,
        })
    }
}

/// What is asked of `accstatz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AccstatzOptions {
    /// These, or all where it is empty.
    pub accounts: Vec<String>,
    pub include_unused: bool,
}

impl AccstatzOptions {
    /// Reads a body.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self { accounts: body.texts("accounts")?, include_unused: body.flag("include_unused")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-28: a page at the end of numbers, asked for by a tenant.
    #[test]
    fn advisory_2026_28_a_page_never_runs_over() {
        for (offset, limit) in [(i64::MAX, i64::MAX), (i64::MAX, 1), (i64::MIN, i64::MIN)] {
            let body = Body::parse(format!(r#"{{"offset":{offset},"limit":{limit}}}"#).as_bytes(), "X").unwrap();
            let page = ConnzOptions::read(&body).unwrap().page;
            assert_eq!(page.of(vec![1, 2, 3], 2).len(), if offset < 0 { 2 } else { 0 });
        }
        assert_eq!(Page::new(1, i64::MAX).of(vec![1, 2, 3, 4], 2), [2, 3]);
        assert_eq!(Page::new(-3, -5), Page { offset: 0, limit: 1024 });
    }

    #[test]
    fn connections_are_asked_for_by_number_of_state() {
        let state = |number: i64| {
            let body = Body::parse(format!("{{\"state\":{number}}}").as_bytes(), "X").unwrap();
            ConnzOptions::read(&body).unwrap().state
        };
        assert_eq!(
            (state(1), state(2), state(7)),
            (ConnectionState::Closed, ConnectionState::Any, ConnectionState::Unknown)
        );
    }
}
