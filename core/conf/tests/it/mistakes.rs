use crate::Scene;

/// The text, and the sentence of the reference server. Where that shows a NUL for the end of the text we say EOF.
const SENTENCES: &[(&str, &str)] = &[
    ("x:\n1", "Parse error on line 2: 'Expected value but found new line'"),
    ("x", "config is invalid (nats.conf:1:1)"),
    ("a: 1\nx ", "config is invalid (nats.conf:2:3)"),
    (
        "x: [1 2]",
        "Parse error on line 1: 'Expected an array value terminator \",\" or an array terminator \"]\", but got '2' instead.'",
    ),
    (
        "x: [a b]",
        "Parse error on line 1: 'Expected an array value terminator \",\" or an array terminator \"]\", but got 'b' instead.'",
    ),
    ("x: [,a]", "Parse error on line 1: 'Unexpected array value terminator ','.'"),
    ("x: [a,,b]", "Parse error on line 1: 'Unexpected array value terminator ','.'"),
    (
        "x: [a",
        "Parse error on line 1: 'Expected an array value terminator \",\" or an array terminator \"]\", but got 'EOF' instead.'",
    ),
    (
        "x { a: 1 b: 2 }",
        "Parse error on line 1: 'Expected a map value terminator \",\" or a map terminator \"}\", but got 'b' instead.'",
    ),
    (
        "x { a: 1 ",
        "Parse error on line 1: 'Expected a map value terminator \",\" or a map terminator \"}\", but got 'EOF' instead.'",
    ),
    ("x { a: , }", "Parse error on line 1: 'Unexpected map value terminator \",\".'"),
    ("x {\n", "Parse error on line 2: 'Unexpected EOF processing map.'"),
    ("x { a", "Parse error on line 1: 'Unexpected EOF processing map key.'"),
    ("x { 'a", "Parse error on line 1: 'Unexpected EOF processing quoted map key.'"),
    ("x { \"a", "Parse error on line 1: 'Unexpected EOF processing double quoted map key.'"),
    ("x { : 1 }", "Parse error on line 1: 'Unexpected key separator ':'.'"),
    ("x { ] }", "Parse error on line 1: 'Unexpected array end ']' processing map.'"),
    ("= 1", "Parse error on line 1: 'Unexpected key separator '=''"),
    (
        "x: 1 y: 2",
        "Parse error on line 1: 'Expected a top-level value to end with a new line, comment or EOF, but got 'y' instead.'",
    ),
    (
        "{ x: 1 y: 2 }",
        "Parse error on line 1: 'Expected a block-level value to end with a new line, comment or EOF, but got 'y' instead.'",
    ),
    (
        "{ x: 1",
        "Parse error on line 1: 'Expected a block-level value to end with a new line, comment or EOF, but got 'EOF' instead.'",
    ),
    ("{ { x: 1 } y }", "Parse error on line 1: 'Expected a block-level to end with a '}', but got 'y' instead.'"),
    ("x: 'a\n", "Parse error on line 2: 'Unexpected EOF.'"),
    ("x: \"a", "Parse error on line 1: 'Unexpected EOF.'"),
    ("x: (a)", "Parse error on line 1: 'Unexpected EOF processing block.'"),
    ("x: (a\n ) b", "Parse error on line 2: 'Unexpected EOF processing block.'"),
    ("/", "Parse error on line 1: 'Unexpected EOF.'"),
    ("x: 1\n\0y: 2", "Parse error on line 2: 'Unexpected EOF.'"),
    (
        "x: \"\\q\"",
        "Parse error on line 1: 'Invalid escape character 'q'. Only the following escape characters are allowed: \\xXX, \\t, \\n, \\r, \\\", \\\\.'",
    ),
    ("x: \"\\xzz\"", "Parse error on line 1: 'Expected two hexadecimal digits after '\\x', but got 'zz''"),
    ("x: \"\\x+1\"", "Parse error on line 1: 'Expected two hexadecimal digits after '\\x', but got '+1''"),
    ("x: \"\\x4\n\"", "Parse error on line 2: 'Expected two hexadecimal digits after '\\x', but hit end of line'"),
    ("x: .5", "Parse error on line 1: 'Floats must start with a digit'"),
    ("x: -.5", "Parse error on line 1: 'Floats must start with a digit, not '.'.'"),
    ("x: -a", "Parse error on line 1: 'Expected a digit but got 'a'.'"),
    ("x: 1.\n", "Parse error on line 2: 'Floats must have a digit after the '.', but got '\\n' instead.'"),
    (
        "x: 1.5s",
        "Parse error on line 1: 'Expected a top-level value to end with a new line, comment or EOF, but got 's' instead.'",
    ),
    ("x: 1-2", "Parse error on line 1: 'All ISO8601 dates must be in full Zulu form.'"),
    ("x: 2016-05-04", "Parse error on line 1: 'Expected 'T' in ISO8601 datetime, but found 'EOF' instead.'"),
    ("x: 2016-a", "Parse error on line 1: 'Expected digit in ISO8601 datetime, but found 'a' instead.'"),
    ("x: 2016-13-04T18:53:41Z", "expected Zulu formatted DateTime, but got '2016-13-04T18:53:41Z'"),
    ("x: 9223372036854775808", "integer '9223372036854775808' is out of the range"),
    ("x: 9eb", "integer '9eb' is out of the range"),
    ("x: 1kbb", "expected integer, but got '1kbb'"),
    ("x: \"\\xff\"", "the escapes of this string are not valid UTF-8"),
    ("include [", "Parse error on line 1: 'Expected include value but found start of an array'"),
    ("include {", "Parse error on line 1: 'Expected include value but found start of a map'"),
    ("include (", "Parse error on line 1: 'Expected include value but found start of a block'"),
    ("include 1", "Parse error on line 1: 'Expected include value but found start of a number'"),
    ("include -", "Parse error on line 1: 'Expected include value but found start of a number'"),
    ("include \\", "Parse error on line 1: 'Expected include value but found escape sequence'"),
    ("include \n", "Parse error on line 2: 'Expected include value but found new line'"),
    ("include 'a", "Parse error on line 1: 'Unexpected EOF in quoted include'"),
    ("include \"a", "Parse error on line 1: 'Unexpected EOF in double quoted include'"),
];

