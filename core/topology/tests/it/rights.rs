//! What binds a publisher, told to another cluster.

use bulwark_topology::{LinkError, MAX_TOLD_ENTRIES, ToldLists, ToldRights};
use wire::gateway::MAX_RIGHTS_BYTES;

fn side<T: From<&'static str>>(allow: Option<&[&'static str]>, deny: &[&'static str]) -> ToldLists<T> {
    let texts = |texts: &[&'static str]| texts.iter().map(|text| T::from(text)).collect::<Vec<_>>();
    ToldLists { allow: allow.map(texts), deny: texts(deny) }
}

fn lists<T: From<&'static str>>() -> [ToldLists<T>; 2] {
    let publish = side(Some(&["$JS.API.>", "orders.>"]), &["orders.void"]);
    [publish, side(None, &["secret.>", "jobs.* workers"])]
}

#[test]
fn what_is_told_is_what_is_read() {
    let told = ToldRights::encode("user:clerk", false, Some(lists()));
    let read = ToldRights::parse(&told).unwrap();
    assert_eq!(read, ToldRights { who: "user:clerk".to_owned(), is_leaf: false, lists: Some(lists()) });

    let closed = [side(Some(&[]), &[]), side(None, &[])];
    let read = ToldRights::parse(&ToldRights::encode("nkey:U", true, Some(closed))).unwrap();
    assert!(read.is_leaf);
    assert_eq!(read.lists.unwrap()[0].allow, Some(Vec::new()), "nothing allowed is not everything");
}

#[test]
fn lists_that_are_too_long_are_told_to_be_too_long() {
    let entries: Vec<String> = (0..MAX_TOLD_ENTRIES).map(|number| format!("a.{number}")).collect();
    let long = ToldLists { allow: None, deny: entries.iter().map(String::as_str).collect() };
    let quoted = "\"".repeat(MAX_RIGHTS_BYTES - 64);
    let escaped = ToldLists { allow: None, deny: vec![quoted.as_str()] };
    let free = || ToldLists { allow: None, deny: Vec::new() };
    for told in [Some([free(), long]), Some([free(), escaped]), None] {
        let told = ToldRights::encode("user:clerk", false, told);
        assert!(told.len() <= MAX_RIGHTS_BYTES);
        assert_eq!(ToldRights::parse(&told).unwrap().lists, None);
    }
}

#[test]
fn a_name_ends_no_line_and_has_its_bound() {
    let name = format!("user:a\r\nb{}", "\u{e9}".repeat(300));
    let read = ToldRights::parse(&ToldRights::encode(&name, false, Some(lists()))).unwrap();
    assert!(read.who.starts_with("user:ab\u{e9}") && read.who.len() <= 256);
}

#[test]
fn what_cannot_be_read_or_might_mean_more_is_refused() {
    for json in [
        "",
        "{}",
        "[]",
        r#"{"who":"a\n"}"#,
        r#"{"who":1}"#,
        r#"{"who":"a","publish":{"allow":"x"},"subscribe":{}}"#,
        r#"{"who":"a","publish":{},"subscribe":{},"until":12}"#,
        r#"{"who":"a","publish":{"only":["x"]},"subscribe":{}}"#,
    ] {
        assert!(matches!(ToldRights::parse(json.as_bytes()), Err(LinkError::Unreadable(_))), "{json}");
    }
    let half = ToldRights::parse(br#"{"who":"a","publish":{}}"#).unwrap();
    assert_eq!(half.lists, None, "half of it is nothing");
}
