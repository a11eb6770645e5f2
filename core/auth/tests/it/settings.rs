//! Settings that make no sense are refused, all at once, each with its place.

use account::AccountIds;
use auth::Directory;
use auth::settings::{AccountSettings, PermissionsSettings, Place, RuleText, Settings, SideSettings, UserSettings};
use testkit::accounts::{Words, nkey_user, robot, settings, user};

fn errors(settings: &Settings) -> Vec<String> {
    let errors = Directory::build(settings, &mut AccountIds::default()).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

fn authorization(change: impl FnOnce(&mut auth::settings::AuthorizationSettings)) -> Settings {
    let mut settings = Settings::default();
    settings.authorization.defined = true;
    settings.authorization.origin = Place::new("n.conf", 1, 1);
    change(&mut settings.authorization);
    settings
}

#[test]
fn ways_of_asking_exclude_each_other() {
    let both = authorization(|block| {
        block.user = Some("u".into());
        block.token = Some("t".into());
    });
    assert_eq!(errors(&both), ["n.conf:1:1: Cannot have a user/pass and token"]);
    let listed = authorization(|block| {
        block.user = Some("u".into());
        block.users = Some(Vec::new());
    });
    assert_eq!(errors(&listed), ["n.conf:1:1: Can not have a single user/pass and a users array"]);
    let token = authorization(|block| {
        block.token = Some("t".into());
        block.users = Some(Vec::new());
    });
    assert_eq!(errors(&token), ["n.conf:1:1: Can not have a token and a users array"]);
    let mut accounts = authorization(|block| block.token = Some("t".into()));
    accounts.accounts = settings(vec![("A", vec![user("a")])]).accounts;
    assert_eq!(errors(&accounts), ["n.conf:1:1: Can not have a token and accounts"]);
    accounts.authorization.token = None;
    accounts.authorization.user = Some("u".into());
    assert_eq!(errors(&accounts), ["n.conf:1:1: Can not have a single user/pass and accounts"]);
}

#[test]
fn a_password_without_a_user_does_not_leave_the_door_open() {
    let settings = authorization(|block| block.password = Some("p".into()));
    assert_eq!(errors(&settings), ["n.conf:1:1: a password needs a user"]);
}

#[test]
fn every_user_is_one_user() {
    let (a, b) = (user("joe").on_line(3), user("joe").on_line(7));
    assert_eq!(
        errors(&settings(vec![("A", vec![a]), ("B", vec![b])])),
        ["shop.conf:7:1: Duplicate user \"joe\" detected"]
    );
    let key = robot().public().to_string();
    let twice = settings(vec![("A", vec![nkey_user(&key), nkey_user(&key).on_line(2)])]);
    assert_eq!(errors(&twice), [format!("shop.conf:2:1: Duplicate nkey \"{key}\" detected")]);
    let mut beside = settings(vec![("A", vec![user("joe").on_line(9)])]);
    beside.authorization.users = Some(vec![user("joe").on_line(2)]);
    assert_eq!(errors(&beside), ["shop.conf:9:1: Duplicate user \"joe\" detected"]);
}

#[test]
fn a_user_has_a_name_or_a_key() {
    let fault = |user: UserSettings| errors(&settings(vec![("A", vec![user.on_line(1)])])).concat();
    let key = robot().public().to_string();
    assert_eq!(fault(UserSettings::default()), "shop.conf:1:1: User entry requires a user");
    assert_eq!(fault(user("")), "shop.conf:1:1: User entry requires a user");
    assert_eq!(fault(nkey_user("UXYZ")), "shop.conf:1:1: Not a valid public nkey for a user");
    assert_eq!(fault(nkey_user(&key.replacen('U', "A", 1))), "shop.conf:1:1: Not a valid public nkey for a user");
    let words = "shop.conf:1:1: Nkey users do not take usernames or passwords";
    assert_eq!(fault(nkey_user(&key).password("p")), words);
    assert_eq!(fault(UserSettings { user: Some("u".into()), ..nkey_user(&key) }), words);
}

#[test]
fn the_no_auth_user_must_exist() {
    let mut one = settings(vec![("A", vec![user("a")])]);
    one.authorization.no_auth_user = Some("b".into());
    assert!(
        errors(&one).concat().ends_with(
            "no_auth_user: \"b\" not present as user or nkey in authorization block or account configuration"
        )
    );
    let mut none = Settings::default();
    none.authorization.no_auth_user = Some("b".into());
    assert!(errors(&none).concat().ends_with("no_auth_user: \"b\" present, but users/nkeys are not defined"));
}

#[test]
fn accounts_have_sound_names_and_keys() {
    let account = |name: &str, nkey: Option<&str>| AccountSettings {
        name: name.into(),
        nkey: nkey.map(Into::into),
        origin: Place::new("n.conf", 5, 2),
        ..AccountSettings::default()
    };
    let fault = |accounts: Vec<AccountSettings>| errors(&Settings { accounts, ..Settings::default() });
    assert_eq!(fault(vec![account("$G", None)]), ["n.conf:5:2: \"$G\" is a Reserved Account"]);
    assert_eq!(fault(vec![account("A", None), account("A", None)]), ["n.conf:5:2: Duplicate Account Entry: A"]);
    let both = fault(vec![account("a b", None), account("B", Some("AB"))]);
    assert_eq!(
        both,
        [
            "n.conf:5:2: an account name holds no blanks and no control characters",
            "n.conf:5:2: Not a valid public nkey for an account: \"AB\"",
        ]
    );
}

#[test]
fn a_bad_rule_is_named_with_its_place() {
    let rule = |text: &str, line| RuleText { text: text.into(), place: Place::new("n.conf", line, 4) };
    let subscribe = SideSettings { allow: Some(vec![rule("ok.>", 1), rule("a..b", 2)]), deny: None };
    let permissions = PermissionsSettings { subscribe, ..PermissionsSettings::default() };
    let joe = UserSettings { permissions: Some(Box::new(permissions.clone())), ..user("joe") };
    let mut all = settings(vec![("A", vec![joe, nkey_user("bad").on_line(9)])]);
    all.accounts[0].default_permissions = Some(permissions);
    assert_eq!(
        errors(&all),
        [
            "n.conf:2:4: subject \"a..b\" is not a valid subject",
            "n.conf:2:4: subject \"a..b\" is not a valid subject",
            "shop.conf:9:1: Not a valid public nkey for a user",
        ]
    );
}

#[test]
fn a_proxy_is_known_by_a_key() {
    let settings = Settings { trusted_proxies: vec!["nokey".into()], ..Settings::default() };
    assert!(errors(&settings).concat().ends_with("not a public key of a proxy: \"nokey\""));
}

#[test]
fn plain_passwords_are_noticed() {
    let has = |user: UserSettings| {
        Directory::build(&settings(vec![("A", vec![user])]), &mut AccountIds::default()).unwrap().has_plain_passwords()
    };
    assert!(has(user("a").password("p")) && has(user("a")));
    assert!(!has(user("a").password("$2a$11$abcdefghijklmnopqrstuuH3ULDq0mFJPhyPOCwQDKRw3LmrEHDq6")));
    assert!(!has(nkey_user(&robot().public().to_string())));
}

#[test]
fn mappings_belong_to_their_account_and_those_at_the_top_to_the_global_one() {
    let mapping = |to: &str| {
        let mut mappings = account::Mappings::default();
        mappings.add(account::Mapping::compile("a", &[account::Destination::all(to)]).unwrap()).unwrap();
        mappings
    };
    let mut settings = settings(vec![("A", vec![user("a")])]);
    settings.accounts[0].mappings = mapping("b");
    settings.global_mappings = mapping("c");
    let directory = testkit::accounts::compiled(&settings);
    let moved = |account: &str| {
        let account = directory.account(account).unwrap();
        account.mappings.apply(subject::Subject::parse(b"a").unwrap(), None, 0)
    };
    assert_eq!(moved("A"), account::Mapped::To(b"b".to_vec()));
    assert_eq!(moved("$G"), account::Mapped::To(b"c".to_vec()));
    assert_eq!(moved("$SYS"), account::Mapped::Same);
}
