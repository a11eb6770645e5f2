//! Mirrors and sources: which configurations of them make sense, and what they mean.

use crate::log::MAX_FIRST_SEQUENCE;
use crate::stream_config::{MAX_COMPARED, Neighbours};
use api::errors::*;
use api::stream::{StreamSource, SubjectTransform};
use api::{ApiError, Name, StreamConfig};
use sha2::{Digest, Sha256};
use std::collections::{HashSet, VecDeque};
use subject::transform::Transform;
use subject::{Filter, Subject};

/// Sources of one stream.
const MAX_SOURCES: usize = 1_000;
/// Comparisons that one of a subject with a prefix stands for: it has to be put together first.
const PREFIX_PRICE: usize = 8;

/// What every subject of the API begins with.
const API_PREFIX: &str = "$JS.API";

fn invalid(why: impl std::fmt::Display) -> ApiError {
    STREAM_INVALID_CONFIG.with(why)
}

/// What an origin says, compiled.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The stream that is copied.
    pub stream: String,
    /// What is copied of it; everything without.
    pub filters: Vec<Filter>,
    /// How subjects are rewritten: the first that fits.
    pub transforms: Vec<Transform>,
    /// By what copied messages are known: the stream, the filters, the rewritings.
    pub words: [String; 3],
}

impl Origin {
    pub(crate) fn new(source: &StreamSource) -> Result<Origin, ApiError> {
        let filter = |text: &str| Filter::parse(text.as_bytes()).map_err(|_| invalid("invalid subject"));
        let transforms = &source.subject_transforms;
        let mut filters = Vec::new();
        if !source.filter_subject.is_empty() {
            filters.push(filter(&source.filter_subject)?);
        }
        for transform in transforms {
            filters.push(filter(everything_if_empty(&transform.src))?);
        }
        let compiled = transforms.iter().filter(|transform| !transform.dest.is_empty());
        let compiled = compiled.map(compile).collect::<Result<Vec<_>, _>>().map_err(invalid)?;
        Ok(Origin { stream: source.name.clone(), filters, transforms: compiled, words: words(source) })
    }

    /// The subject under which a message is stored here.
    pub(crate) fn rewrite(&self, subject: &[u8], chance: u32) -> Vec<u8> {
        let Ok(parsed) = Subject::parse(subject) else { return subject.to_vec() };
        let fitting = self.transforms.iter().find(|transform| transform.matches(parsed));
        fitting.map_or_else(|| subject.to_vec(), |transform| transform.apply(parsed, chance))
    }

    /// By what a copied message says where it comes from.
    pub(crate) fn header(&self, seq: u64, subject: &[u8], identity: &str) -> Vec<u8> {
        let [stream, filters, destinations] = &self.words;
        let mut header = format!("{stream} {seq} {filters} {destinations} ").into_bytes();
        header.extend_from_slice(subject);
        header.extend_from_slice(format!(" {identity}").as_bytes());
        header
    }

    /// The sequence in the origin, when a header names this one.
    pub(crate) fn sequence_of(&self, header: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(header).ok()?;
        let mut fields = text.split(' ');
        let (stream, seq, filters, destinations) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_own = [stream, filters, destinations] == self.words.each_ref().map(String::as_str);
        if is_own { seq.parse().ok().filter(|seq| *seq <= MAX_FIRST_SEQUENCE) } else { None }
    }
}

fn everything_if_empty(text: &str) -> &str {
    if text.is_empty() { ">" } else { text }
}

fn compile(transform: &SubjectTransform) -> Result<Transform, subject::transform::TransformError> {
    Transform::new(everything_if_empty(&transform.src).as_bytes(), transform.dest.as_bytes())
}

/// The words by which copied messages are known; no two origins of a stream may have the same.
fn words(source: &StreamSource) -> [String; 3] {
    let mut name = source.name.clone();
    if let Some(external) = &source.external {
        name = format!("{name}:{}", short_hash(&external.api));
    }
    if let Some(consumer) = &source.consumer {
        name = format!("{name}:C={}", short_hash(&consumer.name));
    }
    if source.subject_transforms.is_empty() {
        return [name, everything_if_empty(&source.filter_subject).to_owned(), ">".to_owned()];
    }
    let joined = |text: fn(&SubjectTransform) -> &String| {
        let all: Vec<&str> = source.subject_transforms.iter().map(|t| everything_if_empty(text(t))).collect();
        all.join("\u{c}")
    };
    [name, joined(|transform| &transform.src), joined(|transform| &transform.dest)]
}

