//! Operator mode: what an operator's claims ask of the configuration and of this server.

use bulwark_config::{Resolver, Support, load_text};
use jwt::OperatorClaims;
use nkeys::{KeyPair, Role, Secret};

use crate::in_world;

const NOW: i64 = 1_700_000_000;

fn pair(role: Role, byte: u8) -> KeyPair {
    KeyPair::from_raw_seed(role, Secret::new([byte; 32]))
}

/// A file `op.jwt` with the claims, and a configuration that names it.
fn load(change: impl FnOnce(&mut OperatorClaims), text: &str) -> Result<bulwark_config::Settings, Vec<String>> {
    let operator = pair(Role::Operator, 1);
    let mut claims = OperatorClaims::new(operator.public());
    change(&mut claims);
    let decorated = nkeys::decorate_jwt("OPERATOR", &claims.encode(&operator, NOW).unwrap());
    let files = [("op.jwt", decorated.as_str())];
    let text = format!("operator: op.jwt\n{text}");
    let loaded =
        in_world(&files, |world| load_text("t.conf", &text, world, &Support::everything().without_certificates()));
    loaded.map(|loaded| loaded.settings).map_err(|wrong| wrong.errors.iter().map(ToString::to_string).collect())
}

fn wrong(change: impl FnOnce(&mut OperatorClaims), text: &str) -> Vec<String> {
    load(change, text).unwrap_err()
}

#[test]
fn the_account_server_and_system_account_of_a_single_operator_are_taken() {
    let system = pair(Role::Account, 2).public();
    let settings = load(
        |claims| {
            claims.system_account = Some(system);
            claims.account_server_url = "http://accounts:9090/jwt/v1".into();
        },
        "",
    )
    .unwrap();
    assert_eq!(settings.auth.system_account, Some(system.to_string()));
    assert_eq!(settings.operator.resolver, Some(Resolver::Url("http://accounts:9090/jwt/v1/accounts".into())));
    assert_eq!(settings.operator.operators[0].subject, pair(Role::Operator, 1).public().to_string());
}

#[test]
fn what_is_written_wins_over_what_the_claims_imply() {
    let settings =
        load(|claims| claims.account_server_url = "http://accounts:9090".into(), "resolver: MEMORY").unwrap();
    assert_eq!(settings.operator.resolver, Some(Resolver::Memory));
}

#[test]
fn an_operator_needs_a_resolver() {
    assert_eq!(wrong(|_| {}, ""), ["operators require an account resolver to be configured"]);
}

#[test]
fn a_resolver_over_the_servers_own_subjects_needs_a_system_account() {
    let text = "resolver { type: full, dir: jwts }";
    let sentence = "using nats based account resolver - the system account needs to be specified in configuration or \
                    the operator jwt";
    assert_eq!(wrong(|_| {}, text), [sentence]);
    assert!(load(|claims| claims.system_account = Some(pair(Role::Account, 2).public()), text).is_ok());
}

#[test]
fn the_system_account_of_the_configuration_must_be_the_operators() {
    let other = format!("resolver: MEMORY, system_account: {}", pair(Role::Account, 3).public());
    let claims = |claims: &mut OperatorClaims| claims.system_account = Some(pair(Role::Account, 2).public());
    assert_eq!(wrong(claims, &other), ["system_account in config and operator JWT must be identical"]);
    assert!(load(|_| {}, &other).is_ok(), "an operator that names none leaves it to the configuration");
}

#[test]
fn an_operator_may_ask_for_a_newer_server() {
    let subject = pair(Role::Operator, 1).public();
    let asked = |version: &str| load(|claims| claims.assert_server_version = version.to_owned(), "resolver: MEMORY");
    for version in ["2.15.1", "2.15.0", "2.9.99", "1.0.0", ""] {
        assert!(asked(version).is_ok(), "{version}");
    }
    for (version, why) in [
        ("3.0.0", "expected major version 3 > server major version 2"),
        ("2.16.0", "expected minor version 16 > server minor version 15"),
        ("2.15.2", "expected update version 2 > server update version 1"),
    ] {
        assert_eq!(asked(version).unwrap_err(), [format!("operator {subject} {why}")]);
    }
}

#[test]
fn an_operator_decides_about_logins_alone() {
    let callout = "authorization { auth_callout { issuer: ABJHLOVMPA4CI6R5KLNGOB4GSLNIY7IOUPAJC4YFNDLQVIOBYQGUWVLA, users: [a] } }";
    let sentence = "operators do not allow authorization callouts to be configured directly";
    assert_eq!(wrong(|_| {}, &format!("resolver: MEMORY\n{callout}")), [sentence]);
}

#[test]
fn a_chain_may_name_users_of_the_configuration_beside_those_of_an_operator() {
    let chained = |judges: &str, more: &str| {
        let authorization =
            format!("authorization {{ auth_chain: {judges}, users: [{{ user: joe, password: joes }}] }}");
        load(
            |_| {},
            &format!(
                "resolver: MEMORY\naccounts {{ LOCAL {{ users: [{{ user: ann, password: anns }}] }} }}\n{authorization}\n{more}"
            ),
        )
    };
    for judges in ["[users, jwt]", "[jwt, users]", "[users, jwt, callout]", "[callout, users, jwt]"] {
        assert!(chained(judges, "").is_ok(), "{judges}");
    }
    assert_eq!(chained("[users, callout]", "").unwrap_err().len(), 1);
    let plain = chained("[jwt, callout]", "").unwrap_err();
    assert!(plain.contains(&"operators do not allow users to be configured directly".to_owned()), "{plain:?}");
}

#[test]
fn an_account_of_the_configuration_never_takes_the_place_of_an_operators_one() {
    let with = |account: &str| {
        let text = format!("resolver: MEMORY\nauthorization {{ auth_chain: [users, jwt] }}\naccounts {{ {account} }}");
        load(|_| {}, &text).map(drop)
    };
    let key = "ACATS5YOVB6ROX2WUNKGNQ2MP3GMXDMKSG2O4N5CLX3A6W4PZGZZIL2R";
    assert!(with("LOCAL {}").is_ok());
    for taken in [format!("{key} {{}}"), format!("LOCAL {{ nkey: {key} }}"), "$SYS {}".to_owned()] {
        let why = with(&taken).unwrap_err();
        assert!(why.iter().any(|line| line.contains("would be one of the operators' accounts")), "{taken}: {why:?}");
    }
}
