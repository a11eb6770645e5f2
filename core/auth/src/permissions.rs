//! What a connection may do: the one door for publishing and subscribing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use moment::Instant;
use subject::{Filter, Queue, Subject};

use crate::authorized::{Authorized, Publish, SubscribeGrant};
use crate::denial::{Action, Because, Denial};
use crate::reading::{ReadRule, Reading};
use crate::reply::ReplyGrants;
use crate::rule::{Origin, Rule, RuleError, RuleSet, Side};
use crate::settings::{PermissionsSettings, ResponsePermission, RuleText};

/// Subjects to which no client may publish: replies on their way between clusters, in the present and the old form.
const SERVER_SUBJECTS: [&str; 2] = ["_GR_.", "$GR."];
/// Consensus traffic; for clients of the system account only.
const CONSENSUS_SUBJECTS: &str = "$NRG.";
/// Reply subjects that a client must not choose: service replies, acknowledgements, gateway replies.
const SERVER_REPLIES: [&str; 3] = ["_R_.", "$JS.ACK.", "_GR_."];
/// The queue group in which servers share work.
const SERVER_QUEUE: &[u8] = b"_sys_";
/// On this subject the auth callout service is asked.
pub(crate) const CALLOUT_SUBJECT: &str = "$SYS.REQ.USER.AUTH";

/// The deny rules for subscriptions, shared with every grant they concern.
pub(crate) type Denies = Arc<RuleSet>;

/// An absent allow list allows everything, an empty one nothing.
pub(crate) enum Allow {
    Everything,
    Only(Arc<RuleSet>),
}

/// Whom the permissions are for, as far as the server's own subjects are concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The account is the system account.
    pub system: bool,
    /// The account is the one in which the auth callout service listens.
    pub callout: bool,
}

/// What a connection may do, compiled. Immutable, and shared by all connections of the same user.
pub struct Permissions {
    pub(crate) publish_allow: Allow,
    pub(crate) publish_deny: RuleSet,
    subscribe_allow: Allow,
    subscribe_deny: Denies,
    responses: Option<ResponsePermission>,
    /// `None` for the server's own connections, which use the server's own subjects.
    client: Option<Binding>,
    /// Of somebody elsewhere whose own lists are not known: where it listens, neither.
    is_stranger: bool,
}

/// Where the rules of some settings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The user's own block in the configuration.
    Config,
    /// The account's or the authorization block's defaults.
    Default,
    /// All rules come from one and the same place.
    Given(Origin),
    /// The template of a scoped signing key, filled in for the user.
    Scope {
        /// The key.
        key: Arc<str>,
        /// What the account calls the scope.
        role: Arc<str>,
        /// Entries that were filled in, each with how it stands in the template.
        templates: BTreeMap<String, String>,
    },
}

impl Source {
    pub(crate) fn origin(&self, text: &RuleText) -> Origin {
        match self {
            Self::Config => Origin::Config(text.place.clone()),
            Self::Default => Origin::Default(text.place.clone()),
            Self::Given(origin) => origin.clone(),
            Self::Scope { key, role, templates } => {
                let template = templates.get(&text.text).map(|template| template.as_str().into());
                Origin::Scope { key: key.clone(), role: role.clone(), template }
            }
        }
    }
}

impl Permissions {
    /// Everything, the server's own subjects included: for routes, gateways and internal services.
    pub fn everything() -> Self {
        Self {
            publish_allow: Allow::Everything,
            publish_deny: RuleSet::empty(),
            subscribe_allow: Allow::Everything,
            subscribe_deny: Arc::new(RuleSet::empty()),
            responses: None,
            client: None,
            is_stranger: false,
        }
    }

    /// The same, of somebody whose own lists are not known: it is answered wherever it asks to be.
    #[must_use]
    pub fn of_stranger(self) -> Self {
        Self { is_stranger: true, ..self }
    }

    /// A client without rules: everything but what belongs to the server.
    pub fn unrestricted(binding: Binding) -> Self {
        let mut permissions = Self { client: Some(binding), ..Self::everything() };
        if binding.callout {
            let rule = Rule { text: CALLOUT_SUBJECT.into(), origin: Origin::Callout };
            permissions.publish_deny.add(rule, Side::Publish).expect("the callout subject is a subject");
        }
        permissions
    }

