//! Rewriting, with the reference server's cases and then some.

use subject::transform::{Transform, TransformError, identity_destination};
use subject::{Filter, Subject};

fn error(source: &str, destination: &str) -> String {
    Transform::new(source.as_bytes(), destination.as_bytes()).map_or_else(|error| error.to_string(), |_| "fine".into())
}

fn strict(source: &str, destination: &str) -> String {
    let made = Transform::reversible(source.as_bytes(), destination.as_bytes());
    made.map_or_else(|error| error.to_string(), |_| "fine".into())
}

fn rewritten(source: &str, destination: &str, subject: &str, chance: u32) -> String {
    let transform = Transform::new(source.as_bytes(), destination.as_bytes()).expect(destination);
    let subject = Subject::parse(subject.as_bytes()).unwrap();
    assert!(transform.matches(subject), "{source} on {subject}");
    String::from_utf8(transform.apply(subject, chance)).unwrap()
}

#[test]
fn subjects_are_rewritten_as_the_reference_does() {
    for (source, destination, subject, expected) in [
        ("", "prefix.>", "foo", "prefix.foo"),
        ("foo", "bar", "foo", "bar"),
        ("foo.*.bar.*.baz", "req.$2.$1", "foo.A.bar.B.baz", "req.B.A"),
        ("foo.*.bar.*.baz", "req.{{wildcard(2)}}.{{wildcard(1)}}", "foo.A.bar.B.baz", "req.B.A"),
        ("baz.>", "my.pre.>", "baz.1.2.3", "my.pre.1.2.3"),
        (">", ">", "a.b", "a.b"),
        ("*.>", "x.$1.>", "a.b.c", "x.a.b.c"),
        ("*", "foo.bar.$1", "foo", "foo.bar.foo"),
        ("*", "{{splitfromleft(1,3)}}", "12345", "123.45"),
        ("*", "{{splitfromleft(1,5)}}", "12345", "12345"),
        ("*", "{{splitfromleft(1,0)}}", "12345", "12345"),
        ("*", "{{splitfromleft(1,-1)}}", "12345", "12345"),
        ("*", "{{SplitFromRight(1,3)}}", "12345", "12.345"),
        ("*", "{{SplitFromRight(1,9)}}", "12345", "12345"),
        ("*", "{{SliceFromLeft(1,3)}}", "1234567890", "123.456.789.0"),
        ("*", "{{SliceFromLeft(1,5)}}", "1234567890", "12345.67890"),
        ("*", "{{SliceFromLeft(1,10)}}", "1234567890", "1234567890"),
        ("*", "{{SliceFromRight(1,3)}}", "1234567890", "1.234.567.890"),
        ("*", "{{SliceFromRight(1,5)}}", "1234567890", "12345.67890"),
        ("*", "{{SliceFromRight(1,0)}}", "12", "12"),
        ("*", "{{split(1,-)}}", "-abc-def--ghi-", "abc.def.ghi"),
        ("*", "{{split(1,-)}}", "abc-def--ghi-", "abc.def.ghi"),
        ("*", "{{split(1,--)}}", "abc--def-ghi", "abc.def-ghi"),
        ("*", "{{split(1,)}}", "aßc", "a.ß.c"),
        ("*.*", "{{split(2,-)}}.{{splitfromleft(1,2)}}", "foo.-abc-def--ghij-", "abc.def.ghij.fo.o"),
        ("*", "{{right(1,1)}}", "1234", "4"),
        ("*", "{{right(1,3)}}", "1234", "234"),
        ("*", "{{right(1,6)}}", "1234", "1234"),
        ("*", "{{right(1,0)}}", "1234", "1234"),
        ("*", "{{left(1,1)}}", "1234", "1"),
        ("*", "{{left(1,3)}}", "1234", "123"),
        ("*", "{{left(1,6)}}", "1234", "1234"),
        ("*", "{{left(1,-2)}}", "1234", "1234"),
        ("*", "bar.{{partition(0)}}", "baz", "bar.0"),
        ("*", "bar.{{partition(10, 0)}}", "foo", "bar.3"),
        ("*.*", "bar.{{partition(10)}}", "foo.bar", "bar.6"),
        ("*", "bar.{{partition(10)}}", "foo", "bar.3"),
        ("*", "bar.{{partition(10)}}", "baz", "bar.0"),
        ("*", "bar.{{partition(10)}}", "qux", "bar.9"),
        ("foo.bar", "baz.{{partition(10)}}", "foo.bar", "baz.6"),
        ("foo.baz", "qux.{{partition(10)}}", "foo.baz", "qux.4"),
        ("test.subject", "result.{{partition(5)}}", "test.subject", "result.0"),
        ("part.*", "part.{{partition(3,1)}}.{{wildcard(1)}}", "part.abc", "part.2.abc"),
        ("part.*", "part.{{partition(3,1)}}.{{wildcard(1)}}", "part.q", "part.0.q"),
        ("*", "{{ Wildcard ( 1 ) }}", "a", "a"),
        ("*", "$JS.$1.$x.{{}}", "a", "$JS.a.$x.{{}}"),
    ] {
        assert_eq!(rewritten(source, destination, subject, 0), expected, "{source} -> {destination}");
    }
}

