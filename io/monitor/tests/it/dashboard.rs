//! The dashboard: what comes with it, and what a browser is told.

use broker::ClientSettings;
use monitor::MonitorSettings;

use crate::house::House;

#[test]
fn the_page_and_its_parts_come_from_this_server_alone() {
    let house = House::open();
    let page = house.visit("/");
    assert!(page.status == 200 && page.body.contains("<script src=\"/dashboard.js\" defer>"), "{}", page.body);
    for (part, kind) in [("/dashboard.css", "text/css"), ("/dashboard.js", "text/javascript")] {
        let part = house.visit(part);
        assert!(part.status == 200 && part.head.contains(kind), "{}", part.head);
    }
    for part in ["/", "/dashboard.css", "/dashboard.js"] {
        let body = house.visit(part).body.replace("http://www.w3.org/2000/svg", "");
        assert!(!body.contains("http:") && !body.contains("https:") && !body.contains("{{base}}"), "{part}");
    }
}

#[test]
fn a_browser_is_told_to_allow_nothing_but_our_own_style_script_and_documents() {
    let house = House::open();
    for page in ["/", "/dashboard.js", "/varz", "/nowhere"] {
        let head = house.visit(page).head;
        let policy = head.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{page}: {head}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{page}: {head}");
    }
    let page = house.visit("/").body;
    assert!(
        !page.contains("onclick") && !page.contains("<style") && !page.contains("style="),
        "nothing stands in line"
    );
}

#[test]
fn the_page_finds_its_parts_under_a_base_path() {
    let settings = MonitorSettings { base_path: "/nats/one".into(), ..MonitorSettings::default() };
    let house = House::with(Default::default(), ClientSettings::default(), settings);
    let page = house.visit("/nats/one").body;
    assert!(page.contains("data-base=\"/nats/one\"") && page.contains("href=\"/nats/one/dashboard.css\""), "{page}");
    assert_eq!(house.visit("/nats/one/dashboard.js").status, 200);
    assert_eq!(house.visit("/dashboard.js").status, 404);
}

#[test]
fn who_was_refused_is_a_document() {
    let house = House::open();
    let document = house.json("/trustz");
    assert_eq!((&document["refused_logins"], &document["recent"]), (&0.into(), &serde_json::json!([])));
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> std::collections::BTreeSet<&str> {
    let is_part = |char: char| char.is_ascii_lowercase() || char == '_';
    let words = text.split(|char: char| !is_part(char));
    words.filter(|word| word.starts_with("bulwark_")).collect()
}

#[test]
fn the_grafana_dashboard_asks_for_every_metric_there_is_and_for_no_other() {
    let file = include_str!("../../../../docs/grafana/bulwark.json");
    let dashboard: serde_json::Value = serde_json::from_str(file).unwrap();
    let house = House::open();
    let page = house.visit("/metrics").body;
    let there: std::collections::BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(metrics_in(&dashboard["panels"].to_string()), there);
}
