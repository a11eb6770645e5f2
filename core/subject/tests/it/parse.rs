//! Which bytes are a subject, a filter or a queue name.

use subject::{Filter, MAX_FILTER_TOKENS, MAX_QUEUE_BYTES, MAX_SUBJECT_BYTES, Queue, Subject, SubjectError};

#[test]
fn a_subject_has_no_empty_tokens_blanks_or_control_characters() {
    use SubjectError::{BadByte, Empty, EmptyToken};
    for (bytes, error) in [
        (&b""[..], Empty),
        (b".", EmptyToken),
        (b"a.", EmptyToken),
        (b".a", EmptyToken),
        (b"a..b", EmptyToken),
        (b"a b", BadByte(1)),
        (b"a\tb", BadByte(1)),
        (b"a\r\nPUB x 0", BadByte(1)),
        (b"\0", BadByte(0)),
        (b"a\x7f", BadByte(1)),
        (b"a\x0c", BadByte(1)),
    ] {
        assert_eq!(Subject::parse(bytes), Err(error), "{bytes:?}");
        assert_eq!(Filter::parse(bytes).unwrap_err(), error, "{bytes:?}");
    }
    assert_eq!(Subject::parse(&vec![b'a'; MAX_SUBJECT_BYTES + 1]), Err(SubjectError::TooLong));
    assert!(Subject::parse(&vec![b'a'; MAX_SUBJECT_BYTES]).is_ok());
}

#[test]
fn any_other_byte_may_stand_in_a_token() {
    for bytes in ["größe.日本".as_bytes(), b"a\xff\xfe.b", b"$SYS.\"x\"", b"a>b.c*d"] {
        assert!(Subject::parse(bytes).is_ok_and(|subject| subject.is_literal()), "{bytes:?}");
        assert!(Filter::parse(bytes).is_ok_and(|filter| filter.is_literal()), "{bytes:?}");
    }
}

#[test]
fn a_published_wildcard_is_a_subject_but_not_a_literal_one() {
    for text in ["*", ">", "a.*.b", "a.>.b"] {
        assert!(Subject::parse(text.as_bytes()).is_ok_and(|subject| !subject.is_literal()), "{text}");
    }
    let star: Filter = "a.*".parse().unwrap();
    assert!(star.matches(Subject::parse(b"a.*").unwrap()) && star.matches(Subject::parse(b"a.>").unwrap()));
    assert!(!"a.b".parse::<Filter>().unwrap().matches(Subject::parse(b"a.*").unwrap()));
}

#[test]
fn the_rest_wildcard_is_the_last_token_of_a_filter() {
    assert_eq!(Filter::parse(b">.a"), Err(SubjectError::RestNotLast));
    assert_eq!(Filter::parse(b"a.>.>"), Err(SubjectError::RestNotLast));
    for text in [">", "a.>", "*.>", "*"] {
        let filter: Filter = text.parse().unwrap();
        assert!(!filter.is_literal() && filter.as_subject().is_none(), "{text}");
    }
}

#[test]
fn a_filter_tells_its_parts() {
    let filter: Filter = "orders.*.eu".parse().unwrap();
    assert_eq!((filter.token_count(), filter.first_token()), (3, &b"orders"[..]));
    assert_eq!(filter.tokens().collect::<Vec<_>>(), [&b"orders"[..], b"*", b"eu"]);
    assert_eq!("a.b".parse::<Filter>().unwrap().as_subject().map(Subject::as_bytes), Some(&b"a.b"[..]));
}

#[test]
fn filters_are_bounded_in_tokens() {
    assert!(vec!["a"; MAX_FILTER_TOKENS].join(".").parse::<Filter>().is_ok());
    let error = vec!["a"; MAX_FILTER_TOKENS + 1].join(".").parse::<Filter>().unwrap_err();
    assert_eq!(error, SubjectError::TooManyTokens);
}

#[test]
fn a_queue_name_has_no_token_rules() {
    for text in ["q", "a..b", ".", "v1.*", ">"] {
        assert!(Queue::parse(text.as_bytes()).is_ok(), "{text}");
    }
    for bytes in [&b""[..], b"a b", b"a\n", b"\x7f"] {
        assert!(Queue::parse(bytes).is_err(), "{bytes:?}");
    }
    assert!(Queue::parse(&vec![b'q'; MAX_QUEUE_BYTES + 1]).is_err());
}

#[test]
fn a_queue_is_within_a_rule_of_the_same_text_or_a_wider_one() {
    let within = |queue: &str, rule: &str| Queue::parse(queue.as_bytes()).unwrap().is_within(&rule.parse().unwrap());
    assert!(within("v1", "v1") && within("v1.a", "v1.*") && within("v1.*", "v1.*") && within("v1.>", ">"));
    assert!(!within("v1.>", "v1.*") && !within("v1", "v1.*") && !within("v2.a", "v1.>") && !within("v*", "v1"));
}

/// Control characters in filters were forwarded raw to other servers and became commands there.
#[test]
fn advisory_2026_22_nothing_that_ends_a_line_is_part_of_a_subject_filter_or_queue() {
    for byte in (0..=0x20).chain([0x7f]) {
        for text in [vec![byte], [b"a.", &[byte][..], b".b"].concat(), [b"a", &[byte][..]].concat()] {
            assert!(Subject::parse(&text).is_err() && Filter::parse(&text).is_err() && Queue::parse(&text).is_err());
        }
    }
}
