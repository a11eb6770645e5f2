//! Which stream configurations make sense, what their defaults are, and what may be changed.

use crate::log::MAX_FIRST_SEQUENCE;
use api::errors::*;
use api::{ApiError, Discard, Name, NameFault, PersistMode, Retention, StorageKind, StreamConfig};
use subject::transform::Transform;
use subject::{Filter, Overlaps, Subject};

/// Longest description.
pub const MAX_DESCRIPTION_BYTES: usize = 4096;
/// Bytes of metadata, keys and values together.
pub const MAX_METADATA_BYTES: usize = 128 * 1024;
/// Subjects of one stream.
pub const MAX_SUBJECTS: usize = 10_000;
/// Comparisons of filters with each other for one request. Few filters of many go the same way, so that this is enough for those that
/// somebody would write.
pub(crate) const MAX_COMPARED: u64 = 262_144;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLISECOND;
/// How long message ids are remembered when nobody says.
const DEFAULT_DUPLICATE_WINDOW: i64 = 120 * SECOND;
/// Shortest window and age.
const MIN_WINDOW: i64 = 100 * MILLISECOND;

/// What a valid configuration means, compiled.
#[derive(Debug)]
pub struct StreamRules {
    /// The subjects that are stored.
    pub subjects: Vec<Filter>,
    /// How they are rewritten before that.
    pub transform: Option<Transform>,
    /// What is echoed, and to where.
    pub republish: Option<Transform>,
}

fn invalid(why: &str) -> ApiError {
    STREAM_INVALID_CONFIG.with(why)
}

/// Checks the name of a stream.
pub fn check_name(text: &str) -> Result<Name, ApiError> {
    Name::parse(text).map_err(|fault| match fault {
        NameFault::Separator => STREAM_NAME_CONTAINS_PATH_SEPARATORS.into(),
        NameFault::TooLong => invalid("stream name is too long, maximum allowed is 255"),
        NameFault::Empty | NameFault::Character => {
            invalid("stream name is required and can not contain '.', '*', '>', '\\', '/'")
        }
    })
}

/// What a configuration is checked against.
pub struct Neighbours<'a> {
    /// Longest duplicate window; zero is no bound.
    pub max_window: i64,
    /// The other streams of the account.
    pub find: &'a dyn Fn(&str) -> Option<&'a StreamConfig>,
}

/// Fills in what was left out and refuses what makes no sense.
pub fn check(mut config: StreamConfig, pedantic: bool, neighbours: &Neighbours<'_>) -> Result<StreamConfig, ApiError> {
    check_name(&config.name)?;
    check_texts(&config)?;
    if config.first_seq > MAX_FIRST_SEQUENCE {
        return Err(invalid("first sequence is too large"));
    }
    set_limits(&mut config, pedantic)?;
    set_times(&mut config, pedantic, neighbours.max_window)?;
    if config.deny_purge && config.allow_rollup_hdrs {
        return Err(invalid("roll-ups require the purge permission"));
    }
    check_features(&mut config, pedantic)?;
    crate::origins::check(&mut config, pedantic, neighbours)?;
    if config.subjects.is_empty() && config.mirror.is_none() && config.sources.is_empty() {
        config.subjects.push(config.name.clone());
    }
    check_subjects(&config)?;
    refuse_cycle(&compile(&config)?)?;
    check_placement(&mut config)?;
    seal(&mut config);
    if config.mirror.is_none() && config.mirror_direct {
        return Err(invalid("stream has no mirror but does have mirror direct"));
    }
    Ok(config)
}

fn check_features(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    check_counter(config)?;
    if config.discard_new_per_subject {
        if config.discard != Discard::New {
            return Err(invalid("discard new per subject requires discard new policy to be set"));
        }
        if config.max_msgs_per_subject <= 0 {
            return Err(invalid("discard new per subject requires max msgs per subject > 0"));
        }
    }
    check_markers(config, pedantic)?;
    if config.allow_msg_schedules {
        if config.discard == Discard::New {
            return Err(invalid("message scheduling cannot use discard new"));
        }
        if !config.allow_rollup_hdrs {
            if pedantic {
                return Err(invalid("message scheduling cannot be set if roll-ups are disabled"));
            }
            (config.allow_rollup_hdrs, config.deny_purge) = (true, false);
        }
    }
    if config.persist_mode == PersistMode::Async {
        if config.storage != StorageKind::File {
            return Err(invalid("async persist mode is only supported on file storage"));
        }
        if config.allow_atomic {
            return Err(invalid("async persist mode is not supported with atomic batch publish"));
        }
    }
    Ok(())
}

