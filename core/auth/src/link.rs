//! What may cross a link between servers.

use std::fmt;
use std::sync::Arc;

use moment::Instant;
use subject::{Filter, MappedReply, Queue, Subject};

use crate::authorized::{Authorized, Publish, SubscribeGrant};
use crate::denial::{Because, Denial};
use crate::permissions::{Lists, Permissions, Source, every_subject, is_inbox};
use crate::reading::{ReadRule, Reading};
use crate::reply::ReplyGrants;
use crate::rule::{Origin, Rule, RuleError, RuleSet, Side};
use crate::settings::{RuleText, SideSettings};

/// Answers that the server itself asked for: their subjects are made up for one request, so no list can name them.
const OWN_REPLIES: [&str; 2] = ["_R_.", "$JS.ACK."];

/// Where servers are answered and delivered to whose streams copy from elsewhere.
const OWN_INBOXES: [&str; 3] = ["$JSC.R.", "$JS.M.", "$JS.S."];

/// Interest by which servers find loops, and answers on their way between clusters.
const OWN_INTEREST: [&str; 3] = ["$LDS.", "_GR_.", "$GR."];

/// The subject that rules are asked about: of a marked reply the reply itself, so that a mark opens nothing.
fn unmarked(subject: Subject<'_>) -> Subject<'_> {
    let reply = MappedReply::parse(subject.as_bytes()).map(|mapped| mapped.reply);
    reply.and_then(|reply| Subject::parse(reply).ok()).unwrap_or(subject)
}

/// One direction: what is allowed, and what is not.
struct Rules {
    allow: Option<Arc<RuleSet>>,
    deny: Arc<RuleSet>,
}

impl Rules {
    fn compile(settings: &SideSettings, side: Side, source: &Source) -> Result<Self, RuleError> {
        let compile = |texts: &[RuleText]| RuleSet::compile(texts, side, |text| source.origin(text));
        Ok(Self {
            allow: settings.allow.as_deref().map(compile).transpose()?.map(Arc::new),
            deny: Arc::new(compile(settings.deny.as_deref().unwrap_or_default())?),
        })
    }

    fn everything() -> Self {
        Self { allow: None, deny: Arc::new(RuleSet::empty()) }
    }

    fn is_everything(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    fn judge(&self, subject: Subject<'_>, queue: Option<&Queue>) -> Result<(), Because> {
        if self.allow.as_ref().is_some_and(|rules| rules.withholding(subject, queue).is_none()) {
            return Err(Because::NotAllowed(None));
        }
        match self.deny.withholding(subject, queue) {
            Some(rule) => Err(Because::Denied(rule.clone())),
            None => Ok(()),
        }
    }

    /// Whether a filter as a whole may be asked for.
    fn covers(&self, filter: &Filter) -> bool {
        let allowed = self.allow.as_ref().is_none_or(|rules| rules.covering(filter, None).plain.is_some());
        allowed && self.deny.matching_text(filter, None).plain.is_none()
    }
}

/// What may cross a link between servers, seen from this end. The far end is to this one what a client is: it publishes
/// what is taken in, and subscribes to what is given out.
pub struct LinkRights {
    take: Rules,
    give: Rules,
    /// What is neither asked for nor given out, whatever the lists say: interfaces that each side has for itself.
    walls: RuleSet,
    /// What is not given out, though the far end may send it here: what is meant for this side by name.
    kept: RuleSet,
}

impl LinkRights {
    /// Everything.
    pub fn everything() -> Self {
        let (take, give) = (Rules::everything(), Rules::everything());
        Self { take, give, walls: RuleSet::empty(), kept: RuleSet::empty() }
    }

    /// Rights of two lists.
    ///
    /// # Errors
    /// The entry that is none.
    pub fn compile(take: &SideSettings, give: &SideSettings) -> Result<Self, RuleError> {
        Self::compile_from(take, give, &Source::Config)
    }

    /// The same, for lists that come from somewhere else than the configuration.
    ///
    /// # Errors
    /// The entry that is none.
    pub fn compile_from(take: &SideSettings, give: &SideSettings, source: &Source) -> Result<Self, RuleError> {
        Ok(Self {
            take: Rules::compile(take, Side::Publish, source)?,
            give: Rules::compile(give, Side::Subscribe, source)?,
            walls: RuleSet::empty(),
            kept: RuleSet::empty(),
        })
    }

    /// The rights of a far end that logged in as a user.
    ///
    /// # Errors
    /// The entry that is none: never of permissions that were compiled before.
    pub fn of_user(permissions: &Permissions, deny_give: &[String]) -> Result<Self, RuleError> {
        let lists = permissions.lists();
        let texts = |texts: &[&str]| texts.iter().map(|text| RuleText::from(*text)).collect::<Vec<_>>();
        let take =
            SideSettings { allow: lists.publish_allow.as_deref().map(texts), deny: Some(texts(&lists.publish_deny)) };
        let denies = texts(&lists.subscribe_deny).into_iter();
        let give = SideSettings {
            allow: lists.subscribe_allow.as_deref().map(texts),
            deny: Some(denies.chain(deny_give.iter().map(|text| RuleText::from(text.as_str()))).collect()),
        };
        Self::compile(&take, &give)
    }

    /// The same, with these subjects walled off.
    ///
    /// # Errors
    /// The entry that is none.
    pub fn walled(mut self, subjects: &[&str]) -> Result<Self, RuleError> {
        for text in subjects {
            self.walls.add(of_the_server(text), Side::Publish)?;
        }
        Ok(self)
    }

    /// The same, with this kept on this side.
    ///
    /// # Errors
    /// The entry that is none.
    pub fn keeping(mut self, subject: &str) -> Result<Self, RuleError> {
        self.kept.add(of_the_server(subject), Side::Publish)?;
        Ok(self)
    }

    /// Whether any rule restricts what the far end publishes, or reads of what is stored.
    pub fn binds(&self) -> bool {
        !self.takes_everything() || !self.give.is_everything()
    }

    /// How many entries the lists have in all.
    pub fn entries(&self) -> usize {
        let of = |rules: &Rules| rules.allow.as_deref().map_or(0, RuleSet::len).saturating_add(rules.deny.len());
        of(&self.take).saturating_add(of(&self.give)).saturating_add(self.walls.len())
    }

    /// The lists, as of a client: what is taken is what it publishes, what is given what it subscribes to. For a server elsewhere
    /// that judges in the place of this one.
    pub fn all_lists(&self) -> Lists<'_> {
        fn texts(rules: &RuleSet) -> impl Iterator<Item = &str> {
            rules.rules().map(|rule| &*rule.text)
        }
        Lists {
            publish_allow: self.take.allow.as_deref().map(|rules| texts(rules).collect()),
            publish_deny: texts(&self.take.deny).chain(texts(&self.walls)).collect(),
            subscribe_allow: self.give.allow.as_deref().map(|rules| texts(rules).collect()),
            subscribe_deny: texts(&self.give.deny).collect(),
            responses: None,
        }
    }

    /// Whether no rule restricts what the far end publishes.
    pub fn takes_everything(&self) -> bool {
        self.take.is_everything() && self.walls.is_empty()
    }

    /// Whether the far end may publish to every subject of the filter.
    ///
    /// # Errors
    /// A rule that keeps some of them out.
    pub fn take_all(&self, filter: &Filter) -> Result<(), Denial> {
        every_subject(self.take.allow.as_deref(), &self.take.deny, filter)?;
        every_subject(None, &self.walls, filter)
    }

    /// Whether a message of the far end is taken in.
    ///
    /// # Errors
    /// The rule that keeps it out.
    pub fn take<'a>(&self, subject: Subject<'a>) -> Result<Authorized<Publish<'a>>, Denial> {
        if !self.take.is_everything()
            && !begins(unmarked(subject).as_bytes(), &OWN_REPLIES)
            && let Err(because) = self.take.judge(unmarked(subject), None)
        {
            return Err(Denial::publish(subject.as_bytes(), because));
        }
        Ok(Authorized::new(Publish { subject }))
    }

    /// Whether a message may be sent there on behalf of the far end, as of a user: see [`Permissions::deliver`].
    ///
    /// # Errors
    /// Why it is not taken in.
    pub fn deliver(&self, to: Subject<'_>, queue: Option<&Queue>) -> Result<(), Denial> {
        let Err(denial) = self.take(to) else { return Ok(()) };
        let subject = unmarked(to).as_bytes();
        let is_open = is_inbox(subject) || begins(subject, &OWN_INBOXES);
        if is_open && self.judge_give(to, queue).is_ok() { Ok(()) } else { Err(denial) }
    }

    /// The same, where the far end was asked with this subject as the reply and may answer (`allow_responses`).
    ///
    /// # Errors
    /// The rule that keeps it out.
    pub fn take_with_grants<'a>(
        &self,
        subject: Subject<'a>,
        grants: &mut ReplyGrants,
        now: Instant,
    ) -> Result<Authorized<Publish<'a>>, Denial> {
        self.take(subject).or_else(|denial| match grants.use_one(subject.as_bytes(), now) {
            true => Ok(Authorized::new(Publish { subject })),
            false => Err(denial),
        })
    }

    /// Whether the far end may be asked for this: asking for what is not taken in anyway would only end the link.
    pub fn asks(&self, filter: &Filter) -> bool {
        begins(filter.as_bytes(), &OWN_INTEREST)
            || (self.take.covers(filter) && self.walls.matching_text(filter, None).plain.is_none())
    }

    /// The interest of the far end. A literal subject must be allowed; of a wider filter each message is judged.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn give(self: &Arc<Self>, filter: Filter, queue: Option<&Queue>) -> Result<SubscribeGrant, Denial> {
        let own = begins(filter.as_bytes(), &OWN_INTEREST);
        if !own && let Some(subject) = filter.as_subject() {
            self.judge_give(subject, queue).map_err(|because| Denial::subscribe(&filter, queue, because))?;
        }
        let gives_all = self.give.is_everything() && self.walls.is_empty() && self.kept.is_empty();
        let free = begins(filter.as_bytes(), &["$LDS."]) || gives_all;
        Ok(SubscribeGrant::of_link(filter, queue.cloned(), (!free).then(|| self.clone())))
    }

    /// What the far end may read of what is stored. `None`: everything.
    pub fn reading(&self, rule: ReadRule) -> Option<Reading> {
        Reading::new(self.give.allow.as_ref(), &self.give.deny, rule)
    }

    /// Whether a message may be given out to a member of this queue group.
    pub(crate) fn gives(&self, subject: Subject<'_>, queue: Option<&Queue>) -> bool {
        self.judge_give(subject, queue).is_ok()
    }

    fn judge_give(&self, subject: Subject<'_>, queue: Option<&Queue>) -> Result<(), Because> {
        let subject = unmarked(subject);
        match self.walls.matching(subject).or_else(|| self.kept.matching(subject)) {
            Some(rule) => Err(Because::Denied(rule.clone())),
            None => self.give.judge(subject, queue),
        }
    }
}

