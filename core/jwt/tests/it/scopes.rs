use bulwark_jwt::chain::{Origin, Rights, UserRefusal, rights_of};
use bulwark_jwt::testing::{Chain, TestAccount, TestUser};
use bulwark_jwt::{Allow, Scope, TemplateRefusal};

fn scoped(change: impl FnOnce(&mut Scope)) -> (Chain, TestAccount, nkeys::KeyPair) {
    let chain = Chain::new("acme");
    let mut shop = chain.account("shop");
    let clerk = shop.add_scope("clerk", change);
    (chain, shop, clerk)
}

fn rights(chain: &Chain, shop: &TestAccount, user: &TestUser) -> Result<Rights, UserRefusal> {
    let claims = bulwark_jwt::UserClaims::decode(&user.token()).expect("a user");
    rights_of(&chain.trust(), &shop.trusted(chain), &claims)
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn allowed(rights: &Rights) -> Vec<String> {
    match &rights.rules.as_ref().expect("rules").publish.allow {
        Allow::Everything => vec!["everything".to_owned()],
        Allow::Only(entries) => entries.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_scope_speaks_for_its_users() {
    let (chain, shop, clerk) = scoped(|scope| {
        scope.template.permissions.publish.allow =
            texts(&["u.{{name()}}.>", "t.{{tag(team)}}", "a.{{account-name()}}"]);
        scope.template.limits.payload = 100;
        scope.template.allowed_connection_types = texts(&["WEBSOCKET"]);
    });
    let joe = shop.scoped_user("joe", &clerk).with(|claims| {
        claims.common.add_tag("team:Blue");
        claims.common.add_tag("team:red");
    });
    let rights = rights(&chain, &shop, &joe).expect("rights");
    assert_eq!(allowed(&rights), ["u.joe.>", "t.blue", "t.red", "a.shop"]);
    assert_eq!(rights.rights.limits.payload, 100);
    assert_eq!(rights.rights.allowed_connection_types, ["WEBSOCKET"]);
    let template = |filled: &str, template: &str| (filled.to_owned(), template.to_owned());
    let templates = [
        template("a.shop", "a.{{account-name()}}"),
        template("t.blue", "t.{{tag(team)}}"),
        template("t.red", "t.{{tag(team)}}"),
        template("u.joe.>", "u.{{name()}}.>"),
    ];
    let origin = Origin::Scope { key: clerk.public(), role: "clerk".into(), templates: templates.into() };
    assert_eq!(rights.origin, origin);
}

#[test]
fn a_scoped_user_brings_no_rights_of_its_own() {
    let (chain, shop, clerk) = scoped(|_| {});
    let refused = |change: fn(&mut bulwark_jwt::UserClaims)| {
        rights(&chain, &shop, &shop.scoped_user("joe", &clerk).with(change)).map(|_| ())
    };
    let expected = Err(UserRefusal::ScopedWithRights(clerk.public()));
    assert_eq!(refused(|claims| claims.rights.permissions.publish.allow = texts(&["a"])), expected);
    assert_eq!(refused(|claims| claims.rights.limits.subs = -1), expected);
    assert_eq!(refused(|claims| claims.rights.bearer_token = true), expected);
    assert_eq!(refused(|_| ()), Ok(()));
}

#[test]
fn a_name_that_would_widen_the_scope_refuses_the_user() {
    let (chain, shop, clerk) = scoped(|scope| scope.template.permissions.subscribe.allow = texts(&["u.{{name()}}"]));
    for odd in ["*", ">", "a b", "a..b", ".a", "a.*", "a\tb"] {
        let refused = rights(&chain, &shop, &shop.scoped_user(odd, &clerk));
        assert!(matches!(refused, Err(UserRefusal::Template(TemplateRefusal::Widening { .. }))), "{odd:?}");
    }
    assert!(rights(&chain, &shop, &shop.scoped_user("a.b", &clerk)).is_ok());
}

#[test]
fn a_missing_tag_drops_an_allow_and_refuses_on_a_deny() {
    let (chain, shop, clerk) = scoped(|scope| {
        scope.template.permissions.publish.allow = texts(&["a", "t.{{tag(team)}}"]);
    });
    assert_eq!(allowed(&rights(&chain, &shop, &shop.scoped_user("joe", &clerk)).expect("rights")), ["a"]);

    let (chain, shop, clerk) = scoped(|scope| scope.template.permissions.publish.deny = texts(&["t.{{tag(team)}}"]));
    let refused = rights(&chain, &shop, &shop.scoped_user("joe", &clerk));
    assert!(matches!(refused, Err(UserRefusal::Template(TemplateRefusal::Undefined { .. }))));
}

#[test]
fn an_allow_list_of_which_nothing_is_left_denies_everything() {
    let (chain, shop, clerk) = scoped(|scope| scope.template.permissions.publish.allow = texts(&["t.{{tag(team)}}"]));
    let rights = rights(&chain, &shop, &shop.scoped_user("joe", &clerk)).expect("rights");
    let rules = rights.rules.expect("rules");
    assert_eq!(rules.publish.deny.iter().map(ToString::to_string).collect::<Vec<_>>(), [">"]);
}

#[test]
fn a_scope_without_limits_has_none() {
    let (chain, shop, clerk) = scoped(|_| {});
    let token = shop.token();
    let account = chain.trust().admit_account(&token, &shop.key.public(), bulwark_jwt::testing::NOW).expect("valid");
    let scope = account.claims().signing_keys.get(&clerk.public()).flatten().expect("a scope");
    assert_eq!(scope.template.limits, bulwark_jwt::NatsLimits::UNLIMITED);
}

#[test]
fn a_changed_scope_changes_the_rights_of_its_users() {
    let (chain, shop, clerk) = scoped(|scope| scope.template.permissions.publish.allow = texts(&["a"]));
    let joe = shop.scoped_user("joe", &clerk);
    let before = rights(&chain, &shop, &joe).expect("rights");
    let mut changed = shop.clone();
    changed.add_scope("clerk", |scope| scope.template.permissions.publish.allow = texts(&["b"]));
    assert_ne!(before, rights(&chain, &changed, &joe).expect("rights"));
    changed.claims.signing_keys.remove(&clerk.public());
    assert_eq!(rights(&chain, &changed, &joe), Err(UserRefusal::UnknownIssuer(clerk.public())));
}
