use bulwark_conf::digest;

use crate::{json, tree};

#[test]
fn the_digest_is_the_one_the_reference_prints() {
    assert_eq!(digest(&tree("port: 4222")), "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e");
    // Each value as `x: VALUE`, `port: $x`, `port: 4222`.
    let recorded = [
        (r#""<a>&\t\\ \x41 é""#, "5381926015057172cd3a7173982ac0a40e4b3ceb0a9069cecc6306175c0973c8"),
        ("1.5", "9a631d8254736c0b08e45fcb7f44e7502d01d44f84612e022cf384a6167a5206"),
        ("0.0000001", "da3912bd5ff12960633cb445ccf184fd4e2f8bdc2b9782414367064387401bf9"),
        ("123456789012345678901234567890.5", "c6647713fa43616f48562a68153171a41db467c269f6a9805c2ef2da5a342b66"),
        (
            r#"[-1, 2 , "x", {b: 1, a: 2}, 2016-05-04T18:53:41Z ]"#,
            "25bb2ecbed413890e77070f1450fba64d06ce84af29a0230dccc373fa3dcb878",
        ),
        (r#"{ z: yes, "a b": off, c: 1kb }"#, "608c32c34213ada39b20931ddc98f2cef453e51945c4b7f7045865b707991906"),
        (r#""\x01\x7f""#, "afd35eef06c989854e21f64c8572907ea1b68c64fda73900437348d8ab1a6f2b"),
        ("(\nblock\n)", "b680108b830589ad552b26c6c13951c9bf6535fa89950e48e512c04a4f946731"),
        ("-0.5", "7fe74f2bc541822c10d037ead2c77853c8c93130da7dd6162b8cf977cdfcb013"),
        ("1000000000000000000000.0", "88431ae9676ab102089daff58f219bbb45a3fa796643dd06152df9d4a1c0f689"),
    ];
    for (value, hash) in recorded {
        let text = format!("x: {value}\nport: $x\nport: 4222\n");
        assert_eq!(digest(&tree(&text)), format!("sha256:{hash}"), "{value}");
    }
}

#[test]
fn keys_are_sorted_bytewise_and_variables_stay() {
    assert_eq!(json("b: 1\nB: 2\na: $b\n_: 3"), r#"{"B":2,"_":3,"a":1,"b":1}"#);
}

#[test]
fn a_tree_does_not_print_its_texts() {
    let printed = format!("{:?}", tree("password: marker-7f3a, users: [{pass: marker-7f3a}]"));
    assert!(printed.contains("[REDACTED]") && !printed.contains("marker-7f3a"), "{printed}");
}
