//! A part of the matrix against our server alone: what `matrix.txt` says is what happens. `cargo xtask prove tls` runs all of
//! it, with every client and the reference.
//!
//! The binary under test is `NATS_SERVER`, else the `nats-server` beside this test in the target folder.

use std::collections::HashMap;
use std::path::PathBuf;

use bulwark_tls_matrix::axes::{self, Cell};
use bulwark_tls_matrix::client::Tools;
use bulwark_tls_matrix::{Binary, matrix};

/// Every so many cells of the cover; refusals are tried all.
const STEP: usize = 3;

fn server() -> Binary {
    let beside = || {
        let own = std::env::current_exe().expect("a test knows where it is");
        own.parent().and_then(std::path::Path::parent).expect("it is in the target folder").join("nats-server")
    };
    let path = std::env::var_os("NATS_SERVER").map_or_else(beside, PathBuf::from);
    assert!(path.exists(), "{} is not built", path.display());
    Binary { name: "ours".into(), path }
}

/// What the table says of each row: the outcome without reasons and decisions.
fn table() -> HashMap<String, String> {
    let text = include_str!("../../matrix.txt");
    let parts = text.lines().filter_map(|line| line.split_once(" | "));
    parts.map(|(what, rest)| (what.to_owned(), rest.split(" | ").next().unwrap_or_default().to_owned())).collect()
}

fn check(cells: &[Cell]) {
    let (table, tools) = (table(), Tools { openssl: "openssl".into(), python: "python3".into() });
    assert!(!cells.is_empty());
    for row in matrix::run(cells, &server(), None, &tools).unwrap() {
        assert_eq!(Some(&row.ours.to_string()), table.get(&row.what), "{}", row.what);
    }
}

fn of_rust(cells: Vec<Cell>) -> Vec<Cell> {
    cells.into_iter().filter(|cell| cell.get("client") == "async-nats").collect()
}

#[test]
fn what_should_work_works() {
    let cells: Vec<Cell> = of_rust(axes::cover()).into_iter().step_by(STEP).collect();
    check(&cells);
}

#[test]
fn every_refusal_alone_is_refused() {
    check(&of_rust(axes::refusals()));
}

#[test]
fn the_table_has_a_row_for_every_cell() {
    let table = table();
    for cell in axes::cover().into_iter().chain(axes::refusals()) {
        assert!(table.contains_key(&cell.to_string()), "{cell}");
    }
}

#[test]
fn configurations_that_cannot_be_had_are_refused_with_the_replacement() {
    let table = table();
    for row in matrix::configurations(&server(), None).unwrap() {
        assert_eq!(Some(&row.ours.to_string()), table.get(&row.what), "{}", row.what);
    }
}