    /// Compiles a client's rules.
    pub fn compile(settings: &PermissionsSettings, source: &Source, binding: Binding) -> Result<Self, RuleError> {
        let compile = |texts: &[RuleText], side| RuleSet::compile(texts, side, |text| source.origin(text));
        let allow = |texts: &Option<Vec<RuleText>>, side| match texts {
            None => Ok(Allow::Everything),
            Some(texts) => compile(texts, side).map(|rules| Allow::Only(Arc::new(rules))),
        };
        let Self { publish_deny: own_denies, client, .. } = Self::unrestricted(binding);
        let mut permissions = Self {
            publish_allow: allow(&settings.publish.allow, Side::Publish)?,
            publish_deny: compile(settings.publish.deny.as_deref().unwrap_or_default(), Side::Publish)?,
            subscribe_allow: allow(&settings.subscribe.allow, Side::Subscribe)?,
            subscribe_deny: Arc::new(compile(settings.subscribe.deny.as_deref().unwrap_or_default(), Side::Subscribe)?),
            responses: settings.allow_responses,
            client,
            is_stranger: false,
        };
        for rule in own_denies.rules() {
            permissions.publish_deny.add(rule.clone(), Side::Publish)?;
        }
        // Who may answer is meant to do nothing else, unless a list says so.
        if permissions.responses.is_some() && matches!(permissions.publish_allow, Allow::Everything) {
            permissions.publish_allow = Allow::Only(Arc::new(RuleSet::empty()));
        }
        Ok(permissions)
    }