/// Eight letters and digits that follow from a text.
pub(crate) fn short_hash(text: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 62)]);
    Sha256::digest(text.as_bytes()).iter().take(8).map(letter).collect()
}

/// Refuses mirrors and sources that make no sense, and lets a mirror answer direct reads if its origin does.
pub(crate) fn check(config: &mut StreamConfig, pedantic: bool, neighbours: &Neighbours<'_>) -> Result<(), ApiError> {
    check_sizes(config)?;
    check_mirror(config, pedantic, neighbours)?;
    if !config.sources.is_empty() && config.allow_msg_schedules {
        return Err(SOURCE_WITH_MSG_SCHEDULES.into());
    }
    check_sources(config, neighbours)?;
    check_external(config, neighbours)?;
    check_cycles(config, neighbours)
}

/// Refuses what would take long to look at.
fn check_sizes(config: &StreamConfig) -> Result<(), ApiError> {
    if config.sources.len() > MAX_SOURCES {
        return Err(invalid(format!("more than {MAX_SOURCES} sources")));
    }
    let pairs = config.mirror.iter().chain(&config.sources).map(|source| source.subject_transforms.len().pow(2));
    match pairs.sum::<usize>() as u64 > MAX_COMPARED {
        true => Err(invalid("too many subject transforms to compare")),
        false => Ok(()),
    }
}

fn check_mirror(config: &mut StreamConfig, pedantic: bool, neighbours: &Neighbours<'_>) -> Result<(), ApiError> {
    let Some(mirror) = &config.mirror else { return Ok(()) };
    let cannot = [
        (config.first_seq > 0, MIRROR_WITH_FIRST_SEQ),
        (!config.subjects.is_empty(), MIRROR_WITH_SUBJECTS),
        (!config.sources.is_empty(), MIRROR_WITH_SOURCES),
        (config.allow_msg_counter, MIRROR_WITH_COUNTERS),
        (config.allow_atomic, MIRROR_WITH_ATOMIC_PUBLISH),
        (config.allow_batched, MIRROR_WITH_BATCH_PUBLISH),
        (config.allow_msg_schedules, MIRROR_WITH_MSG_SCHEDULES),
        (has_bad_consumer(mirror), MIRROR_DURABLE_CONSUMER_CFG_INVALID),
        (has_both_filters(mirror), MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED),
    ];
    if let Some((_, why)) = cannot.into_iter().find(|(has, _)| *has) {
        return Err(why.into());
    }
    if config.subject_delete_marker_ttl > 0 {
        return Err(invalid("subject delete markers forbidden on mirrors"));
    }
    for transform in &mirror.subject_transforms {
        check_transform(transform, MIRROR_INVALID_SUBJECT_FILTER, MIRROR_INVALID_TRANSFORM_DESTINATION)?;
    }
    if filters_overlap(mirror, Filter::overlaps) {
        return Err(MIRROR_OVERLAPPING_SUBJECT_FILTERS.into());
    }
    if Name::parse(&mirror.name).is_err() {
        return Err(MIRROR_INVALID_STREAM_NAME.into());
    }
    if mirror.external.is_some() {
        return Ok(());
    }
    let origin = (neighbours.find)(&mirror.name);
    if origin.is_some_and(|origin| is_too_small(config.max_msg_size, origin)) {
        return Err(MIRROR_MAX_MESSAGE_SIZE_TOO_BIG.into());
    }
    if let Some(origin) = origin {
        if pedantic && config.mirror_direct != origin.allow_direct {
            return Err(PEDANTIC.with("origin stream has direct get set, mirror has it disabled"));
        }
        config.mirror_direct = origin.allow_direct;
    }
    Ok(())
}

