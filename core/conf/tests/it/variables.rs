use crate::{Scene, json, tree, x_text};

#[test]
fn a_variable_is_a_key_written_before_in_an_enclosing_map() {
    assert_eq!(json("a: 7\nx: $a"), r#"{"a":7,"x":7}"#);
    assert_eq!(json("a: 7\nm { a: 8, n { x: $a } }"), r#"{"a":7,"m":{"a":8,"n":{"x":8}}}"#, "the innermost wins");
    assert_eq!(json("a: {b: [1,2]}\nx: [$a, $a]"), r#"{"a":{"b":[1,2]},"x":[{"b":[1,2]},{"b":[1,2]}]}"#);
    let scene = Scene::default();
    assert_eq!(scene.errors("x: $a\na: 7"), ["variable reference for 'a' on line 1 can not be found"]);
    assert_eq!(scene.errors("m { a: 7 }\nx: $a"), ["variable reference for 'a' on line 2 can not be found"]);
    assert_eq!(scene.errors("{\n x: $a\n}"), ["variable reference for 'a' on line 2 can not be found"]);
}

#[test]
fn what_is_referred_to_is_marked_and_the_reference_is_not() {
    let map = tree("a: 7\nx: $a");
    assert!(map.get("a").unwrap().is_used_variable);
    assert!(!map.get("x").unwrap().is_used_variable);
}

#[test]
fn then_the_environment_speaks_this_grammar() {
    let environment = &[
        ("PORT", "8080"),
        ("TEXT", "\"8080\""),
        ("MAP", "{a: [1, 2]}"),
        ("NEXT", "$PORT"),
        ("EMPTY", ""),
        ("PASS", "s3cr=t"),
    ];
    let scene = Scene { environment, ..Scene::default() };
    let text = "a: $PORT, b: $TEXT, c: $MAP, d: $NEXT, e: $EMPTY, f: $PASS";
    assert_eq!(
        *bulwark_conf::to_json(&scene.tree(text)),
        r#"{"a":8080,"b":"8080","c":{"a":[1,2]},"d":8080,"e":"","f":"s3cr=t"}"#
    );
    assert_eq!(*bulwark_conf::to_json(&scene.tree("PORT: 1, x: $PORT")), r#"{"PORT":1,"x":1}"#, "a key comes first");
}

#[test]
fn an_environment_value_that_cannot_be_read_says_why() {
    let environment = &[("BAD", "[a b]"), ("LOST", "$GONE"), ("ONE", "$TWO"), ("TWO", "$ONE"), ("ME", "$ME")];
    let scene = Scene { environment, ..Scene::default() };
    let sentence = |text: &str| scene.errors(text).remove(0);
    assert_eq!(
        sentence("\nx: $BAD"),
        "variable reference for 'BAD' on line 2 could not be parsed: Parse error on line 1: 'Expected an array value \
         terminator \",\" or an array terminator \"]\", but got 'b' instead.'"
    );
    assert_eq!(
        sentence("x: $LOST"),
        "variable reference for 'LOST' on line 1 could not be parsed: variable reference for 'GONE' on line 1 can not \
         be found"
    );
    assert_eq!(
        sentence("\nx: $ME"),
        "variable reference for 'ME' on line 2 could not be parsed: variable reference for 'ME' on line 1 could not be \
         parsed: variable reference cycle for 'ME'"
    );
    assert!(sentence("x: $ONE").ends_with("variable reference cycle for 'ONE'"));
}

#[test]
fn a_bcrypt_hash_needs_no_quotes() {
    let hash = "$2a$11$ooo/IU.xkXlDVQWfJ1Lmm.4qAQZbdvbyzEWmK8kXuQs6N1X9gq3Ce";
    assert_eq!(x_text(&format!("x: {hash}\n")), hash);
    assert_eq!(json(&format!("m {{ x: {hash} }}")), format!(r#"{{"m":{{"x":"{hash}"}}}}"#));
    assert_eq!(
        Scene::default().errors("x: $2b$11$abc"),
        ["variable reference for '2b$11$abc' on line 1 can not be found"]
    );
}

#[test]
fn quoted_dollars_are_text() {
    assert_eq!(x_text("x: '$a'"), "$a");
    assert_eq!(x_text("x: \"$a\""), "$a");
}
