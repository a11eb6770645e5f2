//! Operator mode: users are placed by the keys that sign them.

use jwt::testing::{Chain, NOW};
use jwt::{AllowedAccount, UserClaims};
use nkeys::{Creds, KeyPair, Role, Secret};

use crate::world::{World, is_refused, place, reference};

/// Claims of the test chain are issued in the past and do not expire, so servers of today take them.
#[tokio::test]
async fn users_are_placed_by_the_keys_of_their_accounts() {
    let Some(server) = reference() else { return };
    let chain = Chain::new("acme");
    let (mut auth, shop) = (chain.account("auth"), chain.account("shop"));
    let service = auth.user("service");
    auth.claims.authorization.auth_users = vec![service.key.public()];
    auth.claims.authorization.allowed_accounts = vec![AllowedAccount::Account(shop.key.public())];
    // Whoever has no credentials of their own shows this user, who may do nothing but ask.
    let sentinel = KeyPair::from_raw_seed(Role::User, Secret::new([77; 32]));
    let mut bearer = UserClaims::new(sentinel.public(), auth.key.public());
    bearer.rights.bearer_token = true;
    bearer.rights.permissions.publish.deny = vec![">".to_owned()];
    bearer.rights.permissions.subscribe.deny = vec![">".to_owned()];
    let bearer = bearer.encode(&auth.key, NOW.as_secs()).expect("signed");

    let system = chain.account("SYS");
    let config = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{\n {}: {}\n {}: {}\n {}: {}\n}}\nauthorization {{ timeout: 10 }}\n",
        chain.token(),
        system.key.public(),
        system.key.public(),
        system.token(),
        auth.key.public(),
        auth.token(),
        shop.key.public(),
        shop.token()
    );
    let world = World::open(&server, &config);
    let hash = bcrypt::hash("s3cret", 4).expect("a hash");
    world.write("users.toml", &format!("[users.alice]\npassword = \"{hash}\"\n"));
    world.write("service.creds", Creds { jwt: service.token(), key: service.key.clone() }.to_text().expose());
    world.write("auth.nk", auth.signing.seed().expose());
    world.write("shop.nk", shop.signing.seed().expose());
    let text = format!(
        "[nats]\nservers = [{:?}]\ncreds = \"service.creds\"\n\n[callout]\nissuer = \"file:auth.nk\"\nissuer_account = \"{}\"\n\n\
         [accounts.SHOP]\nid = \"{}\"\nsigning_key = \"file:shop.nk\"\n\n\
         [[provider]]\nkind = \"file\"\npath = \"users.toml\"\n\n\
         [[rule]]\naccount = \"SHOP\"\npub_allow = [\"orders.{{{{name}}}}\", \"$SYS.REQ.USER.INFO\"]\nsub_allow = [\"_INBOX.>\"]\n",
        world.url,
        auth.key.public(),
        shop.key.public()
    );
    world.write("callout.toml", &text);
    let mut running = world.serve("callout.toml");
    let login = |user: &str, password: &str| {
        let (user, password, bearer) = (user.to_owned(), password.to_owned(), bearer.clone());
        async_nats::ConnectOptions::with_auth_callback(move |_| {
            let mut auth = async_nats::Auth::new();
            (auth.username, auth.password, auth.jwt) =
                (Some(user.clone()), Some(password.clone()), Some(bearer.clone()));
            async move { Ok(auth) }
        })
    };
    let alice = world.login(login("alice", "s3cret")).await.expect("alice is let in");
    let (account, allowed) = place(&alice).await;
    assert_eq!(account, shop.key.public().to_string());
    assert_eq!(allowed.first().map(String::as_str), Some("orders.alice"));
    is_refused(world.login(login("alice", "wrong")).await);
    running.wait_for("wrong password for user \"alice\"");
}