/// A rule that nobody wrote.
fn of_the_server(text: &str) -> Rule {
    Rule { text: text.into(), origin: Origin::Config(crate::settings::Place::default()) }
}

fn begins(subject: &[u8], prefixes: &[&str]) -> bool {
    matches!(subject.first(), Some(b'_' | b'$')) && prefixes.iter().any(|prefix| subject.starts_with(prefix.as_bytes()))
}

impl fmt::Debug for LinkRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkRights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(allow: Option<&[&str]>, deny: &[&str]) -> SideSettings {
        let texts = |texts: &[&str]| texts.iter().map(|text| RuleText::from(*text)).collect::<Vec<_>>();
        SideSettings { allow: allow.map(texts), deny: Some(texts(deny)) }
    }

    fn rights(take: &SideSettings, give: &SideSettings) -> Arc<LinkRights> {
        Arc::new(LinkRights::compile(take, give).unwrap())
    }

    #[test]
    fn what_is_kept_here_may_come_and_does_not_leave() {
        let everything = side(None, &[]);
        let rights = LinkRights::compile(&everything, &everything).unwrap().keeping("$JS.hub.API.>");
        let rights = Arc::new(rights.unwrap());
        assert!(rights.take(subject("$JS.hub.API.INFO")).is_ok());
        assert!(rights.asks(&Filter::parse(b"$JS.hub.API.>").unwrap()));
        let grant = rights.give(Filter::parse(b"$JS.>").unwrap(), None).unwrap();
        assert!(!grant.delivers(subject("$JS.hub.API.INFO")) && grant.delivers(subject("$JS.edge.API.INFO")));
        assert!(rights.give(Filter::parse(b"$JS.hub.API.INFO").unwrap(), None).is_err());
    }

    fn subject(text: &str) -> Subject<'_> {
        Subject::parse(text.as_bytes()).unwrap()
    }

    fn filter(text: &str) -> Filter {
        Filter::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_not_allowed_is_not_taken_in() {
        let rights = rights(&side(Some(&["in.>"]), &["in.secret"]), &side(None, &[]));
        assert!(rights.take(subject("in.a")).is_ok());
        assert!(rights.take(subject("in.secret")).is_err());
        assert!(rights.take(subject("out")).is_err());
        assert!(rights.take(subject("_R_.x")).is_ok(), "an answer that was asked for");
    }

    #[test]
    fn a_far_end_has_messages_sent_where_it_may_publish_and_to_inboxes_that_are_given_out() {
        let lists =
            (side(Some(&["in.>"]), &["in.secret"]), side(Some(&["_INBOX.>", "$JSC.R.>", "out.>"]), &["_INBOX.x"]));
        let rights = rights(&lists.0, &lists.1);
        let sent = |to: &str| rights.deliver(subject(to), None).is_ok();
        assert!(sent("in.a") && sent("_INBOX.a") && sent("$JSC.R.abcd") && sent("_R_.abcdef.123456"));
        assert!(sent("_GR_.abcdef.ghijkl._INBOX.a") && !sent("_GR_.abcdef.ghijkl.out.a"));
        for to in ["in.secret", "out.a", "_INBOX.x", "$JS.M.abcd", "elsewhere"] {
            assert!(!sent(to), "{to}");
        }
    }

    #[test]
    fn a_mark_opens_nothing() {
        let rights = rights(&side(Some(&["in.>"]), &[]), &side(Some(&["out.>"]), &[]));
        assert!(rights.take(subject("_GR_.abcdef.ghijkl.in.a")).is_ok());
        assert!(rights.take(subject("_GR_.abcdef.ghijkl.out.a")).is_err());
        assert!(rights.take(subject("_GR_.abcdef.ghijkl._R_.x")).is_ok(), "an answer that was asked for");
        assert!(rights.take(subject("_GR_.abcdef.ghijkl")).is_err() && rights.take(subject("_GR_.short")).is_err());
        assert!(rights.take(subject("$GR.abcd.in.a")).is_ok() && rights.take(subject("$GR.abcd.out.a")).is_err());
        let rights = self::rights(&side(None, &["in.secret"]), &side(Some(&["out.>"]), &[]));
        assert!(rights.take(subject("$GR.abcd.in.secret")).is_err(), "the old form neither");
        let grant = rights.give(filter("_GR_.>"), None).unwrap();
        assert!(grant.delivers(subject("_GR_.abcdef.ghijkl.out.a")));
        assert!(!grant.delivers(subject("_GR_.abcdef.ghijkl.in.a")));
    }

    #[test]
    fn only_what_is_taken_in_is_asked_for() {
        let rights = rights(&side(Some(&["in.>"]), &["in.secret"]), &side(None, &[]));
        assert!(rights.asks(&filter("in.>")) && rights.asks(&filter("in.*.x")));
        assert!(!rights.asks(&filter(">")) && !rights.asks(&filter("in.secret")));
        assert!(rights.asks(&filter("$LDS.abc")));
    }

    #[test]
    fn of_a_wide_interest_only_the_allowed_part_is_given_out() {
        let rights = rights(&side(None, &[]), &side(Some(&["out.>"]), &["out.secret"]));
        assert!(rights.give(filter("elsewhere"), None).is_err());
        let grant = rights.give(filter(">"), None).unwrap();
        assert!(grant.delivers(subject("out.a")));
        assert!(!grant.delivers(subject("out.secret")) && !grant.delivers(subject("elsewhere")));
    }

    #[test]
    fn walls_stand_on_both_sides_of_what_is_asked_and_given() {
        let rights = Arc::new(LinkRights::everything().walled(&["$JS.API.>"]).unwrap());
        assert!(!rights.asks(&filter("$JS.API.>")));
        assert!(rights.give(filter("$JS.API.INFO"), None).is_err());
        assert!(!rights.give(filter(">"), None).unwrap().delivers(subject("$JS.API.INFO")));
        assert!(rights.take(subject("$JS.API.INFO")).is_ok(), "the far end asks for what is its own");
    }
}
