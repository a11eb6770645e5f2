use bulwark_conf::Value;

use crate::{json, x, x_text};

#[test]
fn a_key_and_its_value_are_parted_by_a_colon_an_equals_sign_or_nothing() {
    for text in ["x: 1", "x = 1", "x 1", "x:1", "x=1", "x\n1", "x  \n\n : 1", "\u{feff}x: 1", "\tx\t:\t1\t"] {
        assert_eq!(x(text), Value::Integer(1), "{text:?}");
    }
    assert_eq!(json("a {x 1}"), r#"{"a":{"x":1}}"#);
    assert_eq!(json("a{ x"), r#"{"a{":"x"}"#, "a brace belongs to the key it touches");
}

#[test]
fn comments_stand_wherever_a_key_a_value_or_an_element_may_begin_or_after_them() {
    let text = "# first\nx: 1 # one\n// second\ny: [ // in\n 1 # after\n // between\n 2 ] // end\n\
                z { # in\n a: 1 // after\n # last\n } # end";
    assert_eq!(json(text), r#"{"x":1,"y":[1,2],"z":{"a":1}}"#);
    assert_eq!(x_text("x: #word"), "#word", "a value that begins at the hash is a string");
}

#[test]
fn values_at_the_top_end_with_a_line_a_comma_a_semicolon_or_a_stray_brace() {
    assert_eq!(json("a: 1; b: 2, c: 3\rd: 4\r\ne: 5 } f: 6"), r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}"#);
}

#[test]
fn values_in_a_map_end_with_a_line_a_comma_or_a_semicolon() {
    assert_eq!(json("m { a: 1; b: 2, c: 3\n d:\n 4 }"), r#"{"m":{"a":1,"b":2,"c":3,"d":4}}"#);
}

#[test]
fn the_file_may_be_wrapped_in_braces() {
    for text in ["{ x: 1 }", "{\n\"x\": 1\n}\n", "{ x: 1; }", "{ x: 1\n", "{ { x: 1 } }", "{ # c\n x: 1 # d\n} # e"] {
        assert_eq!(json(text), r#"{"x":1}"#, "{text:?}");
    }
    assert_eq!(json("x: 1\n}"), r#"{"x":1}"#, "a closing brace as the last word is tolerated");
    assert_eq!(json("{a: 1, b: 2} c: 3"), r#"{"a":1,"b":2,"c":3}"#);
}

#[test]
fn keys_may_be_quoted_and_nothing_is_escaped_in_them() {
    assert_eq!(json(r#"'a b': 1, "c:d" 2, "e\n": 3"#), r#"{"a b":1,"c:d":2,"e\\n":3}"#);
    assert_eq!(json(r#"m { 'a b': 1, "c=d" 2 }"#), r#"{"m":{"a b":1,"c=d":2}}"#);
    assert_eq!(json("max.x-y/z: 1"), r#"{"max.x-y/z":1}"#);
}

#[test]
fn the_last_of_equal_keys_wins() {
    assert_eq!(json("x: 1\nx: 2\nm { a: 1, a: 3 }"), r#"{"m":{"a":3},"x":2}"#);
}

#[test]
fn array_elements_are_parted_by_commas_or_lines() {
    for text in ["x: [1, 2]", "x: [1\n2]", "x: [1,\n2,\n]", "x: [ 1 ,2 , ]", "x: [\n1,2\n]", "x [1,2]", "x: [1,\n\n2]"]
    {
        assert_eq!(json(text), r#"{"x":[1,2]}"#, "{text:?}");
    }
    assert_eq!(json("x: []"), r#"{"x":[]}"#);
    assert_eq!(json("x: [[a, b], {c: d}, 'e']"), r#"{"x":[["a","b"],{"c":"d"},"e"]}"#);
    // The reference reads the bracket as part of the number here and fails.
    assert_eq!(json("x: [1, 2k]"), r#"{"x":[1,2000]}"#);
}

#[test]
fn single_quotes_escape_nothing_and_double_quotes_a_little() {
    assert_eq!(x_text(r"x: 'a\t\q\'"), r"a\t\q\");
    assert_eq!(x_text(r#"x: "\x41\t\n\r\"\\""#), "A\t\n\r\"\\");
    assert_eq!(x_text(r#"x: "\xc3\xa9""#), "é");
    assert_eq!(x_text("x: 'a\nb'"), "a\nb", "quoted strings span lines");
    assert_eq!(x_text("x: \"a\nb\""), "a\nb");
    assert_eq!(x_text("x: ''"), "");
    assert_eq!(x_text("x: \"true\""), "true");
}

#[test]
fn strings_without_quotes_run_to_a_blank_or_a_terminator() {
    assert_eq!(x_text("x: foo.bar-baz # c"), "foo.bar-baz");
    assert_eq!(x_text("x: a;"), "a");
    assert_eq!(x_text(r"x: a\tb"), "a\tb", "escapes count here too");
    assert_eq!(x_text("x: a'"), "a", "a single quote ends it");
    assert_eq!(x_text("x: a\"b"), "a\"b");
    assert_eq!(json("x: [a,b]\ny {c: d}"), r#"{"x":["a","b"],"y":{"c":"d"}}"#);
    assert_eq!(x_text("x:"), "", "nothing at the end of the file is the empty string");
}

#[test]
fn a_block_string_ends_at_a_parenthesis_alone_on_its_line() {
    assert_eq!(x_text("x (\na ) b\n  )\nc(d)\n)\n"), "\na ) b\n  )\nc(d)\n");
    assert_eq!(x_text("x: (raw \\t 'text'\n)\ny: 1"), "raw \\t 'text'\n");
    assert_eq!(x_text("x: (a\n)"), "a\n");
}

#[test]
fn booleans_have_three_words_each_in_any_case() {
    for word in ["true", "yes", "on", "TRUE", "Yes", "oN"] {
        assert_eq!(x(&format!("x: {word}")), Value::Bool(true), "{word}");
    }
    for word in ["false", "no", "off", "False", "NO", "Off"] {
        assert_eq!(x(&format!("x: {word}")), Value::Bool(false), "{word}");
    }
    assert_eq!(x_text("x: truely"), "truely");
}

#[test]
fn integers_take_a_sign_and_a_size() {
    for (text, number) in [
        ("0", 0),
        ("-1", -1),
        ("007", 7),
        ("1k", 1000),
        ("1Kb", 1024),
        ("1ki", 1024),
        ("1KiB", 1024),
        ("64mb", 64 << 20),
        ("2g", 2_000_000_000),
        ("2gib", 2 << 30),
        ("1t", 1_000_000_000_000),
        ("1TB", 1 << 40),
        ("1p", 1_000_000_000_000_000),
        ("1pi", 1 << 50),
        ("1e", 1_000_000_000_000_000_000),
        ("1EB", 1 << 60),
        ("-2m", -2_000_000),
    ] {
        assert_eq!(x(&format!("x: {text}")), Value::Integer(number), "{text}");
    }
}

#[test]
fn what_begins_with_a_digit_and_is_no_number_is_a_string() {
    for text in ["1zb", "10s", "4222abc", "1kx", "1h2m"] {
        assert_eq!(x_text(&format!("x: {text}")), text, "{text}");
    }
    assert_eq!(x_text("x: 1k5"), "1k5");
}

#[test]
fn floats_are_digits_a_point_and_digits() {
    assert_eq!(x("x: 1.5"), Value::Float(1.5));
    assert_eq!(x("x: -0.25"), Value::Float(-0.25));
}

#[test]
fn a_second_point_makes_an_address() {
    assert_eq!(x_text("x: 127.0.0.1:4222"), "127.0.0.1:4222");
    assert_eq!(x_text("x: 10.0.0.1:-1"), "10.0.0.1:-1");
    assert_eq!(x_text("x: 1.2.3"), "1.2.3");
    assert_eq!(x_text("x: :-1"), ":-1");
}

#[test]
fn dates_are_zulu() {
    assert_eq!(x("x: 2016-05-04T18:53:41Z"), Value::Datetime("2016-05-04T18:53:41Z".into()));
}
