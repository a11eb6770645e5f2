//! Which consumer configurations make sense, what their defaults are, and what may be changed.

use crate::stream_config::{MAX_COMPARED, MAX_DESCRIPTION_BYTES, MAX_METADATA_BYTES, metadata_bytes};
use api::errors::*;
use api::{
    AckPolicy, ApiError, ConsumerConfig, DeliverPolicy, MAX_NAME_BYTES, Name, NameFault, PriorityPolicy, ReplayPolicy,
    Retention, StreamConfig,
};
use subject::{Filter, Overlaps, Subject};

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLISECOND;
/// How long a delivered message may stay without acknowledgement when nobody says.
pub const DEFAULT_ACK_WAIT: i64 = 30 * SECOND;
/// Pull requests that wait, when nobody says.
pub const DEFAULT_MAX_WAITING: i64 = 512;
/// Deliveries without acknowledgement, when nobody says.
pub const DEFAULT_MAX_ACK_PENDING: i64 = 1_000;
/// How long an ephemeral consumer stays without anybody.
pub const DEFAULT_INACTIVE_THRESHOLD: i64 = 5 * SECOND;
const MIN_HEARTBEAT: i64 = 100 * MILLISECOND;
/// Most filters of one consumer: each is tried on each message.
pub const MAX_FILTERS: usize = 1_024;

/// Checks the name of a consumer.
pub fn check_name(text: &str) -> Result<Name, ApiError> {
    Name::parse(text).map_err(|fault| match fault {
        NameFault::Separator => CONSUMER_NAME_CONTAINS_PATH_SEPARATORS.into(),
        NameFault::TooLong => CONSUMER_NAME_TOO_LONG.with(MAX_NAME_BYTES),
        NameFault::Empty => CONSUMER_BAD_DURABLE_NAME.into(),
        NameFault::Character => STREAM_INVALID_CONFIG.with("consumer name can not contain '.', '*', '>', '\\', '/'"),
    })
}

/// How long a pinned client may be silent when nobody says.
const DEFAULT_PINNED_TTL: i64 = 120 * SECOND;
/// Signs of life of a consumer whose flow control acknowledges.
const FLOW_HEARTBEAT: i64 = SECOND;
/// Longest name of a priority group.
const MAX_GROUP_BYTES: usize = 16;

/// Fills in what was left out; pedantic requests must not leave out what makes a difference. `max_ack_pending` is the
/// bound of the account; -1 is none.
pub fn set_defaults(
    config: &mut ConsumerConfig,
    stream: &StreamConfig,
    max_ack_pending: i64,
    pedantic: bool,
) -> Result<(), ApiError> {
    set_numbers(config, pedantic)?;
    let waits = matches!(config.ack_policy, AckPolicy::Explicit | AckPolicy::All);
    if config.deliver_subject.is_empty() && config.max_waiting == 0 {
        config.max_waiting = DEFAULT_MAX_WAITING;
    }
    if config.ack_wait == 0 && waits {
        config.ack_wait = DEFAULT_ACK_WAIT;
    }
    if let Some(&first) = config.backoff.first() {
        if pedantic && config.ack_wait != first {
            return Err(PEDANTIC.with("first backoff value has to equal batch AckWait"));
        }
        config.ack_wait = first;
    }
    let limits = stream.consumer_limits;
    if config.max_ack_pending == 0 {
        if pedantic && limits.max_ack_pending > 0 {
            return Err(PEDANTIC.with("max_ack_pending must be set if it's configured in stream limits"));
        }
        config.max_ack_pending = limits.max_ack_pending;
    }
    if config.inactive_threshold == 0 {
        if pedantic && limits.inactive_threshold > 0 {
            return Err(PEDANTIC.with("inactive_threshold must be set if it's configured in stream limits"));
        }
        config.inactive_threshold = limits.inactive_threshold;
    }
    if config.inactive_threshold == 0 && config.durable_name.is_empty() {
        config.inactive_threshold = DEFAULT_INACTIVE_THRESHOLD;
    }
    if config.max_ack_pending == 0 && config.ack_policy != AckPolicy::None {
        let bound = if max_ack_pending > 0 { max_ack_pending } else { DEFAULT_MAX_ACK_PENDING };
        config.max_ack_pending = DEFAULT_MAX_ACK_PENDING.min(bound);
    }
    if config.priority_policy == PriorityPolicy::PinnedClient && config.priority_timeout == 0 {
        config.priority_timeout = DEFAULT_PINNED_TTL;
    }
    if config.ack_policy == AckPolicy::FlowControl && !pedantic {
        config.flow_control = true;
        config.idle_heartbeat = FLOW_HEARTBEAT;
    }
    Ok(())
}