    /// Whether this subject may be published to.
    pub fn publish<'a>(&self, subject: Subject<'a>) -> Result<Authorized<Publish<'a>>, Denial> {
        match self.judge_publish(subject) {
            Ok(_) => Ok(Authorized::new(Publish { subject })),
            Err(because) => Err(Denial::publish(subject.as_bytes(), because)),
        }
    }

    /// The same, where requests that were delivered may be answered. A grant is used only if nothing else allows it, and
    /// never opens the server's own subjects.
    pub fn publish_with_grants<'a>(
        &self,
        subject: Subject<'a>,
        grants: &mut ReplyGrants,
        now: Instant,
    ) -> Result<Authorized<Publish<'a>>, Denial> {
        let denial = match self.publish(subject) {
            Ok(authorized) => return Ok(authorized),
            Err(denial) => denial,
        };
        let owned_by_server = matches!(denial.because, Because::ReservedSubject(_));
        if !owned_by_server && self.responses.is_some() && grants.use_one(subject.as_bytes(), now) {
            return Ok(Authorized::new(Publish { subject }));
        }
        Err(denial)
    }

    /// Bytes that are no subject reach nobody. Whether publishing to them is a violation too: under an allow list it is,
    /// as no entry matches them.
    pub fn publish_malformed(&self, bytes: &[u8]) -> Option<Denial> {
        let because = match (reserved_subject(self.client, bytes), &self.publish_allow) {
            (Some(prefix), _) => Because::ReservedSubject(prefix),
            (None, Allow::Only(_)) => Because::NotAllowed(None),
            (None, Allow::Everything) => return None,
        };
        Some(Denial::publish(bytes, because))
    }

    /// Whether an answer may be asked for on this subject.
    pub fn reply(&self, reply: &[u8]) -> Result<(), Denial> {
        match reserved_reply(reply) {
            Some(prefix) if self.client.is_some() => {
                Err(Denial { action: Action::Reply(reply.into()), because: Because::ReservedReply(prefix) })
            }
            _ => Ok(()),
        }
    }

    /// Whether this subscription may exist, and what it must not receive.
    ///
    /// An allow entry admits a subscription that it covers. A deny entry refuses one that is not wider than itself; from
    /// a wider one its subjects are withheld. If some entries that cover the filter are for queues, a queue group must be
    /// among them, else an entry without a queue is enough.
    pub fn subscribe(&self, filter: Filter, queue: Option<&Queue>) -> Result<SubscribeGrant, Denial> {
        match self.judge_subscribe(&filter, queue) {
            Ok(_) => {
                let withheld = self.subscribe_deny.overlaps(&filter, queue).then(|| self.subscribe_deny.clone());
                Ok(SubscribeGrant::new(filter, queue.cloned(), withheld))
            }
            Err(because) => Err(Denial::subscribe(&filter, queue, because)),
        }
    }

    /// What may be read of what is stored. `None`: everything.
    pub fn reading(&self, rule: ReadRule) -> Option<Reading> {
        let allow = match &self.subscribe_allow {
            Allow::Everything => None,
            Allow::Only(rules) => Some(rules),
        };
        Reading::new(allow, &self.subscribe_deny, rule)
    }

    /// The reply permission, if there is one.
    pub fn responses(&self) -> Option<ResponsePermission> {
        self.responses
    }

    /// Whether no rule restricts publishing; the server's own subjects stay closed to clients.
    pub fn publishes_freely(&self) -> bool {
        matches!(self.publish_allow, Allow::Everything) && self.publish_deny.is_empty()
    }

    /// Whether there is any rule.
    pub fn binds(&self) -> bool {
        !self.publishes_freely()
            || !self.subscribe_deny.is_empty()
            || !matches!(self.subscribe_allow, Allow::Everything)
    }

    /// Whether every subject of the filter may be published to.
    ///
    /// # Errors
    /// A rule that keeps some of them out.
    pub fn publish_all(&self, filter: &Filter) -> Result<(), Denial> {
        let allow = match &self.publish_allow {
            Allow::Everything => None,
            Allow::Only(rules) => Some(&**rules),
        };
        every_subject(allow, &self.publish_deny, filter)
    }

    /// Whether a message may be sent there on behalf of this user: it may publish there itself, or it is an inbox to which it may
    /// listen, in this group. Who may listen elsewhere may not: others listen there as well, and streams.
    ///
    /// # Errors
    /// Why it may not publish there.
    pub fn deliver(&self, to: Subject<'_>, queue: Option<&Queue>) -> Result<(), Denial> {
        self.judge_deliver(to, queue).map(drop).map_err(|because| Denial::publish(to.as_bytes(), because))
    }

    /// The rule that admits that messages are sent there (none if there is no list), or why it may not publish there:
    /// see [`Permissions::deliver`].
    pub fn judge_deliver(&self, to: Subject<'_>, queue: Option<&Queue>) -> Result<Option<&Rule>, Because> {
        let because = match self.judge_publish(to) {
            Ok(rule) => return Ok(rule),
            Err(because) => because,
        };
        if self.is_stranger {
            return Ok(None);
        }
        let is_open = is_inbox(to.as_bytes()) && !matches!(because, Because::ReservedSubject(_));
        let inbox = Filter::parse(to.as_bytes()).ok().filter(|_| is_open);
        inbox.and_then(|inbox| self.judge_subscribe(&inbox, queue).ok()).ok_or(because)
    }

    /// The rule that admits publishing to this subject (none if there is no list), or why it is refused.
    pub fn judge_publish(&self, subject: Subject<'_>) -> Result<Option<&Rule>, Because> {
        if let Some(prefix) = reserved_subject(self.client, subject.as_bytes()) {
            return Err(Because::ReservedSubject(prefix));
        }
        let admitting = match &self.publish_allow {
            Allow::Everything => None,
            Allow::Only(rules) => Some(rules.matching(subject).ok_or(Because::NotAllowed(None))?),
        };
        match self.publish_deny.matching(subject) {
            Some(rule) => Err(Because::Denied(rule.clone())),
            None => Ok(admitting),
        }
    }

    /// The rule that admits this subscription (none if there is no list), or why it is refused.
    pub fn judge_subscribe(&self, filter: &Filter, queue: Option<&Queue>) -> Result<Option<&Rule>, Because> {
        if self.client.is_some() && queue.is_some_and(|queue| queue.as_bytes() == SERVER_QUEUE) {
            return Err(Because::ReservedQueue);
        }
        let admitting = match &self.subscribe_allow {
            Allow::Everything => None,
            Allow::Only(rules) => Some(admits(rules, filter, queue)?),
        };
        let denied = self.subscribe_deny.matching_text(filter, queue);
        match denied.plain.or(denied.same_queue) {
            Some(rule) => Err(Because::Denied(rule.clone())),
            None => Ok(admitting),
        }
    }

    /// How many entries the lists have in all.
    pub fn entries(&self) -> usize {
        let allow = |allow: &Allow| match allow {
            Allow::Everything => 0,
            Allow::Only(rules) => rules.len(),
        };
        let allowed = allow(&self.publish_allow).saturating_add(allow(&self.subscribe_allow));
        allowed.saturating_add(self.publish_deny.len()).saturating_add(self.subscribe_deny.len())
    }

    /// The lists as written, for those who ask what they may do. The server's own rules are not among them.
    pub fn lists(&self) -> Lists<'_> {
        self.lists_of(|rule| rule.origin != Origin::Callout)
    }

    /// The lists, with whatever binds: for a server elsewhere that judges in the place of this one.
    pub fn all_lists(&self) -> Lists<'_> {
        self.lists_of(|_| true)
    }

    fn lists_of(&self, is_meant: impl Fn(&Rule) -> bool) -> Lists<'_> {
        fn texts<'a>(rules: &'a RuleSet, is_meant: &dyn Fn(&Rule) -> bool) -> Vec<&'a str> {
            rules.rules().filter(|rule| is_meant(rule)).map(|rule| &*rule.text).collect()
        }
        let allow = |allow| match allow {
            &Allow::Everything => None,
            Allow::Only(rules) => Some(texts(rules, &is_meant)),
        };
        Lists {
            publish_allow: allow(&self.publish_allow),
            publish_deny: texts(&self.publish_deny, &is_meant),
            subscribe_allow: allow(&self.subscribe_allow),
            subscribe_deny: texts(&self.subscribe_deny, &is_meant),
            responses: self.responses,
        }
    }
}

