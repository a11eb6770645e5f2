use crate::{Scene, tree};

fn place(text: &str, key: &str) -> String {
    tree(text).get(key).unwrap().place.to_string()
}

#[test]
fn a_value_in_a_map_stands_where_its_key_stands() {
    assert_eq!(place("foo: 1", "foo"), "nats.conf:1:0");
    assert_eq!(place("port: 4222\n  foo: 1\n  \"bar\" 3", "foo"), "nats.conf:2:3");
    assert_eq!(place("port: 4222\n  foo: 1\n  \"bar\" 3", "bar"), "nats.conf:3:4");
    assert_eq!(place("a: 1; b: 2", "b"), "nats.conf:1:6");
    assert_eq!(place("x\n\n\n: (\na\n)\n", "x"), "nats.conf:1:0");
}

#[test]
fn an_element_of_an_array_stands_where_it_is_and_a_map_among_them_where_it_ends() {
    let map = tree("a { users: [ {user: a, foo: 1\n } , {pass: b}\n] }");
    let users = map.get("a").unwrap().as_map().unwrap().get("users").unwrap().as_array().unwrap();
    assert_eq!(users[0].as_map().unwrap().get("foo").unwrap().place.to_string(), "nats.conf:1:23");
    assert_eq!(users[0].place.to_string(), "nats.conf:2:3");
    assert_eq!(users[1].place.to_string(), "nats.conf:2:15");
    let map = tree("x: [a, 'b',\n \"c\", 12]");
    let places: Vec<_> =
        map.get("x").unwrap().as_array().unwrap().iter().map(|n| (n.place.line, n.place.column)).collect();
    assert_eq!(places, [(1, 4), (1, 8), (2, 3), (2, 7)]);
}

#[test]
fn an_included_key_stands_in_its_own_file() {
    let scene = Scene { files: &[("sub/users.conf", "a: 1\n b: 2")], ..Scene::default() };
    assert_eq!(scene.tree("include sub/users.conf").get("b").unwrap().place.to_string(), "sub/users.conf:2:2");
}

#[test]
fn a_value_from_the_environment_stands_where_it_is_referred_to() {
    let scene = Scene { environment: &[("LIST", "[a, b]")], ..Scene::default() };
    let map = scene.tree("\nx: $LIST");
    let x = map.get("x").unwrap();
    assert_eq!(x.place.to_string(), "nats.conf:2:1");
    assert_eq!(x.as_array().unwrap()[1].place.line, 2);
}
