use bulwark_jwt::callout::{ClientInformation, ClientTls, ConnectOptions, REQUEST_AUDIENCE, ServerIdentity};
use bulwark_jwt::testing::{Chain, NOW, key};
use bulwark_jwt::{AuthorizationRequest, AuthorizationResponse, DecodeError};
use nkeys::Role;

#[test]
fn a_question_reads_back_as_it_was_asked() {
    let (server, user) = (key(Role::Server, "n1"), key(Role::User, "fresh"));
    let mut request = AuthorizationRequest::new("AISSUER", server.public(), user.public());
    request.common.expires = NOW.as_secs() + 2;
    request.server = ServerIdentity { name: "n1".into(), id: server.public().to_string(), ..ServerIdentity::default() };
    request.client = ClientInformation { id: 7, kind: "Client".into(), ..ClientInformation::default() };
    request.connect = ConnectOptions { user: "joe".into(), password: "pw".into(), ..ConnectOptions::default() };
    request.tls = Some(ClientTls { verified_chains: vec![vec!["PEM".into()]], ..ClientTls::default() });
    let token = request.encode(&server, NOW.as_secs()).expect("signed");
    let read = AuthorizationRequest::decode(&token).expect("a question");
    assert_eq!(read.common.audience, REQUEST_AUDIENCE);
    assert_eq!((read.client, read.connect.user.as_str()), (request.client, "joe"));
    assert_eq!((read.tls, read.user_nkey, read.server), (request.tls, user.public(), request.server));
    assert!(!format!("{:?}", read.connect).contains("pw"), "a password is never printed");
}

#[test]
fn only_servers_ask_and_only_accounts_answer() {
    let (server, user, account) = (key(Role::Server, "n1"), key(Role::User, "u"), key(Role::Account, "a"));
    let request = AuthorizationRequest::new("A", server.public(), user.public());
    assert!(request.encode(&account, 0).is_err());
    let response = AuthorizationResponse::new(user.public(), server.public(), account.public());
    assert!(response.encode(&server, 0).is_err());
    assert!(response.encode(&account, 0).is_ok());
}

#[test]
fn an_answer_says_yes_or_no_and_not_both() {
    let (server, user) = (key(Role::Server, "n1"), key(Role::User, "u"));
    let account = Chain::new("acme").account("auth");
    let mut response = AuthorizationResponse::new(user.public(), server.public(), account.key.public());
    assert!(response.validate(NOW.as_secs()).is_blocking());
    response.error = "no".into();
    let token = response.encode(&account.key, NOW.as_secs()).expect("signed");
    let read = AuthorizationResponse::decode(&token).expect("an answer");
    assert!(read.validate(NOW.as_secs()).is_empty());
    assert_eq!(read.error, "no");
    response.jwt = "x".into();
    assert!(response.validate(NOW.as_secs()).is_blocking());
    let mut elsewhere = AuthorizationResponse { jwt: String::new(), ..response };
    elsewhere.common.audience = account.key.public().to_string();
    assert!(elsewhere.validate(NOW.as_secs()).is_blocking());
}

#[test]
fn another_kind_of_token_is_no_answer() {
    let account = Chain::new("acme").account("auth");
    let refused = AuthorizationResponse::decode(&account.user("joe").token()).expect_err("refused");
    assert!(matches!(refused, DecodeError::NotKind(_)));
    assert_eq!(refused.to_string(), "not an authorization request claim");
}