fn check_counter(config: &StreamConfig) -> Result<(), ApiError> {
    let cannot = [
        (config.discard == Discard::New, "counter stream cannot use discard new"),
        (config.allow_msg_ttl, "counter stream cannot use message TTLs"),
        (config.allow_msg_schedules, "counter stream cannot use message schedules"),
        (config.retention != Retention::Limits, "counter stream can only use limits retention"),
    ];
    match cannot.into_iter().find(|(has, _)| config.allow_msg_counter && *has) {
        Some((_, why)) => Err(invalid(why)),
        None => Ok(()),
    }
}

fn check_markers(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    match config.subject_delete_marker_ttl {
        0 => return Ok(()),
        i64::MIN..0 => return Err(invalid("subject delete marker TTL must not be negative")),
        1..SECOND => return Err(invalid("subject delete marker TTL must be at least 1 second")),
        _ => {}
    }
    if !config.allow_msg_ttl {
        if pedantic {
            return Err(invalid("subject delete marker cannot be set if message TTLs are disabled"));
        }
        config.allow_msg_ttl = true;
    }
    if !config.allow_rollup_hdrs {
        if pedantic {
            return Err(invalid("subject delete marker cannot be set if roll-ups are disabled"));
        }
        (config.allow_rollup_hdrs, config.deny_purge) = (true, false);
    }
    Ok(())
}

fn check_placement(config: &mut StreamConfig) -> Result<(), ApiError> {
    if config.placement.as_ref().is_some_and(|placement| *placement == api::stream::Placement::default()) {
        config.placement = None;
    }
    match &config.placement {
        Some(placement) if !placement.preferred.is_empty() => {
            Err(invalid("preferred server not permitted in placement"))
        }
        _ => Ok(()),
    }
}

fn seal(config: &mut StreamConfig) {
    if config.sealed {
        config.max_age = 0;
        config.discard = Discard::New;
        config.deny_delete = true;
        config.deny_purge = true;
        config.allow_rollup_hdrs = false;
    }
}

fn check_texts(config: &StreamConfig) -> Result<(), ApiError> {
    if config.description.len() > MAX_DESCRIPTION_BYTES {
        return Err(invalid("stream description is too long, maximum allowed is 4096"));
    }
    if metadata_bytes(&config.metadata) > MAX_METADATA_BYTES {
        return Err(invalid("stream metadata exceeds maximum size of 131072 bytes"));
    }
    Ok(())
}