#[test]
fn every_mistake_has_the_sentence_of_the_reference() {
    for (text, sentence) in SENTENCES {
        assert_eq!(Scene::default().errors(text), [*sentence], "{text:?}");
    }
}

#[test]
fn a_float_that_does_not_fit_is_out_of_range() {
    let digits = "9".repeat(400);
    assert_eq!(Scene::default().errors(&format!("x: {digits}.0")), [format!("float '{digits}.0' is out of the range")]);
}

#[test]
fn mistakes_that_do_not_break_the_grammar_are_told_all_at_once() {
    let errors = Scene::default().errors("a: $NO\ninclude gone.conf\nb: 9eb\nc: [1 2]");
    assert_eq!(
        errors,
        [
            "variable reference for 'NO' on line 1 can not be found",
            "error parsing include file 'gone.conf', open gone.conf: no such file or directory",
            "integer '9eb' is out of the range",
            "Parse error on line 4: 'Expected an array value terminator \",\" or an array terminator \"]\", but got '2' \
             instead.'",
        ]
    );
}

#[test]
fn a_missing_separator_says_where_a_comma_or_newline_belongs() {
    let text = "permissions: {\n publish: [\"orders.>\" \"users.signup\"]\n}";
    let error = Scene::default().parse(text).unwrap_err().remove(0);
    assert_eq!(error.place.to_string(), "nats.conf:2:23");
    assert_eq!(error.remedy(), Some("a comma or a newline is missing before this place"));
    let error = Scene::default().parse("p { allow: \"a\" deny: \"b\" }").unwrap_err().remove(0);
    assert_eq!((error.place.line, error.place.column), (1, 15));
    assert_eq!(error.remedy(), Some("a comma or a newline is missing before this place"));
}

#[test]
fn a_file_that_is_no_text_is_refused_at_the_first_wrong_byte() {
    let world = bulwark_conf::World::new(&|_| None, &|_| Err(String::new()));
    let error = bulwark_conf::parse("nats.conf", b"x: 1\ny: \xff".to_vec().into(), &world).unwrap_err().remove(0);
    assert_eq!(
        (error.to_string().as_str(), error.place.to_string().as_str()),
        ("the file is not valid UTF-8", "nats.conf:2:4")
    );
}