fn check_sources(config: &StreamConfig, neighbours: &Neighbours<'_>) -> Result<(), ApiError> {
    let (mut known, mut consumers) = (HashSet::new(), HashSet::new());
    for source in &config.sources {
        if Name::parse(&source.name).is_err() {
            return Err(SOURCE_INVALID_STREAM_NAME.into());
        }
        let words = words(source);
        let stream = words[0].clone();
        if !known.insert(words) {
            return Err(SOURCE_DUPLICATE_DETECTED.into());
        }
        if has_both_filters(source) {
            return Err(SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED.into());
        }
        for transform in &source.subject_transforms {
            check_transform(transform, SOURCE_INVALID_SUBJECT_FILTER, SOURCE_INVALID_TRANSFORM_DESTINATION)?;
        }
        if filters_overlap(source, |left, right| right.covers(left)) {
            return Err(SOURCE_OVERLAPPING_SUBJECT_FILTERS.into());
        }
        if has_bad_consumer(source) {
            return Err(SOURCE_DURABLE_CONSUMER_CFG_INVALID.into());
        }
        if source.consumer.is_some() && !consumers.insert(stream) {
            return Err(SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED.into());
        }
        let origin = (neighbours.find)(&source.name).filter(|_| source.external.is_none());
        if origin.is_some_and(|origin| is_too_small(config.max_msg_size, origin)) {
            return Err(SOURCE_MAX_MESSAGE_SIZE_TOO_BIG.into());
        }
    }
    Ok(())
}

fn is_too_small(own: i32, origin: &StreamConfig) -> bool {
    own > 0 && origin.max_msg_size > 0 && own < origin.max_msg_size
}

fn has_both_filters(source: &StreamSource) -> bool {
    !source.filter_subject.is_empty() && !source.subject_transforms.is_empty()
}

fn has_bad_consumer(source: &StreamSource) -> bool {
    source.consumer.as_ref().is_some_and(|consumer| {
        let is_literal = Subject::parse(consumer.deliver_subject.as_bytes()).is_ok_and(Subject::is_literal);
        let starts = source.opt_start_seq != 0 || source.opt_start_time.is_some();
        Name::parse(&consumer.name).is_err() || !is_literal || starts || !source.filter_subject.is_empty()
    })
}

fn check_transform(transform: &SubjectTransform, source: ErrorKind, destination: ErrorKind) -> Result<(), ApiError> {
    if !transform.src.is_empty() && Filter::parse(transform.src.as_bytes()).is_err() {
        return Err(source.with(format!("invalid subject {}", transform.src)));
    }
    match compile(transform) {
        Err(error) if !transform.dest.is_empty() => Err(destination.with(error)),
        _ => Ok(()),
    }
}

fn filters_overlap(source: &StreamSource, collide: impl Fn(&Filter, &Filter) -> bool) -> bool {
    let parse = |transform: &SubjectTransform| Filter::parse(transform.src.as_bytes()).ok();
    let filters: Vec<Filter> = source.subject_transforms.iter().filter_map(parse).collect();
    let pairs = (0..filters.len()).flat_map(|left| (0..filters.len()).map(move |right| (left, right)));
    pairs.filter(|(left, right)| left != right).any(|(left, right)| collide(&filters[left], &filters[right]))
}

