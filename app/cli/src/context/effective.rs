//! What holds for this run: the context with what was typed, and what the environment says, laid over it.

use anyhow::{Result, bail};

use crate::context::{Record, Shelf, credential, shelf};
use crate::global::GlobalArgs;
use crate::show::outln;

/// Where a server is looked for when nothing says otherwise.
pub(crate) const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// Where the settings of this run started from.
#[derive(Debug, PartialEq)]
pub(crate) enum Origin {
    Nothing,
    Named(String),
    File(String),
}

/// The settings of this run.
pub(crate) fn effective(global: &GlobalArgs, shelf: &Shelf) -> Result<(Record, Origin)> {
    let (mut record, origin) = base(global, shelf)?;
    if !record.nsc.is_empty() {
        look_up_nsc(&mut record)?;
    }
    overlay(&mut record, global);
    if record.url.is_empty() {
        DEFAULT_URL.clone_into(&mut record.url);
    }
    if record.cert.is_empty() != record.key.is_empty() {
        bail!("a TLS certificate needs its key and a key its certificate: give both --tlscert and --tlskey");
    }
    Ok((record, origin))
}

fn base(global: &GlobalArgs, shelf: &Shelf) -> Result<(Record, Origin)> {
    if global.no_context {
        return Ok((Record::default(), Origin::Nothing));
    }
    if let Some(path) = global.context_file() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((shelf::read(path, &name)?, Origin::File(name)));
    }
    if let Some(name) = global.context.as_ref().filter(|name| !name.is_empty()) {
        return Ok((shelf.load(name)?, Origin::Named(name.clone())));
    }
    match shelf.selected() {
        None => Ok((Record::default(), Origin::Nothing)),
        Some(name) if shelf.knows(&name) => Ok((shelf.load(&name)?, Origin::Named(name))),
        Some(name) => {
            outln!("The selected context {name:?} was not found, unselecting it\n");
            shelf.unselect()?;
            bail!("context not found");
        }
    }
}

/// Old contexts name a user of `nsc`, who has a creds file and an operator with servers.
fn look_up_nsc(record: &mut Record) -> Result<()> {
    let profile = credential::nsc_profile(&record.nsc)?;
    if record.url.is_empty() {
        record.url = profile.url();
    }
    if record.creds.is_empty() {
        record.creds = profile.user_creds.unwrap_or_default();
    }
    record.nsc.clear();
    Ok(())
}

/// Lays typed values over the record; what was not typed stays.
pub(crate) fn overlay(record: &mut Record, global: &GlobalArgs) {
    let login = [&global.user, &global.token, &global.creds, &global.nkey, &global.jwt];
    if login.iter().any(|given| is_given(given)) {
        record.clear_login();
    }
    let password_given = is_given(&global.password);
    let token = if password_given { &global.token } else { first_given(&global.token, &global.user) };
    let user = if password_given { &global.user } else { &None };
    for (field, given) in [
        (&mut record.url, &global.server),
        (&mut record.user, user),
        (&mut record.password, &global.password),
        (&mut record.token, token),
        (&mut record.creds, &global.creds),
        (&mut record.nkey, &global.nkey),
        (&mut record.user_jwt, &global.jwt),
        (&mut record.user_seed, &global.seed),
        (&mut record.cert, &global.tlscert),
        (&mut record.key, &global.tlskey),
        (&mut record.ca, &global.tlsca),
        (&mut record.jetstream_domain, &global.js_domain),
        (&mut record.jetstream_api_prefix, &global.js_api_prefix),
        (&mut record.jetstream_event_prefix, &global.js_event_prefix),
        (&mut record.inbox_prefix, &global.inbox_prefix),
    ] {
        if is_given(given) {
            field.clone_from(given.as_ref().expect("it is given"));
        }
    }
    record.tls_first |= global.tlsfirst;
    match global.socks_proxy.as_deref() {
        None | Some("") => {}
        Some("none" | "NONE" | "-") => record.socks_proxy.clear(),
        Some(proxy) => proxy.clone_into(&mut record.socks_proxy),
    }
    if let Some(scheme) = global.colors {
        scheme.name().clone_into(&mut record.color_scheme);
    }
}

/// An empty value, as an empty environment variable gives, is no value.
fn is_given(value: &Option<String>) -> bool {
    value.as_ref().is_some_and(|text| !text.is_empty())
}

fn first_given<'a>(one: &'a Option<String>, other: &'a Option<String>) -> &'a Option<String> {
    if is_given(one) { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(change: impl Fn(&mut GlobalArgs)) -> GlobalArgs {
        let mut global = GlobalArgs::default();
        change(&mut global);
        global
    }

    fn laid_over(record: &Record, global: &GlobalArgs) -> Record {
        let mut record = record.clone();
        overlay(&mut record, global);
        record
    }

    #[test]
    fn a_user_without_a_password_is_a_token() {
        let alone = laid_over(&Record::default(), &typed(|g| g.user = Some("tok".into())));
        assert_eq!((alone.user.as_str(), alone.token.as_str()), ("", "tok"));
        let both =
            laid_over(&Record::default(), &typed(|g| (g.user, g.password) = (Some("alice".into()), Some("x".into()))));
        assert_eq!((both.user.as_str(), both.password.as_str(), both.token.as_str()), ("alice", "x", ""));
    }

    #[test]
    fn typed_credentials_replace_those_of_the_context() {
        let context = Record { user: "bob".into(), password: "b".into(), url: "nats://a".into(), ..Record::default() };
        let mixed = laid_over(&context, &typed(|g| g.creds = Some("x.creds".into())));
        assert_eq!((mixed.user.as_str(), mixed.creds.as_str(), mixed.url.as_str()), ("", "x.creds", "nats://a"));
        assert_eq!(laid_over(&context, &GlobalArgs::default()).user, "bob");
    }

    #[test]
    fn the_selected_context_is_the_base_and_can_be_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path());
        shelf.save("dev", &Record { url: "nats://dev:1".into(), ..Record::default() }).unwrap();
        shelf.select("dev").unwrap();
        let url = |global: &GlobalArgs| effective(global, &shelf).unwrap().0.url;
        assert_eq!(url(&GlobalArgs::default()), "nats://dev:1");
        assert_eq!(url(&typed(|g| g.no_context = true)), DEFAULT_URL);
        assert_eq!(url(&typed(|g| g.server = Some("nats://x:2".into()))), "nats://x:2");
        assert!(effective(&typed(|g| g.context = Some("nope".into())), &shelf).is_err());
    }

    #[test]
    fn a_selected_context_that_is_gone_is_unselected() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path());
        shelf.save("dev", &Record::default()).unwrap();
        shelf.select("dev").unwrap();
        shelf.remove("dev").unwrap();
        assert!(effective(&GlobalArgs::default(), &shelf).is_err());
        assert_eq!(shelf.selected(), None);
    }
}