/// Numbers that mean nothing become those that mean "not set".
fn set_numbers(config: &mut ConsumerConfig, pedantic: bool) -> Result<(), ApiError> {
    let unset = |name: &str, number: &mut i64, least: i64, unset: i64| {
        if *number < least {
            if pedantic {
                return Err(PEDANTIC.with(match unset {
                    -1 => format!("{name} must be set to -1"),
                    _ => format!("{name} must not be negative"),
                }));
            }
            *number = unset;
        }
        Ok(())
    };
    if config.ack_wait < 0 {
        return Err(CONSUMER_ACK_WAIT_NEGATIVE.into());
    }
    if config.backoff.iter().any(|&wait| wait < 0) {
        return Err(CONSUMER_BACK_OFF_NEGATIVE.into());
    }
    unset("max_deliver", &mut config.max_deliver, -1, -1)?;
    if config.max_deliver == 0 {
        config.max_deliver = -1;
    }
    unset("max_waiting", &mut config.max_waiting, 0, 0)?;
    unset("max_ack_pending", &mut config.max_ack_pending, -1, -1)?;
    unset("max_batch", &mut config.max_batch, 0, 0)?;
    unset("max_expires", &mut config.max_expires, 0, 0)?;
    unset("max_bytes", &mut config.max_bytes, 0, 0)?;
    unset("idle_heartbeat", &mut config.idle_heartbeat, 0, 0)?;
    unset("inactive_threshold", &mut config.inactive_threshold, 0, 0)?;
    unset("priority_timeout", &mut config.priority_timeout, 0, 0)
}

/// A pull may ask for no more messages at once than the server allows; zero allows any number.
pub fn bound_batch(config: &mut ConsumerConfig, max: i64) -> Result<(), ApiError> {
    if max <= 0 || !config.deliver_subject.is_empty() {
        return Ok(());
    }
    if config.max_batch == 0 {
        config.max_batch = max;
    }
    if config.max_batch > max { Err(CONSUMER_MAX_REQUEST_BATCH_EXCEEDED.with(max)) } else { Ok(()) }
}

/// Refuses what makes no sense, defaults filled in.
pub fn check(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    rules: &[Filter],
    max_ack_pending: i64,
) -> Result<Vec<Filter>, ApiError> {
    check_texts(config)?;
    if config.num_replicas > 1 {
        return Err(STREAM_REPLICAS_NOT_SUPPORTED.into());
    }
    if config.num_replicas < 0 {
        return Err(REPLICAS_COUNT_CANNOT_BE_NEGATIVE.into());
    }
    match config.deliver_subject.is_empty() {
        true if config.ack_policy == AckPolicy::FlowControl => check_ack_flow_control(config)?,
        true => check_pull(config, stream)?,
        false => check_push(config, rules)?,
    }
    check_ack_flow_control(config)?;
    if config.max_deliver > 0 && config.backoff.len() as i64 > config.max_deliver {
        return Err(CONSUMER_MAX_DELIVER_BACKOFF.into());
    }
    check_priority(config)?;
    let filters = check_filters(config)?;
    check_start(config)?;
    sample_percent(config)?;
    check_limits(config, stream, max_ack_pending)?;
    if stream.retention == Retention::WorkQueue {
        check_workqueue(config)?;
    }
    Ok(filters)
}

