//! Tenants and users for the scenes.

use auth::settings::{
    AccountSettings, PermissionsSettings, ResponsePermission, RuleText, Settings, SideSettings, UserSettings,
};

fn rules(texts: &[&str]) -> Option<Vec<RuleText>> {
    Some(texts.iter().copied().map(RuleText::from).collect())
}

fn user(name: &str, permissions: Option<PermissionsSettings>) -> UserSettings {
    UserSettings {
        user: Some(name.into()),
        password: Some(secret::Secret::new(name.to_owned())),
        permissions: permissions.map(Box::new),
        ..UserSettings::default()
    }
}

fn account(name: &str, users: Vec<UserSettings>) -> AccountSettings {
    AccountSettings { name: name.into(), users, ..AccountSettings::default() }
}

/// Two tenants. SHOP: `back` may do everything; `clerk` publishes to `orders.>` and `users.signup`, reads `events.>` but
/// never `events.audit.>`; `service` reads `svc.>` and may answer. BANK: `teller` may do everything.
pub fn tenants() -> Settings {
    let clerk = PermissionsSettings {
        publish: SideSettings { allow: rules(&["orders.>", "users.signup"]), deny: None },
        subscribe: SideSettings { allow: rules(&["events.>", "_INBOX.>"]), deny: rules(&["events.audit.>"]) },
        ..PermissionsSettings::default()
    };
    let service = PermissionsSettings {
        subscribe: SideSettings { allow: rules(&["svc.>"]), deny: None },
        allow_responses: Some(ResponsePermission::default()),
        ..PermissionsSettings::default()
    };
    let shop = vec![user("back", None), user("clerk", Some(clerk)), user("service", Some(service))];
    Settings {
        accounts: vec![account("SHOP", shop), account("BANK", vec![user("teller", None)])],
        ..Settings::default()
    }
}
