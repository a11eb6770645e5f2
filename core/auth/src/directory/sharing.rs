//! What accounts share, from settings and from claims to the one form that is compiled.

use account::{
    Access, Account, Accounts, Exports, Import, ImportKind, Latency, LatencySampling, LocalName, ServiceExport,
    SharingError, StreamExport,
};
use jwt::AccountClaims;
use jwt::chain::{self, OperatorTrust};
use moment::Timestamp;
use nkeys::PublicKey;

use super::operator::{Tenant, Tenants, name};
use super::{SettingsError, SettingsFault};
use crate::settings::{AccountSettings, ExportSettings, Placed};

/// The exports of a configured account.
pub(super) fn exports(settings: &AccountSettings) -> Result<Exports, SettingsError> {
    let mut exports = Exports::default();
    let (streams, services): (Vec<_>, Vec<_>) =
        settings.exports.iter().partition(|export| matches!(export.what, ExportSettings::Stream(_)));
    for Placed { what: export, origin } in streams.into_iter().chain(services) {
        let (stream, subject, added) = match export {
            ExportSettings::Stream(export) => (true, &export.subject, exports.add_stream(export.clone())),
            ExportSettings::Service(export) => (false, &export.subject, exports.add_service(export.clone())),
        };
        if let Err(error) = added {
            let fault = SettingsFault::Export { stream, subject: subject.to_string(), error: Box::new(error) };
            return Err(SettingsError { place: origin.clone(), fault });
        }
    }
    Ok(exports)
}

/// The imports of configured accounts that may not stand, each with its place.
pub(super) fn refused(settings: &[AccountSettings], accounts: &Accounts) -> Vec<SettingsError> {
    let mut errors = Vec::new();
    for settings in settings.iter().filter(|settings| !settings.imports.is_empty()) {
        let Some(account) = accounts.get(&settings.name) else { continue };
        for (at, error) in &account.sharing.refused {
            let Some(Placed { what: import, origin }) = settings.imports.get(*at) else { continue };
            let (stream, subject) = (import.is_stream(), import.subject.clone());
            let fault = SettingsFault::Import { stream, subject, error: Box::new(error.clone()) };
            errors.push(SettingsError { place: origin.clone(), fault });
        }
    }
    errors
}

/// The exports of claims. What does not fit together was refused with the claims; what is left over is not offered.
pub(super) fn claimed_exports(claims: &AccountClaims) -> Exports {
    let mut exports = Exports::default();
    for export in &claims.exports {
        let Ok(subject) = export.subject.parse() else { continue };
        let access = match (export.account_token_position, export.token_req) {
            (0, false) => Access::Public,
            (0, true) => Access::Token,
            (position, _) => Access::Position(position),
        };
        let _: Result<(), SharingError> = match export.sharing {
            jwt::Sharing::Stream => exports.add_stream(StreamExport { subject, access }),
            jwt::Sharing::Service => exports.add_service(service(export, ServiceExport::new(subject, access))),
        };
    }
    exports
}

fn service(export: &jwt::Export, service: ServiceExport) -> ServiceExport {
    let response = match export.response_type {
        jwt::ResponseType::Stream => account::ResponseType::Stream,
        jwt::ResponseType::Chunked => account::ResponseType::Chunked,
        jwt::ResponseType::Unset | jwt::ResponseType::Singleton => account::ResponseType::Singleton,
    };
    let sampling = |sampling| match sampling {
        jwt::Sampling::Headers => LatencySampling::Headers,
        jwt::Sampling::Percent(percent) => LatencySampling::Percent(u8::try_from(percent).unwrap_or(100).clamp(1, 100)),
    };
    let latency = export.latency.as_ref();
    let latency = latency.map(|own| Latency { sampling: sampling(own.sampling), subject: own.results.clone() });
    // Latencies of many answers cannot be told: the service is offered without.
    let latency = latency.filter(|_| response == account::ResponseType::Singleton);
    let threshold = export.threshold().unwrap_or(service.threshold);
    ServiceExport { response, latency, threshold, allow_trace: export.allow_trace, ..service }
}

/// Whose claims are at hand, whom they may be trusted by, and when that is asked.
pub(super) struct Claims<'a> {
    pub(super) trust: &'a OperatorTrust,
    pub(super) tenants: &'a Tenants,
    pub(super) now: Timestamp,
}

impl Claims<'_> {
    /// The imports of claims.
    pub(super) fn imports(&self, claims: &AccountClaims) -> Vec<Import> {
        claims.imports.iter().map(|import| self.import(claims, import)).collect()
    }

    fn import(&self, claims: &AccountClaims, import: &jwt::Import) -> Import {
        let local = import.local_subject.as_str();
        let kind = match import.sharing {
            jwt::Sharing::Stream if !local.is_empty() => {
                ImportKind::Stream { local: LocalName::Mapped(local.to_owned()), allow_trace: import.allow_trace }
            }
            jwt::Sharing::Stream => {
                ImportKind::Stream { local: LocalName::Prefixed(import.to.clone()), allow_trace: import.allow_trace }
            }
            jwt::Sharing::Service => {
                let to = if local.is_empty() { &import.subject } else { local };
                ImportKind::Service { to: to.to_owned(), share: import.share }
            }
        };
        let (account, subject) = (name(&import.account), import.exported_subject().to_owned());
        Import { account, subject, kind, activated: self.activation(claims, import).is_some() }
    }

    /// How long the token of an import holds: nothing if it does not, or if there is none.
    fn activation(&self, claims: &AccountClaims, import: &jwt::Import) -> Option<chain::Activation> {
        let exporter = self.tenants.get(&import.account)?;
        let offers = |export: &&jwt::Export| {
            let covers = || {
                Some(export.subject.parse::<subject::Filter>().ok()?.covers(&import.exported_subject().parse().ok()?))
            };
            export.sharing == import.sharing && covers() == Some(true)
        };
        let export = exporter.trusted.claims().exports.iter().find(offers)?;
        if import.token.is_empty() {
            return None;
        }
        chain::activate(self.trust, &exporter.trusted, &claims.common.subject, import, export, self.now).ok()
    }

    /// When the first of an account's tokens ends, of those that hold.
    pub(super) fn first_end(&self, claims: &AccountClaims) -> Option<Timestamp> {
        let held = claims.imports.iter().filter_map(|import| self.activation(claims, import));
        held.filter_map(|activation| activation.expires).min()
    }
}

/// Whether an account's imports depend on what another one says.
pub(super) fn depends(tenant: &Tenant, exporter: &PublicKey) -> bool {
    tenant.trusted.claims().imports.iter().any(|import| import.account == *exporter && !import.token.is_empty())
}

/// An account with its part of the claims.
pub(super) fn shared(account: Account, claims: &AccountClaims, among: &Claims<'_>) -> Account {
    Account { exports: claimed_exports(claims), imports: among.imports(claims), ..account }
}