#[test]
fn chance_is_an_argument() {
    let given = |chance| rewritten("*", "bar.{{random(6)}}", "qux", chance);
    assert_eq!(
        (given(0), given(1), given(2), given(11), given(12)),
        ("bar.0".into(), "bar.0".into(), "bar.1".into(), "bar.5".into(), "bar.0".into())
    );
    assert_eq!(rewritten("*", "bar.{{random(0)}}", "qux", 77), "bar.0");
    assert_eq!(rewritten("a", "bar.{{random(2)}}", "a", 2), "bar.1");
}

#[test]
fn what_is_no_transform_is_refused_in_the_reference_servers_words() {
    let prefix = "invalid mapping destination: ";
    for (source, destination, expected) in [
        ("foo..", "bar", "invalid subject"),
        ("foo.*", "bar.*", "invalid subject"),
        ("foo.*", "bar.$1.>", "invalid subject"),
        ("foo.>", "bar.baz", "invalid subject"),
        ("foo", "", "invalid subject"),
        ("foo", "a..b", "!invalid transform in "),
        ("foo", "a b", "!invalid transform in a b"),
        ("foo.>", ">.a.>", "!invalid transform in >"),
        ("foo.*", "bar.$2", "!wildcard index out of range in $2: [2]"),
        ("foo.*", "bar.$-1", "!wildcard index out of range in $-1: [-1]"),
        ("foo.*", "foo.{{wildcard(2)}}", "!wildcard index out of range in {{wildcard(2)}}: [2]"),
        ("foo", "bla.{{wildcard(1)}}", "!wildcard index out of range in {{wildcard(1)}}"),
        ("foo", "bla.$1", "!wildcard index out of range in $1"),
        ("foo.*", "foo.{{unimplemented(1)}}", "!unknown function in {{unimplemented(1)}}"),
        ("foo.*", "foo.{{WILDCARD(1)}}", "!unknown function in {{WILDCARD(1)}}"),
        ("foo.*", "foo.{{ wildcard5) }}", "!unknown function in {{ wildcard5) }}"),
        ("foo.*", "foo.{{splitLeft(2,2}}", "!unknown function in {{splitLeft(2,2}}"),
        ("foo.*", "foo.{{wildcard()}}", "!not enough arguments passed to the function in {{wildcard()}}"),
        ("foo.*", "foo.{{wildcard(1,2)}}", "!too many arguments passed to the function in {{wildcard(1,2)}}"),
        ("foo.*", "foo.{{wildcard(foo)}}", "!function argument is invalid or in the wrong format in {{wildcard(foo)}}"),
        ("foo.*", "foo.{{partition()}}", "!function argument is invalid or in the wrong format in {{partition()}}"),
        ("foo.*", "foo.{{random()}}", "!function argument is invalid or in the wrong format in {{random()}}"),
        ("foo.*", "foo.{{random(1,2)}}", "!not enough arguments passed to the function in {{random(1,2)}}"),
        (
            "foo.*",
            "{{partition(2147483648)}}",
            "!function argument is invalid or in the wrong format in {{partition(2147483648)}}",
        ),
        ("foo.*", "{{partition(-1)}}", "!function argument is invalid or in the wrong format in {{partition(-1)}}"),
        (
            "foo.*",
            "{{left(1,2147483648)}}",
            "!function argument is invalid or in the wrong format in {{left(1,2147483648)}}",
        ),
        ("foo.*", "{{split(1)}}", "!not enough arguments passed to the function in {{split(1)}}"),
        ("foo.*", "{{split(1,a,b)}}", "!too many arguments passed to the function in {{split(1,a,b)}}"),
        ("foo.*", "{{split(1,a b)}}", "!function argument is invalid or in the wrong format in {{split(1,a b)}}"),
    ] {
        let expected = expected.strip_prefix('!').map_or(expected.to_owned(), |rest| format!("{prefix}{rest}"));
        assert_eq!(error(source, destination), expected, "{source} -> {destination}");
    }
    assert_eq!(error("foo.*", "foo.{{partition(2147483647)}}"), "fine");
    assert_eq!(error("foo.*", &"x".repeat(5000)), TransformError::TooLong.to_string());
}

