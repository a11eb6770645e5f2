//! Accounts and users of the configuration beside those that are claims: who judges whom.

use account::AccountIds;
use auth::settings::{AccountSettings, AuthorizationSettings, Judge, UserSettings};
use auth::{Attempt, Directory, Settings, Verdict, authenticate};
use jwt::testing::{Chain, NOW, TestAccount, TestUser, key};
use nkeys::{KeyPair, Role};
use testkit::accounts::{Words, nkey_user, user};

use crate::claims::{NONCE, attempt, operators};

const USERS_FIRST: [Judge; 2] = [Judge::Users, Judge::Claims];
const CLAIMS_FIRST: [Judge; 2] = [Judge::Claims, Judge::Users];

/// The house of this scene: an account of the configuration, and one of the operator.
struct House {
    chain: Chain,
    shop: TestAccount,
    ann: TestUser,
    robot: KeyPair,
}

impl House {
    fn new() -> Self {
        let chain = Chain::new("acme");
        let shop = chain.account("shop");
        let ann = shop.user("ann");
        let robot = key(Role::User, "robot");
        Self { chain, shop, ann, robot }
    }

    fn directory(&self, judges: [Judge; 2]) -> Directory {
        let users: Vec<UserSettings> = vec![user("joe").password("joes"), nkey_user(&self.robot.public().to_string())];
        let local = AccountSettings { name: "LOCAL".into(), users, ..AccountSettings::default() };
        let authorization = AuthorizationSettings { judges: judges.to_vec(), ..AuthorizationSettings::default() };
        let local = Settings { accounts: vec![local], authorization, ..Settings::default() };
        let mut ids = AccountIds::default();
        let operators = operators(&self.chain);
        let directory = Directory::of_operators_and_users(operators, &local, &mut ids).expect("the settings are sound");
        let trusted = directory.trust().unwrap().admit_account(&self.shop.token(), &self.shop.key.public(), NOW);
        directory.with_account(trusted.expect("the account is valid"), &mut ids, NOW).0
    }

    /// Shows what is said of user and password beside the claims, or alone.
    fn shows(&self, claims: bool, named: Option<(&str, &str)>) -> Attempt {
        let mut shown = attempt(&self.ann);
        if !claims {
            (shown.credentials.jwt, shown.credentials.signature) = (None, None);
        }
        if let Some((name, password)) = named {
            (shown.credentials.user, shown.credentials.password) = (Some(name.into()), Some(password.into()));
        }
        shown
    }
}

/// The account, or why not.
fn outcome(directory: &Directory, attempt: &Attempt, shop: &str) -> String {
    match authenticate(directory, attempt, NOW) {
        Verdict::Admit(admission) if admission.account.name.as_str() == shop => "shop".into(),
        Verdict::Admit(admission) => admission.account.name.to_string(),
        Verdict::Refuse(refusal) => format!("{refusal:?}").split(['(', ' ']).next().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_is_known_here_is_judged_here_and_who_shows_both_by_the_first() {
    let house = House::new();
    let shop = house.shop.key.public().to_string();
    let (users_first, claims_first) = (house.directory(USERS_FIRST), house.directory(CLAIMS_FIRST));
    for (claims, named, by_users_first, by_claims_first) in [
        (false, Some(("joe", "joes")), "LOCAL", "LOCAL"),
        (false, Some(("joe", "wrong")), "WrongPassword", "WrongPassword"),
        (false, Some(("eve", "joes")), "JwtMissing", "JwtMissing"),
        (false, None, "JwtMissing", "JwtMissing"),
        (true, None, "shop", "shop"),
        (true, Some(("eve", "joes")), "shop", "shop"),
        (true, Some(("joe", "joes")), "LOCAL", "shop"),
        (true, Some(("joe", "wrong")), "WrongPassword", "shop"),
    ] {
        let shown = house.shows(claims, named);
        assert_eq!(outcome(&users_first, &shown, &shop), by_users_first, "users first: {claims} {named:?}");
        assert_eq!(outcome(&claims_first, &shown, &shop), by_claims_first, "claims first: {claims} {named:?}");
    }
}

#[test]
fn a_key_of_the_configuration_signs_for_its_user_and_for_no_other() {
    let house = House::new();
    let directory = house.directory(CLAIMS_FIRST);
    let mut shown = house.shows(false, None);
    shown.credentials.nkey = Some(house.robot.public().to_string());
    shown.credentials.signature = Some(data_encoding::BASE64URL_NOPAD.encode(&house.robot.sign(NONCE)));
    assert_eq!(outcome(&directory, &shown, ""), "LOCAL");
    shown.credentials.signature = Some(house.ann.sign(NONCE));
    assert_eq!(outcome(&directory, &shown, ""), "SignatureWrong");
}

#[test]
fn users_of_the_configuration_stay_when_accounts_of_the_operator_come_and_go() {
    let house = House::new();
    let directory = house.directory(USERS_FIRST);
    let (joe, ann) = (house.shows(false, Some(("joe", "joes"))), attempt(&house.ann));
    let (without, changed) = directory.without_account(&house.shop.key.public(), &mut AccountIds::default(), NOW);
    assert_eq!(changed.len(), 1, "the account of the configuration is not concerned");
    assert_eq!(outcome(&without, &joe, ""), "LOCAL");
    assert!(matches!(authenticate(&without, &ann, NOW), Verdict::NeedAccount(key) if key == house.shop.key.public()));
}

#[test]
fn without_the_chain_users_of_the_configuration_are_not_there() {
    let house = House::new();
    let directory = crate::claims::directory(&house.chain, &[&house.shop]);
    assert_eq!(outcome(&directory, &house.shows(false, Some(("joe", "joes"))), ""), "JwtMissing");
    assert!(directory.account("LOCAL").is_none());
}
