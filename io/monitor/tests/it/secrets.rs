//! No answer holds what somebody could log in with.

use auth::settings::Settings;
use broker::ClientSettings;
use monitor::MonitorSettings;
use secret::Secret;

use crate::house::{House, tenants};

/// Every page, asked for all it has.
const PAGES: [&str; 16] = [
    "/",
    "/varz",
    "/connz?auth=1&subs=detail&state=any",
    "/connz?auth=1&subs=1",
    "/connz?auth=1&state=closed",
    "/subsz?subs=1",
    "/accountz",
    "/accountz?acc=SHOP",
    "/accountz?acc=$G",
    "/accstatz?unused=1",
    "/routez?subs=1",
    "/gatewayz?accs=1",
    "/leafz?subs=1",
    "/jsz?config=1&consumers=1",
    "/healthz?details=1",
    "/metrics",
];

fn nothing_is_told(house: &House) {
    for path in PAGES {
        let reply = house.visit(path);
        assert!(!reply.body.contains("MARKER"), "{path}: {}", reply.body);
    }
}

/// 2026-05: what came where a JWT belongs was shown as one.
#[test]
fn advisory_2026_05_what_was_shown_at_login_is_shown_to_nobody() {
    let house = House::with(tenants(), ClientSettings::default(), MonitorSettings::default());
    let ann = house
        .client(r#"{"user":"ann","pass":"MARKER-ann","jwt":"MARKER.jwt","sig":"MARKER-sig","nkey":"MARKER-nkey"}"#);
    let _bob = house.client(r#"{"user":"bob","pass":"MARKER-bob","auth_token":"MARKER-token"}"#);
    nothing_is_told(&house);
    drop(ann);
    house.json_when("/connz?state=closed", |connz| connz["total"] == 1);
    nothing_is_told(&house);
}

#[test]
fn whoever_came_with_the_token_has_a_name_that_is_not_the_token() {
    let mut settings = Settings::default();
    settings.authorization.token = Some(Secret::new("MARKER-token".to_owned()));
    let house = House::with(settings, ClientSettings::default(), MonitorSettings::default());
    let _client = house.client(r#"{"auth_token":"MARKER-token"}"#);
    assert_eq!(house.json("/connz?auth=1")["connections"][0]["authorized_user"], "[REDACTED]");
    nothing_is_told(&house);
}