fn check_external(config: &StreamConfig, neighbours: &Neighbours<'_>) -> Result<(), ApiError> {
    let origins = || config.mirror.iter().chain(&config.sources);
    let is_literal = |text: &str| Subject::parse(text.as_bytes()).is_ok_and(Subject::is_literal);
    let stored = origins().filter(|origin| origin.external.is_none());
    let stored = stored.filter_map(|origin| (neighbours.find)(&origin.name)).flat_map(|origin| &origin.subjects);
    let stored: Vec<&String> = stored.collect();
    let delivering = || origins().filter_map(|origin| origin.external.as_ref()).filter(|ext| !ext.deliver.is_empty());
    if (stored.len() * delivering().count() * PREFIX_PRICE) as u64 > MAX_COMPARED {
        return Err(invalid("too many subjects of origins to compare"));
    }
    for external in delivering() {
        let prefix = &external.deliver;
        if !is_literal(prefix) {
            return Err(STREAM_INVALID_EXTERNAL_DELIVERY_SUBJ.with(prefix));
        }
        let overlaps = |subject: &&&String| {
            let filters = [subject.as_bytes().to_vec(), format!("{prefix}.{subject}").into_bytes()];
            let [own, prefixed] = filters.map(|text| Filter::parse(&text).ok());
            own.zip(prefixed).is_some_and(|(own, prefixed)| own.overlaps(&prefixed))
        };
        if let Some(subject) = stored.iter().find(overlaps) {
            let text = STREAM_EXTERNAL_DEL_PREFIX_OVERLAPS.text;
            let description = text.replace("{prefix}", prefix).replace("{subject}", subject);
            return Err(ApiError { description, ..STREAM_EXTERNAL_DEL_PREFIX_OVERLAPS.into() });
        }
    }
    for external in origins().filter_map(|origin| origin.external.as_ref()).filter(|ext| !ext.api.is_empty()) {
        let prefix = &external.api;
        if !is_literal(prefix) {
            let text = format!("stream external api prefix {prefix:?} must be a valid subject without wildcards");
            return Err(invalid(text));
        }
        if prefix == API_PREFIX {
            let text = STREAM_EXTERNAL_API_OVERLAP.text;
            let description = text.replace("{prefix}", prefix).replace("{subject}", API_PREFIX);
            return Err(ApiError { description, ..STREAM_EXTERNAL_API_OVERLAP.into() });
        }
    }
    Ok(())
}

/// A stream must not be copied into itself, however many others lie between.
fn check_cycles(config: &StreamConfig, neighbours: &Neighbours<'_>) -> Result<(), ApiError> {
    let cycle = || Err(invalid("detected cycle"));
    let (mut to_visit, mut visited, mut looks) = (VecDeque::from([config]), HashSet::new(), MAX_COMPARED);
    while let Some(config) = to_visit.pop_front() {
        if !visited.insert(config.name.as_str()) {
            // What it leads to was looked at already.
            continue;
        }
        let further = 1 + config.sources.len() as u64;
        looks = looks.checked_sub(further).ok_or_else(|| invalid("too many sources to follow"))?;
        for source in config.sources.iter().filter(|source| source.external.is_none()) {
            if visited.contains(source.name.as_str()) {
                if reaches(&config.subjects, &source.filter_subject) {
                    return cycle();
                }
            } else {
                to_visit.extend((neighbours.find)(&source.name));
            }
        }
        if let Some(mirror) = config.mirror.as_ref().filter(|mirror| mirror.external.is_none()) {
            if visited.contains(mirror.name.as_str()) {
                return cycle();
            }
            to_visit.extend((neighbours.find)(&mirror.name));
        }
    }
    Ok(())
}

fn reaches(subjects: &[String], filter: &str) -> bool {
    let Ok(filter) = Filter::parse(filter.as_bytes()) else { return true };
    subjects.iter().any(|text| Filter::parse(text.as_bytes()).is_ok_and(|subject| subject.overlaps(&filter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_message_is_known_by_where_it_comes_from() {
        let transforms = vec![SubjectTransform { src: "o.*".into(), dest: "t.{{wildcard(1)}}".into() }];
        let source = StreamSource { name: "O".into(), subject_transforms: transforms, ..StreamSource::default() };
        let origin = Origin::new(&source).expect("it makes sense");
        let header = origin.header(7, b"o.a", "Mu6iPwZc");
        assert_eq!(String::from_utf8_lossy(&header), "O 7 o.* t.{{wildcard(1)}} o.a Mu6iPwZc");
        assert_eq!(origin.sequence_of(&header), Some(7));
        assert_eq!(origin.sequence_of(b"O 7 > > o.a Mu6iPwZc"), None, "another source of the same stream");
        assert_eq!(origin.sequence_of(b"O"), None);
        let huge = format!("O {} o.* t.{{{{wildcard(1)}}}} o.a x", u64::MAX);
        assert_eq!(origin.sequence_of(huge.as_bytes()), None, "no stream comes that far");
        assert_eq!(origin.rewrite(b"o.a", 0), b"t.a");
        assert_eq!(origin.rewrite(b"other", 0), b"other");
    }
}
