//! Prints a whole chain of trust of the tests as JSON: an operator, accounts, users with their creds, and a request to
//! delete. Feed it to any server in operator mode to see whether it reads what this room writes.

use std::collections::BTreeMap;

use bulwark_jwt::testing::{Chain, NOW, TestAccount, TestUser};
use bulwark_jwt::{Export, GenericClaims, JetStreamLimits, Revoked, Sharing, TimeRange, WeightedMapping};
use serde_json::{Value, json};

fn main() {
    let chain = Chain::new("acme");
    let market = market(&chain);
    let (shop, users) = shop(&chain, &market);
    let system = chain.account("SYS");
    let admin = system.user("admin");
    let newer = shop.clone().with(|claims| claims.revocations.revoke(Revoked::All, NOW.as_secs())).issued(10);
    let mut delete = GenericClaims::new(&chain.key.public().to_string(), chain.key.public());
    delete.data.insert("accounts".into(), json!([market.key.public().to_string()]));
    let accounts: BTreeMap<_, _> =
        [&system, &market, &shop].map(|account| (account.key.public().to_string(), account.token())).into();
    let creds = users.iter().chain([&admin]).map(|user| (user.claims.common.name.clone(), creds(user)));
    let printed = json!({
        "operator": chain.token(),
        "system_account": system.key.public().to_string(),
        "accounts": accounts,
        "shop": shop.key.public().to_string(),
        "users": creds.collect::<serde_json::Map<_, _>>(),
        "shop_revoking_all": newer.token(),
        "delete_market": delete.encode(&chain.key, NOW.as_secs()).expect("an operator signs anything"),
    });
    println!("{printed:#}");
}

fn creds(user: &TestUser) -> Value {
    json!({ "jwt": user.token(), "seed": user.key.seed().expose(), "creds": user.creds().expose() })
}

fn market(chain: &Chain) -> TestAccount {
    chain.account("market").with(|claims| {
        claims.exports = vec![Export { token_req: true, ..Export::new(Sharing::Stream, "prices.>") }];
    })
}

fn shop(chain: &Chain, market: &TestAccount) -> (TestAccount, Vec<TestUser>) {
    let export = &market.claims.exports[0];
    let mut shop = chain.account("shop").with(|claims| {
        claims.limits.jetstream = JetStreamLimits { disk_storage: 1 << 20, streams: 5, ..JetStreamLimits::default() };
        let to = WeightedMapping { subject: "orders.new.$1".into(), weight: 100, cluster: String::new() };
        claims.mappings.insert("orders.old.*".into(), vec![to]);
        claims.common.add_tag("region:eu");
    });
    let activation = market.activation(shop.key.public(), export);
    shop.claims.imports = vec![market.import_of(export, Some(&activation))];
    let clerk = shop.add_scope("clerk", |scope| {
        scope.template.permissions.publish.allow = vec!["u.{{name()}}.>".into(), "t.{{tag(team)}}".into()];
    });
    let revoked = shop.user("revoked");
    shop.claims.revocations.revoke(Revoked::Key(revoked.key.public()), NOW.as_secs());
    let users = vec![
        shop.user("joe"),
        shop.delegated_user("dora"),
        shop.scoped_user("carl", &clerk).with(|claims| claims.common.add_tag("team:blue")),
        shop.scoped_user("odd.*", &clerk),
        shop.user("bea").with(|claims| claims.rights.bearer_token = true),
        shop.user("past").with(|claims| claims.common.expires = NOW.as_secs() + 1),
        shop.user("web").with(|claims| claims.rights.allowed_connection_types = vec!["WEBSOCKET".into()]),
        shop.user("far").with(|claims| claims.rights.sources = vec!["10.9.0.0/16".into()]),
        shop.user("near").with(|claims| claims.rights.sources = vec!["127.0.0.0/8".into()]),
        shop.user("never").with(|claims| {
            claims.rights.times = vec![TimeRange { start: "00:00:00".into(), end: "00:00:00".into() }];
        }),
        revoked,
    ];
    (shop, users)
}