#[test]
fn an_import_must_be_able_to_go_back() {
    let prefix = "invalid mapping destination: ";
    assert_eq!(strict("foo.*.*", "bar.$2"), format!("{prefix}not using all of the token wildcard(s) in bar.$2"));
    assert_eq!(strict("foo.*", "foo.$foo"), format!("{prefix}not using all of the token wildcard(s) in foo.$foo"));
    assert_eq!(
        strict("foo.*", "bar.{{Partition(2,1)}}"),
        format!(
            "{prefix}the only mapping function allowed for import transforms is {{{{Wildcard()}}}} in {{{{Partition(2,1)}}}}"
        )
    );
    assert_eq!(strict("foo.*", "bar.{{Wildcard(1)}}"), "fine");
}

#[test]
fn going_there_and_back_changes_nothing() {
    for (source, destination, subject) in [
        ("foo.*.*", "bar.$2.{{Wildcard(1)}}", "foo.b.a"),
        ("foo.*.>", "bar.$1.x.>", "foo.a.b.c"),
        ("foo", "bar", "foo"),
    ] {
        let there = Transform::reversible(source.as_bytes(), destination.as_bytes()).unwrap();
        let back = there.reverse().expect("it is reversible");
        let moved = there.apply(Subject::parse(subject.as_bytes()).unwrap(), 0);
        assert_eq!(back.apply(Subject::parse(&moved).unwrap(), 0), subject.as_bytes());
    }
    assert!(Transform::new(b"foo.*", b"foo.{{left(1,2)}}").unwrap().reverse().is_none());
}

#[test]
fn the_identity_is_the_identity() {
    for (filter, subject) in [("a.*.b.*", "a.1.b.2"), ("a.>", "a.b.c"), ("a", "a"), ("*.>", "x.y.z")] {
        let filter: Filter = filter.parse().unwrap();
        let same = Transform::new(filter.as_bytes(), &identity_destination(&filter)).unwrap();
        assert_eq!(same.apply(Subject::parse(subject.as_bytes()).unwrap(), 0), subject.as_bytes());
    }
}

#[test]
fn whatever_a_transform_gives_is_in_its_reach() {
    for (source, destination, reach, subjects) in [
        ("a.*", "b.$1", "b.*", &["a.x", "a.a-b"][..]),
        ("a.*.*", "$2.$1", "*.*", &["a.x.y"]),
        ("a.*", "p.{{partition(7,1)}}.{{left(1,1)}}.{{random(9)}}", "p.*.*.*", &["a.xyz"]),
        ("a.*", "{{split(1,-)}}", ">", &["a.b-c-d", "a.b"]),
        ("a.*", "c.{{splitfromleft(1,2)}}.d", "c.>", &["a.bcde"]),
        ("a.*.>", "c.{{wildcard(1)}}.>", "c.*.>", &["a.b.c.d"]),
        (">", "c.>", "c.>", &["a.b"]),
        ("a.b", "$JS.x", "$JS.x", &["a.b"]),
    ] {
        let transform = Transform::new(source.as_bytes(), destination.as_bytes()).unwrap();
        let told = transform.reach().unwrap();
        assert_eq!(told.as_bytes(), reach.as_bytes(), "{destination}");
        for subject in subjects {
            let given = transform.apply(Subject::parse(subject.as_bytes()).unwrap(), 5);
            assert!(told.matches(Subject::parse(&given).unwrap()), "{destination}: {subject}");
        }
    }
}