/// What metadata weighs.
pub(crate) fn metadata_bytes(metadata: &std::collections::BTreeMap<String, String>) -> usize {
    metadata.iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn set_limits(config: &mut StreamConfig, pedantic: bool) -> Result<(), ApiError> {
    let mut size = i64::from(config.max_msg_size);
    let limits = [
        ("max_msgs", &mut config.max_msgs),
        ("max_msgs_per_subject", &mut config.max_msgs_per_subject),
        ("max_bytes", &mut config.max_bytes),
        ("max_msg_size", &mut size),
        ("max_consumers", &mut config.max_consumers),
    ];
    for (name, limit) in limits {
        if pedantic && *limit < -1 {
            return Err(PEDANTIC.with(format!("{name} must be set to -1")));
        }
        if *limit <= 0 {
            *limit = -1;
        }
    }
    config.max_msg_size = i32::try_from(size).unwrap_or(i32::MAX);
    match config.num_replicas {
        0 => config.num_replicas = 1,
        1 => {}
        2..=5 => return Err(STREAM_REPLICAS_NOT_SUPPORTED.into()),
        i64::MIN..0 => return Err(REPLICAS_COUNT_CANNOT_BE_NEGATIVE.into()),
        _ => return Err(invalid("maximum replicas is 5")),
    }
    Ok(())
}

fn set_times(config: &mut StreamConfig, pedantic: bool, max_window: i64) -> Result<(), ApiError> {
    if config.max_age < 0 {
        return Err(invalid("max age can not be negative"));
    }
    if config.max_age != 0 && config.max_age < MIN_WINDOW {
        return Err(invalid("max age needs to be >= 100ms"));
    }
    if config.duplicate_window == 0 && config.mirror.is_none() && config.sources.is_empty() {
        config.duplicate_window = default_window(config.max_age, pedantic, max_window)?;
    }
    if config.duplicate_window < 0 {
        return Err(invalid("duplicates window can not be negative"));
    }
    if config.max_age != 0 && config.duplicate_window > config.max_age {
        return Err(invalid("duplicates window can not be larger then max age"));
    }
    if max_window > 0 && config.duplicate_window > max_window {
        let limit = moment::GoDuration(max_window);
        return Err(invalid(&format!("duplicates window can not be larger then server limit of {limit}")));
    }
    if (1..MIN_WINDOW).contains(&config.duplicate_window) {
        return Err(invalid("duplicates window needs to be >= 100ms"));
    }
    Ok(())
}

fn default_window(max_age: i64, pedantic: bool, max_window: i64) -> Result<i64, ApiError> {
    let mut window = DEFAULT_DUPLICATE_WINDOW;
    if max_window > 0 && window > max_window {
        if pedantic {
            return Err(PEDANTIC.with("duplicate window limits are higher than current limits"));
        }
        window = max_window;
    }
    if max_age != 0 && max_age < window {
        if pedantic {
            return Err(PEDANTIC.with("duplicate window cannot be bigger than max age"));
        }
        window = max_age;
    }
    Ok(window)
}

fn check_subjects(config: &StreamConfig) -> Result<(), ApiError> {
    if config.subjects.len() > MAX_SUBJECTS {
        return Err(invalid(&format!("more than {MAX_SUBJECTS} subjects")));
    }
    let (mut filters, mut compared) = (Vec::<Filter>::with_capacity(config.subjects.len()), Overlaps::default());
    let mut looks = MAX_COMPARED;
    for text in &config.subjects {
        let filter = Filter::parse(text.as_bytes()).map_err(|_| invalid("invalid subject"))?;
        let overlaps = compared.overlap(&filter, &mut looks).ok_or_else(|| invalid("too many subjects to compare"))?;
        if overlaps && let Some(same) = filters.iter().find(|other| other.overlaps(&filter)) {
            return Err(invalid(&format!("subject {:?} overlaps with {text:?}", same.to_string())));
        }
        check_reserved(&filter, config.no_ack)?;
        compared.insert(&filter);
        filters.push(filter);
    }
    Ok(())
}

fn check_reserved(filter: &Filter, no_ack: bool) -> Result<(), ApiError> {
    if no_ack {
        return Ok(());
    }
    let parse = |text: &str| Filter::parse(text.as_bytes()).expect("a constant filter");
    if *filter == Filter::everything() {
        return Err(invalid("capturing all subjects requires no-ack to be true"));
    }
    let hits = |reserved: &str| filter.overlaps(&parse(reserved));
    if ["$JS.>", "$JSC.>", "$NRG.>"].into_iter().any(hits) && !parse("$JS.EVENT.>").covers(filter) {
        return Err(invalid("subjects that overlap with jetstream api require no-ack to be true"));
    }
    if hits("$SYS.>") && !parse("$SYS.ACCOUNT.>").covers(filter) {
        return Err(invalid("subjects that overlap with system api require no-ack to be true"));
    }
    Ok(())
}

/// Compiles a configuration that was checked.
pub fn compile(config: &StreamConfig) -> Result<StreamRules, ApiError> {
    let parse = |text: &String| Filter::parse(text.as_bytes()).map_err(|_| invalid("invalid subject"));
    let subjects = config.subjects.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let transform = match &config.subject_transform {
        None => None,
        Some(transform) => {
            let source = if transform.src.is_empty() { ">" } else { &transform.src };
            if Filter::parse(source.as_bytes()).is_err() {
                return Err(STREAM_TRANSFORM_INVALID_SOURCE.with(format!("invalid subject {source}")));
            }
            let compiled = Transform::new(source.as_bytes(), transform.dest.as_bytes());
            Some(compiled.map_err(|error| STREAM_TRANSFORM_INVALID_DESTINATION.with(error))?)
        }
    };
    Ok(StreamRules { republish: compile_republish(config)?, subjects, transform })
}

fn compile_republish(config: &StreamConfig) -> Result<Option<Transform>, ApiError> {
    let Some(republish) = &config.republish else { return Ok(None) };
    let source = if republish.src.is_empty() { ">" } else { &republish.src };
    let transform = Transform::new(source.as_bytes(), republish.dest.as_bytes()).map_err(|_| {
        let what = "stream configuration for republish with transform from";
        invalid(&format!("{what} '{source}' to '{}' not valid", republish.dest))
    })?;
    Ok(Some(transform))
}

/// Whether what is published again stays out of the stream. A stream that was kept is not asked: it is there whatever it repeats.
fn refuse_cycle(rules: &StreamRules) -> Result<(), ApiError> {
    let Some(republish) = &rules.republish else { return Ok(()) };
    let reach = republish.reach();
    let reach =
        reach.ok_or_else(|| invalid("stream configuration for republish destination is not a valid subject"))?;
    if rules.subjects.iter().any(|subject| subject.overlaps(&reach)) {
        return Err(invalid("stream configuration for republish destination forms a cycle"));
    }
    Ok(())
}

/// Whether `new` may replace `old`; gives what then holds.
pub fn check_update(old: &StreamConfig, mut new: StreamConfig) -> Result<StreamConfig, ApiError> {
    let refuse = |what: &str| Err(invalid(&format!("stream configuration update can not {what}")));
    if old.name != new.name {
        return Err(invalid("stream configuration name must match original"));
    }
    if old.max_consumers != new.max_consumers && new.max_consumers > 0 && old.max_consumers > new.max_consumers {
        return refuse("change MaxConsumers");
    }
    if old.storage != new.storage {
        return refuse("change storage type");
    }
    if old.retention != new.retention
        && (old.retention == Retention::WorkQueue || new.retention == Retention::WorkQueue)
    {
        return refuse("change retention policy to/from workqueue");
    }
    if old.sealed && !new.sealed {
        return refuse("unseal a sealed stream");
    }
    if old.deny_delete && !new.deny_delete {
        return refuse("cancel deny message deletes");
    }
    if old.deny_purge && !new.deny_purge {
        return refuse("cancel deny purge");
    }
    if new.mirror.is_some() && new.mirror != old.mirror {
        return Err(STREAM_MIRROR_NOT_UPDATABLE.into());
    }
    if old.allow_msg_ttl && !new.allow_msg_ttl {
        return Err(invalid("message TTL status can not be disabled"));
    }
    if old.allow_msg_counter != new.allow_msg_counter {
        return refuse("change message counter setting");
    }
    if old.allow_msg_schedules && !new.allow_msg_schedules {
        return Err(invalid("message schedules can not be disabled"));
    }
    if old.persist_mode != new.persist_mode {
        return refuse("change persist mode");
    }
    if old.first_seq != new.first_seq {
        // It only ever says where a new stream begins.
        new.first_seq = old.first_seq;
    }
    Ok(new)
}

/// What a stream needs the API to understand.
pub fn required_level(config: &StreamConfig) -> u32 {
    let levels = [
        (config.allow_msg_ttl || config.subject_delete_marker_ttl > 0, 1),
        (config.allow_msg_counter || config.allow_atomic || config.allow_msg_schedules, 2),
        (config.persist_mode == PersistMode::Async, 2),
        (config.allow_batched, 4),
    ];
    levels.into_iter().filter(|(has, _)| *has).map(|(_, level)| level).max().unwrap_or(0)
}

/// Whether a subject is stored by these rules.
pub(crate) fn takes(rules: &StreamRules, subject: Subject<'_>) -> bool {
    rules.subjects.iter().any(|filter| filter.matches(subject))
}

/// Whether the stream lies on disk.
pub fn is_on_disk(config: &StreamConfig) -> bool {
    config.storage == StorageKind::File
}

#[cfg(test)]
mod tests {
    use api::stream::Republish;

    use super::*;

    fn repeating(src: &str, dest: &str) -> StreamConfig {
        let republish = Republish { src: src.to_owned(), dest: dest.to_owned(), headers_only: false };
        StreamConfig {
            name: "S".to_owned(),
            subjects: vec!["a.*".to_owned()],
            republish: Some(republish),
            ..StreamConfig::default()
        }
    }

    #[test]
    fn what_leads_back_into_its_stream_is_refused_and_a_stream_that_was_kept_is_there() {
        for (dest, is_cycle) in [
            ("b.$1", false),
            ("b.{{split(1,-)}}", false),
            ("a.b.$1", false),
            ("a.$1", true),
            ("$1.$1", true),
            ("{{split(1,-)}}.x", true),
            ("{{wildcard(1)}}.b", true),
        ] {
            let rules = compile(&repeating("a.*", dest)).unwrap();
            assert_eq!(refuse_cycle(&rules).is_err(), is_cycle, "{dest}");
        }
    }
}
