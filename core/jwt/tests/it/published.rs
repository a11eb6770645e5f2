//! Tokens that the published libraries made or print in their own tests.

use bulwark_jwt::{AccountClaims, Claims, Kind, UserClaims};

fn published() -> Vec<(&'static str, &'static str, &'static str)> {
    tokens(include_str!("../data/published.txt"))
}

fn tokens(file: &'static str) -> Vec<(&'static str, &'static str, &'static str)> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let parts = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    parts.map(|parts| (parts[0], parts[1], parts[2])).collect()
}

fn kind(claims: &Claims) -> (Kind, u8) {
    match claims {
        Claims::Operator(claims) => (Kind::Operator, claims.common.version),
        Claims::Account(claims) => (Kind::Account, claims.common.version),
        Claims::User(claims) => (Kind::User, claims.common.version),
        Claims::Activation(claims) => (Kind::Activation, claims.common.version),
        Claims::AuthorizationRequest(claims) => (Kind::AuthorizationRequest, claims.common.version),
        Claims::AuthorizationResponse(claims) => (Kind::AuthorizationResponse, claims.common.version),
        Claims::Generic(claims) => (Kind::Generic, claims.common.version),
    }
}

fn read_all(all: &[(&str, &str, &str)]) {
    for (word, version, token) in all {
        let claims = Claims::decode(token).unwrap_or_else(|error| panic!("{word} {version}: {error}\n{token}"));
        let (kind, read) = kind(&claims);
        assert_eq!((kind.word(), read.to_string().as_str()), (*word, *version));
    }
}

#[test]
fn tokens_of_both_generations_are_read() {
    let all = published();
    assert!(all.len() > 10);
    read_all(&all);
}

#[test]
fn tokens_of_the_javascript_and_python_libraries_are_read() {
    let (javascript, python) =
        (tokens(include_str!("../data/javascript.txt")), tokens(include_str!("../data/python.txt")));
    assert_eq!((javascript.len(), python.len()), (7, 4));
    read_all(&javascript);
    read_all(&python);
}

#[test]
fn an_account_of_the_javascript_library_is_valid_and_whole() {
    let all = tokens(include_str!("../data/javascript.txt"));
    let (_, _, token) = all.iter().find(|(word, ..)| *word == "account").expect("an account");
    let account = AccountClaims::decode(token).expect("an account");
    let issues = account.validate(account.common.issued_at);
    assert!(issues.is_empty(), "{issues:?}");
    assert_eq!((account.imports.len(), account.exports.len(), account.mappings.len()), (2, 1, 1));
    assert_eq!(account.signing_keys.iter().filter(|(_, scope)| scope.is_some()).count(), 1);
    assert_eq!(account.limits.account.conn, 10);
    assert_eq!(account.revocations.iter().count(), 1);
    assert!(account.authorization.is_enabled() && account.authorization.xkey.is_some());
    assert_eq!(account.default_permissions.subscribe.allow, ["a q", "b.>"]);
}

#[test]
fn the_same_claims_give_the_same_text_and_id() {
    let (_, _, token) = published().into_iter().find(|(word, ..)| *word == "user").expect("a user");
    let user = UserClaims::decode(token).expect("a user");
    assert_eq!(user.common.issued_at, 1_616_247_232);
    assert_eq!(user.account().to_string(), "ABVRZKJ6Z7NIMPIYJRCHEYFRUO7ENN6NWOKQDFLFDFVPSM36UPX2UCPP");
    let unsigned = user.unsigned(user.common.issuer, user.common.issued_at).expect("the same issuer");
    let ours = String::from_utf8(unsigned.bytes().to_vec()).expect("text");
    assert_eq!(ours.split('.').nth(1), token.split('.').nth(1), "hash included");
}

#[test]
fn one_changed_letter_breaks_the_signature() {
    for (_, _, token) in published() {
        let at = token.len() / 2;
        let other = if token[at..].starts_with('A') { "B" } else { "A" };
        let mut changed = token.to_owned();
        changed.replace_range(at..=at, other);
        assert!(Claims::decode(&changed).is_err(), "{token}");
    }
}