fn check_texts(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.description.len() > MAX_DESCRIPTION_BYTES {
        return Err(CONSUMER_DESCRIPTION_TOO_LONG.with(MAX_DESCRIPTION_BYTES));
    }
    if metadata_bytes(&config.metadata) > MAX_METADATA_BYTES {
        return Err(CONSUMER_METADATA_LENGTH.with(format!("{}KB", MAX_METADATA_BYTES / 1024)));
    }
    Ok(())
}

fn check_push(config: &ConsumerConfig, rules: &[Filter]) -> Result<(), ApiError> {
    let filter = Filter::parse(config.deliver_subject.as_bytes()).map_err(|_| CONSUMER_INVALID_DELIVER_SUBJECT)?;
    if !filter.is_literal() {
        return Err(CONSUMER_DELIVER_TO_WILDCARDS.into());
    }
    let deliver = Subject::parse(config.deliver_subject.as_bytes()).map_err(|_| CONSUMER_INVALID_DELIVER_SUBJECT)?;
    if rules.iter().any(|stored| stored.matches(deliver)) {
        return Err(CONSUMER_DELIVER_CYCLE.into());
    }
    if config.max_waiting != 0 {
        return Err(CONSUMER_PUSH_MAX_WAITING.into());
    }
    if config.max_ack_pending > 0 && config.ack_policy == AckPolicy::None {
        return Err(CONSUMER_MAX_PENDING_ACK_POLICY_REQUIRED.into());
    }
    if config.idle_heartbeat != 0 && config.idle_heartbeat < MIN_HEARTBEAT {
        return Err(CONSUMER_SMALL_HEARTBEAT.into());
    }
    if config.flow_control && config.idle_heartbeat == 0 {
        return Err(CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS.into());
    }
    if config.direct && !config.durable_name.is_empty() {
        return Err(CONSUMER_DIRECT_REQUIRES_EPHEMERAL.into());
    }
    Ok(())
}

fn check_pull(config: &ConsumerConfig, stream: &StreamConfig) -> Result<(), ApiError> {
    if config.rate_limit_bps > 0 {
        return Err(CONSUMER_PULL_WITH_RATE_LIMIT.into());
    }
    if config.idle_heartbeat > 0 {
        return Err(CONSUMER_HB_REQUIRES_PUSH.into());
    }
    if config.flow_control {
        return Err(CONSUMER_FC_REQUIRES_PUSH.into());
    }
    if config.max_expires != 0 && config.max_expires < MILLISECOND {
        return Err(CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL.into());
    }
    if config.direct {
        return Err(CONSUMER_DIRECT_REQUIRES_PUSH.into());
    }
    if stream.retention == Retention::WorkQueue && config.ack_policy == AckPolicy::None {
        return Err(CONSUMER_PULL_REQUIRES_ACK.into());
    }
    Ok(())
}

fn check_ack_flow_control(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.ack_policy != AckPolicy::FlowControl {
        return Ok(());
    }
    let cannot = [
        (config.deliver_subject.is_empty(), CONSUMER_ACK_FC_REQUIRES_PUSH),
        (!config.flow_control, CONSUMER_ACK_FC_REQUIRES_FC),
        (config.max_ack_pending <= 0, CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING),
        (config.ack_wait != 0 || !config.backoff.is_empty(), CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT),
        (config.max_deliver > 0, CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER),
    ];
    match cannot.into_iter().find(|(has, _)| *has) {
        Some((_, why)) => Err(why.into()),
        None => Ok(()),
    }
}

fn check_priority(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.priority_policy == PriorityPolicy::None {
        if !config.priority_groups.is_empty() {
            return Err(CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE.into());
        }
        if config.priority_timeout != 0 {
            return Err(CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE.into());
        }
        return Ok(());
    }
    if !config.deliver_subject.is_empty() {
        return Err(CONSUMER_PUSH_WITH_PRIORITY_GROUP.into());
    }
    if config.priority_groups.is_empty() {
        return Err(CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP.into());
    }
    config.priority_groups.iter().try_for_each(|group| check_group(group))
}

