use bulwark_conf::{MAX_DEPTH, MAX_ERRORS, MAX_FILE_BYTES, MAX_INCLUDES, MAX_NODES, World, fuzz_parse, parse};

use secret::Secret;

use crate::Scene;

#[test]
fn nesting_ends_at_its_bound() {
    let nested = |depth: usize| format!("x: {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Scene::default().parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(Scene::default().errors(&nested(MAX_DEPTH + 1)), ["maps and arrays are nested deeper than 100"]);
    assert_eq!(Scene::default().errors(&"x {".repeat(50_000)), ["maps and arrays are nested deeper than 100"]);
}

#[test]
fn copies_of_copies_do_not_nest_without_end() {
    let text = format!("a: 1\n{}", "a: [$a]\n".repeat(MAX_DEPTH + 1));
    assert_eq!(Scene::default().errors(&text), ["maps and arrays are nested deeper than 100"]);
}

#[test]
fn copies_of_copies_do_not_grow_without_end() {
    let mut text = String::from("a: [1,1,1,1,1,1,1,1,1,1]\n");
    for _ in 0..20 {
        text.push_str("a: [$a,$a,$a,$a,$a,$a,$a,$a,$a,$a]\n");
    }
    assert_eq!(Scene::default().errors(&text), [format!("the configuration has more than {MAX_NODES} values")]);
}

#[test]
fn a_file_that_includes_itself_ends_at_its_bound() {
    let files = &[("nats.conf", "m { include nats.conf }")];
    let error = Scene { files, ..Scene::default() }.errors("include nats.conf").remove(0);
    assert!(error.ends_with("error parsing include file 'nats.conf', files are included more than 16 deep"), "{error}");
}

#[test]
fn files_that_include_each_other_many_times_end_at_the_bound_of_errors() {
    let files = &[("nats.conf", "include nats.conf\ninclude nats.conf\ninclude nats.conf")];
    let errors = Scene { files, ..Scene::default() }.errors("include nats.conf");
    assert_eq!(errors.len(), MAX_ERRORS);
}

#[test]
fn included_files_end_at_their_bound() {
    let files = &[("empty.conf", "")];
    let enough = "include empty.conf\n".repeat(MAX_INCLUDES);
    assert!(Scene { files, ..Scene::default() }.parse(&enough).is_ok());
    let errors = Scene { files, ..Scene::default() }.errors(&format!("{enough}include empty.conf"));
    assert_eq!(errors, ["error parsing include file 'empty.conf', more than 10000 files are included"]);
}

#[test]
fn a_chain_of_variables_ends_at_its_bound() {
    let names: Vec<String> = (0..20).map(|n| format!("V{n}")).collect();
    let values: Vec<String> = (1..21).map(|n| format!("$V{n}")).collect();
    let environment: Vec<_> = names.iter().zip(&values).map(|(name, value)| (&**name, &**value)).collect();
    let error = Scene { environment: &environment, ..Scene::default() }.errors("x: $V0").remove(0);
    assert!(error.ends_with("variable 'V16' refers to others more than 16 deep"), "{error}");
}

#[test]
fn a_file_past_the_bound_is_refused_before_it_is_read() {
    let text = vec![b'#'; MAX_FILE_BYTES + 1];
    let world = World::new(&|_| None, &|_| Err(String::new()));
    let errors = parse("nats.conf", Secret::new(text), &world).unwrap_err();
    assert_eq!(errors[0].to_string(), "the file is larger than 67108864 bytes");
}

#[test]
fn errors_are_collected_up_to_their_bound() {
    assert_eq!(Scene::default().errors(&"x: $gone\n".repeat(1000)).len(), MAX_ERRORS);
}

#[test]
fn no_pieces_in_any_order_make_the_parser_fall() {
    let pieces = [
        "a",
        "$A",
        "$B",
        "{",
        "}",
        "[",
        "]",
        ",",
        ";",
        "\n",
        " ",
        "=",
        ":",
        "#",
        "/",
        "(",
        ")",
        "'",
        "\"",
        "\\",
        "\\x",
        "1",
        "-",
        ".",
        "k",
        "2016-",
        "include ",
        "é",
        "\u{0}",
        "$2a$",
        "\r",
        "\u{feff}",
        "9999999999999999999",
    ];
    // A small generator of numbers: the same pieces in the same order on every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(bound).unwrap()).unwrap()
    };
    for _ in 0..20_000 {
        let text: String = (0..next(24)).map(|_| pieces[next(pieces.len())]).collect();
        fuzz_parse(text.as_bytes());
    }
    fuzz_parse(b"\xff\xfe\x00include a");
}
