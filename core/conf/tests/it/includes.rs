use crate::Scene;

fn json(files: &[(&str, &str)], text: &str) -> String {
    bulwark_conf::to_json(&Scene { files, ..Scene::default() }.tree(text)).to_string()
}

#[test]
fn an_included_file_adds_its_keys_to_the_map_it_stands_in() {
    let files = &[("a.conf", "a: 1\nb: 2")];
    for text in ["include a.conf", "include 'a.conf'", "include \"a.conf\"", "INCLUDE ./a.conf;", "{ include a.conf }"]
    {
        assert_eq!(json(files, text), r#"{"a":1,"b":2}"#, "{text}");
    }
    assert_eq!(json(files, "m { a: 0, include a.conf; c: 3 }"), r#"{"m":{"a":1,"b":2,"c":3}}"#);
    assert_eq!(json(files, "m {\n include 'a.conf'\n}\nx: 1"), r#"{"m":{"a":1,"b":2},"x":1}"#);
    assert_eq!(json(files, "b: 3\ninclude a.conf\na: 0"), r#"{"a":0,"b":2}"#, "the last one wins");
}

#[test]
fn the_word_is_a_keyword_only_before_a_blank_and_without_quotes() {
    assert_eq!(json(&[], "include: 1"), r#"{"include":1}"#);
    assert_eq!(json(&[], "include= 1"), r#"{"include":1}"#);
    assert_eq!(json(&[], "'include' 1"), r#"{"include":1}"#);
}

#[test]
fn paths_count_from_the_including_file_and_its_variables_are_its_own() {
    let files = &[("d/a.conf", "include b.conf\nc: $b"), ("d/b.conf", "b: 2"), ("v.conf", "x: $outer")];
    assert_eq!(json(files, "include d/a.conf\nd: $b"), r#"{"b":2,"c":2,"d":2}"#);
    let scene = Scene { files, ..Scene::default() };
    assert_eq!(
        scene.errors("outer: 1\ninclude v.conf"),
        ["error parsing include file 'v.conf', variable reference for 'outer' on line 1 can not be found"]
    );
}

#[test]
fn mistakes_of_an_included_file_keep_their_place() {
    let files = &[("d/a.conf", "x: 1\n include b.conf"), ("d/b.conf", "\n\ny: [a b]")];
    let errors = Scene { files, ..Scene::default() }.parse("include d/a.conf").unwrap_err();
    assert_eq!(errors[0].place.to_string(), "d/b.conf:3:7");
    assert_eq!(
        errors[0].to_string(),
        "error parsing include file 'd/a.conf', error parsing include file 'b.conf', Parse error on line 3: 'Expected an \
         array value terminator \",\" or an array terminator \"]\", but got 'b' instead.'"
    );
}