/// Checks the name of a priority group.
pub(crate) fn check_group(group: &str) -> Result<(), ApiError> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"/_=-".contains(&byte);
    match group {
        "" => Err(CONSUMER_EMPTY_GROUP_NAME.into()),
        _ if group.len() > MAX_GROUP_BYTES || !group.bytes().all(is_letter) => Err(CONSUMER_INVALID_GROUP_NAME.into()),
        _ => Ok(()),
    }
}

fn check_filters(config: &ConsumerConfig) -> Result<Vec<Filter>, ApiError> {
    if !config.filter_subject.is_empty() && !config.filter_subjects.is_empty() {
        return Err(CONSUMER_DUPLICATE_FILTER_SUBJECTS.into());
    }
    if config.filter_subjects.len() > MAX_FILTERS {
        return Err(CONSUMER_CREATE.with(format!("more than {MAX_FILTERS} filter subjects")));
    }
    if config.filter_subjects.iter().any(String::is_empty) {
        return Err(CONSUMER_EMPTY_FILTER.into());
    }
    let single = (!config.filter_subject.is_empty()).then_some(&config.filter_subject);
    let parse =
        |text: &String| Filter::parse(text.as_bytes()).map_err(|_| STREAM_INVALID_CONFIG.with("invalid subject"));
    let filters = single.into_iter().chain(&config.filter_subjects).map(parse).collect::<Result<Vec<_>, _>>()?;
    let (mut compared, mut looks) = (Overlaps::default(), MAX_COMPARED);
    for filter in &filters {
        if compared.overlap(filter, &mut looks).ok_or_else(too_many_to_compare)? {
            return Err(CONSUMER_OVERLAPPING_SUBJECT_FILTERS.into());
        }
        compared.insert(filter);
    }
    Ok(filters)
}

fn too_many_to_compare() -> ApiError {
    CONSUMER_CREATE.with("too many filter subjects to compare")
}

fn check_start(config: &ConsumerConfig) -> Result<(), ApiError> {
    let also_set = |policy: &str, what: &str| {
        let text = format!("consumer delivery policy is deliver {policy}, but optional start {what} is also set");
        Err(CONSUMER_INVALID_POLICY.with(text))
    };
    let not_set = |policy: &str, what: &str| {
        let text = format!("consumer delivery policy is deliver {policy}, but optional {what} is not set");
        Err(CONSUMER_INVALID_POLICY.with(text))
    };
    let (seq, time) = (config.opt_start_seq > 0, config.opt_start_time.is_some());
    let unfiltered = config.filter_subject.is_empty() && config.filter_subjects.is_empty();
    match config.deliver_policy {
        DeliverPolicy::ByStartSequence if !seq => not_set("by start sequence", "start sequence"),
        DeliverPolicy::ByStartSequence if time => also_set("by start sequence", "time"),
        DeliverPolicy::ByStartTime if !time => not_set("by start time", "start time"),
        DeliverPolicy::ByStartTime if seq => also_set("by start time", "start sequence"),
        DeliverPolicy::ByStartSequence | DeliverPolicy::ByStartTime => Ok(()),
        policy => {
            let word = match policy {
                DeliverPolicy::Last => "last",
                DeliverPolicy::New => "new",
                DeliverPolicy::LastPerSubject => "last per subject",
                _ => "all",
            };
            match (seq, time) {
                (true, _) => also_set(word, "sequence"),
                (_, true) => also_set(word, "time"),
                _ if policy == DeliverPolicy::LastPerSubject && unfiltered => not_set(word, "filter subject"),
                _ => Ok(()),
            }
        }
    }
}

/// How many of a hundred acknowledgements are reported.
pub fn sample_percent(config: &ConsumerConfig) -> Result<u8, ApiError> {
    if config.sample_freq.is_empty() {
        return Ok(0);
    }
    let digits = config.sample_freq.trim_end_matches('%');
    match digits.parse::<i64>() {
        Ok(percent) => Ok(percent.clamp(0, 100) as u8),
        Err(_) => {
            let text = format!("strconv.Atoi: parsing {digits:?}: invalid syntax");
            Err(CONSUMER_INVALID_SAMPLING.with(text))
        }
    }
}