/// Whether a subject is named like the inboxes of clients, where nobody listens but whoever asked.
pub fn is_inbox(subject: &[u8]) -> bool {
    subject.first() == Some(&b'_')
}

/// See [`Permissions::lists`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists<'a> {
    /// Absent if everything may be published to.
    pub publish_allow: Option<Vec<&'a str>>,
    /// What may not be published to.
    pub publish_deny: Vec<&'a str>,
    /// Absent if everything may be subscribed to.
    pub subscribe_allow: Option<Vec<&'a str>>,
    /// What may not be subscribed to, queue entries included.
    pub subscribe_deny: Vec<&'a str>,
    /// Whether requests may be answered.
    pub responses: Option<ResponsePermission>,
}

/// The allow side of a subscription.
fn admits<'a>(rules: &'a RuleSet, filter: &Filter, queue: Option<&Queue>) -> Result<&'a Rule, Because> {
    let found = rules.covering(filter, queue);
    let verdict = match queue {
        None => found.plain,
        Some(_) => found.same_queue.or(if found.other_queue.is_some() { None } else { found.plain }),
    };
    verdict.ok_or_else(|| match found.other_queue {
        Some(rule) => Because::OtherQueue(rule.clone()),
        None => Because::NotAllowed(rules.overlapping(filter, queue).first().map(|rule| (*rule).clone())),
    })
}

/// Why not every subject of a filter passes two lists; `None`: every one does.
pub(crate) fn part_kept_out(allow: Option<&RuleSet>, deny: &RuleSet, filter: &Filter) -> Option<Because> {
    match allow.map(|rules| admits(rules, filter, None)) {
        Some(Err(because)) => Some(because),
        Some(Ok(_)) | None => deny.overlapping(filter, None).first().map(|rule| Because::Denied((*rule).clone())),
    }
}

/// Whether every subject of a filter may be published to.
pub(crate) fn every_subject(allow: Option<&RuleSet>, deny: &RuleSet, filter: &Filter) -> Result<(), Denial> {
    match part_kept_out(allow, deny, filter) {
        Some(because) => Err(Denial::publish(filter.as_bytes(), because)),
        None => Ok(()),
    }
}

fn reserved_subject(client: Option<Binding>, subject: &[u8]) -> Option<&'static str> {
    let binding = client?;
    // Nearly every subject is done after this byte.
    match subject.first() {
        Some(b'_' | b'$') => {}
        _ => return None,
    }
    let consensus = (!binding.system).then_some(CONSENSUS_SUBJECTS);
    SERVER_SUBJECTS.into_iter().chain(consensus).find(|prefix| subject.starts_with(prefix.as_bytes()))
}

fn reserved_reply(reply: &[u8]) -> Option<&'static str> {
    SERVER_REPLIES.into_iter().find(|prefix| reply.starts_with(prefix.as_bytes()))
}

/// Whether a client must not ask for answers on this subject.
pub fn is_reserved_reply(reply: &[u8]) -> bool {
    reserved_reply(reply).is_some()
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lists(), f)
    }
}
