//! From where a stream's readers are looked at: from its own server, or over a gateway from another cluster. Over a gateway what
//! binds a user is told to the server that keeps the stream, and that one judges by it and by its own `subscribe_permissions`.

use auth::settings::{PermissionsSettings, RuleText, SideSettings};
use auth::{Binding, Origin, Permissions, ReadRule, Reading, Source};
use broker::fits_rights;
use config::Settings;

/// What binds readers, and what has to be known besides.
pub struct View {
    rule: ReadRule,
    is_abroad: bool,
    pub notes: Vec<String>,
}

/// The view from the server of these settings on a stream of its own, or on one that another server keeps.
///
/// # Errors
/// No gateway leads from one to the other.
pub fn view(own: &Settings, keeper: Option<&Settings>) -> Result<View, String> {
    let Some(keeper) = keeper else {
        let notes = if own.gateway.is_some() { notes_of_gateways(own) } else { Vec::new() };
        return Ok(View { rule: own.jetstream.reading, is_abroad: false, notes });
    };
    let (Some(here), Some(there)) = (&own.gateway, &keeper.gateway) else {
        return Err("--kept-by asks over a gateway: both configurations need a gateway block".to_owned());
    };
    if here.name == there.name {
        return Err(format!(
            "--kept-by asks over a gateway, and both configurations are of the cluster {:?}",
            here.name
        ));
    }
    let rule = word(keeper.jetstream.reading);
    let note = format!(
        "They ask over the gateway of {}, whose servers tell what binds them; {} judges by that and by its subscribe_permissions: \
         {rule}",
        here.name, there.name
    );
    Ok(View { rule: keeper.jetstream.reading, is_abroad: true, notes: vec![note] })
}

fn notes_of_gateways(own: &Settings) -> Vec<String> {
    if !own.jetstream.enabled {
        return vec![
            "No streams are kept here; those of another cluster are read by its rule: --kept-by FILE".to_owned(),
        ];
    }
    let others = match own.gateway.as_ref().is_some_and(|gateway| gateway.require_rights) {
        true => "servers that do not tell them read nothing (require_rights)",
        false => "users of servers that do not tell them are bound by nothing (require_rights)",
    };
    vec![format!("Users of other clusters are bound by the same rule and by what their servers tell of them; {others}")]
}

const fn word(rule: ReadRule) -> &'static str {
    match rule {
        ReadRule::Denied => "deny",
        ReadRule::Allowed => "all",
        ReadRule::Free => "off",
    }
}

impl View {
    /// What a user may read.
    pub fn reading(&self, user: &str, permissions: &Permissions) -> Option<Reading> {
        match self.is_abroad && permissions.binds() && !fits_rights(&format!("user:{user}"), permissions) {
            true => untold().reading(self.rule),
            false => permissions.reading(self.rule),
        }
    }
}

/// What binds whoever has lists that are too long.
fn untold() -> Permissions {
    let subscribe = SideSettings { allow: None, deny: Some(vec![RuleText::from(">")]) };
    let settings = PermissionsSettings { subscribe, ..PermissionsSettings::default() };
    let source = Source::Given(Origin::Told("its lists are too long to be told over a gateway".into()));
    Permissions::compile(&settings, &source, Binding::default()).expect("everything is a filter")
}

#[cfg(test)]
mod tests {
    use subject::Subject;

    use super::*;

    fn of(name: Option<&str>, reading: ReadRule) -> Settings {
        let gateway = name.map(|name| config::Gateway { name: name.to_owned(), ..config::Gateway::default() });
        let mut settings = Settings { gateway, ..Settings::default() };
        settings.jetstream.reading = reading;
        settings
    }

    fn denying(subjects: impl Iterator<Item = String>) -> Permissions {
        let deny = Some(subjects.map(|text| RuleText::from(text.as_str())).collect());
        let subscribe = SideSettings { allow: None, deny };
        let settings = PermissionsSettings { subscribe, ..PermissionsSettings::default() };
        Permissions::compile(&settings, &Source::Config, Binding::default()).unwrap()
    }

    #[test]
    fn a_gateway_leads_from_one_cluster_to_another() {
        let own = of(Some("B"), ReadRule::Denied);
        for none in [None, Some("B")] {
            assert!(view(&own, Some(&of(none, ReadRule::Denied))).is_err());
        }
        let abroad = view(&own, Some(&of(Some("A"), ReadRule::Free))).unwrap();
        assert_eq!(abroad.rule, ReadRule::Free, "the rule is that of the server with the stream");
        assert!(view(&of(None, ReadRule::Denied), None).unwrap().notes.is_empty());
    }

    #[test]
    fn whose_lists_are_too_long_to_be_told_reads_nothing_over_a_gateway() {
        let long = denying((0..5000).map(|number| format!("far.{number}")));
        let open = Subject::parse(b"open").unwrap();
        let own = of(Some("B"), ReadRule::Denied);
        let here = view(&own, None).unwrap().reading("bob", &long).unwrap();
        let abroad = view(&own, Some(&of(Some("A"), ReadRule::Denied))).unwrap();
        assert!(here.sees(open) && !abroad.reading("bob", &long).unwrap().sees(open));
        let short = denying(std::iter::once("secret".to_owned()));
        assert!(abroad.reading("bob", &short).unwrap().sees(open));
    }
}