fn check_limits(config: &ConsumerConfig, stream: &StreamConfig, max_ack_pending: i64) -> Result<(), ApiError> {
    let limits = stream.consumer_limits;
    if limits.inactive_threshold > 0 && config.inactive_threshold > limits.inactive_threshold {
        let limit = moment::GoDuration(limits.inactive_threshold);
        return Err(CONSUMER_INACTIVE_THRESHOLD_EXCESS.with(limit));
    }
    for limit in [limits.max_ack_pending, max_ack_pending] {
        if limit > 0 && (config.max_ack_pending > limit || config.max_ack_pending == -1) {
            return Err(CONSUMER_MAX_PENDING_ACK_EXCESS.with(limit));
        }
    }
    Ok(())
}

fn check_workqueue(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.sourcing || config.direct {
        return Ok(());
    }
    if !matches!(config.ack_policy, AckPolicy::Explicit | AckPolicy::FlowControl) {
        return Err(CONSUMER_WQ_REQUIRES_EXPLICIT_ACK.into());
    }
    if config.deliver_policy != DeliverPolicy::All {
        return Err(CONSUMER_WQ_CONSUMER_NOT_DELIVER_ALL.into());
    }
    Ok(())
}

/// Whether two consumers of a work queue would work on the same messages.
pub(crate) fn check_unique<'a>(filters: &[Filter], others: impl Iterator<Item = &'a [Filter]>) -> Result<(), ApiError> {
    let (mut own, mut looks) = (Overlaps::default(), MAX_COMPARED);
    filters.iter().for_each(|filter| own.insert(filter));
    for other in others {
        if filters.is_empty() {
            return Err(CONSUMER_WQ_MULTIPLE_UNFILTERED.into());
        }
        for filter in other {
            if own.overlap(filter, &mut looks).ok_or_else(too_many_to_compare)? {
                return Err(CONSUMER_WQ_CONSUMER_NOT_UNIQUE.into());
            }
        }
        if other.is_empty() {
            return Err(CONSUMER_WQ_CONSUMER_NOT_UNIQUE.into());
        }
    }
    Ok(())
}

/// Whether `new` may replace `old`.
pub fn check_update(old: &ConsumerConfig, new: &ConsumerConfig) -> Result<(), ApiError> {
    let fixed = [
        (old.deliver_policy != new.deliver_policy, "deliver policy"),
        (old.opt_start_seq != new.opt_start_seq, "start sequence"),
        (old.opt_start_time != new.opt_start_time, "start time"),
        (old.ack_policy != new.ack_policy, "ack policy"),
        (old.replay_policy != new.replay_policy, "replay policy"),
        (old.idle_heartbeat != new.idle_heartbeat, "heart beats"),
        (old.flow_control != new.flow_control, "flow control"),
        (old.mem_storage != new.mem_storage, "storage type"),
        (old.direct != new.direct, "direct"),
        (old.sourcing != new.sourcing, "sourcing"),
    ];
    if let Some((_, what)) = fixed.into_iter().find(|(changed, _)| *changed) {
        return Err(CONSUMER_CREATE.with(format!("{what} can not be updated")));
    }
    match (old.deliver_subject.is_empty(), new.deliver_subject.is_empty()) {
        (true, false) => return Err(CONSUMER_CREATE.with("can not update pull consumer to push based")),
        (false, true) => return Err(CONSUMER_CREATE.with("can not update push consumer to pull based")),
        _ => {}
    }
    if old.max_waiting != new.max_waiting {
        return Err(CONSUMER_CREATE.with("max waiting can not be updated"));
    }
    Ok(())
}

/// Whether messages are delivered as they came.
pub(crate) fn is_paced(config: &ConsumerConfig) -> bool {
    config.replay_policy == ReplayPolicy::Original
}

/// What a consumer needs the API to understand.
pub fn required_level(config: &ConsumerConfig) -> u32 {
    match config.ack_policy {
        AckPolicy::FlowControl => 4,
        _ => u32::from(config.pause_until.is_some() || config.priority_policy != PriorityPolicy::None),
    }
}
