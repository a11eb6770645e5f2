//! What an account offers to others, has of them, and how it moves messages, as `accountz` tells.

use std::collections::BTreeMap;

use account::{
    Access, Account, Latency, LatencySampling, Mapping, ResponseType, ServiceExport, ServiceImport, StreamExport,
    StreamImport,
};
use api::monitoring::{ExportDetail, ImportDetail, LatencyDetail, MappedTo};
use api::system::services::{ABOUT_ONESELF, DEBUG_SUBSCRIBERS, USER_INFO, USER_INFO_OF_ALL};

const SERVICE: &str = "service";
const STREAM: &str = "stream";
/// Requests about streams.
const STREAM_API: &str = "$JS.API.>";

/// Everything the account offers. The system account has services of its own beside those that are written.
///
/// `revoked` are the activations that are void, by the subject that is exported.
pub(super) fn exports(account: &Account, revoked: &BTreeMap<String, BTreeMap<String, String>>) -> Vec<ExportDetail> {
    let own = account.system.then(system_exports).into_iter().flatten();
    let services = account.exports.services().map(service_export);
    let with_revoked = |export: ExportDetail| {
        let revoked_activations = revoked.get(&export.subject).cloned().unwrap_or_default();
        ExportDetail { revoked_activations, ..export }
    };
    own.chain(services).chain(account.exports.streams().map(stream_export)).map(with_revoked).collect()
}

fn system_exports() -> impl Iterator<Item = ExportDetail> {
    let offers = |subject: String, response: ResponseType| ExportDetail {
        subject,
        kind: SERVICE,
        response_type: Some(response_type(response)),
        ..ExportDetail::default()
    };
    let about = ["CONNZ", "STATZ"].map(|what| (format!("$SYS.REQ.ACCOUNT.*.{what}"), ResponseType::Stream));
    let others = [DEBUG_SUBSCRIBERS, USER_INFO_OF_ALL].map(|subject| (subject.to_owned(), ResponseType::Singleton));
    about.into_iter().chain(others).map(move |(subject, response)| offers(subject, response))
}

fn service_export(export: &ServiceExport) -> ExportDetail {
    ExportDetail {
        subject: export.subject.to_string(),
        kind: SERVICE,
        token_req: export.access == Access::Token,
        response_type: Some(response_type(export.response)),
        service_latency: export.latency.as_ref().map(latency),
        approved_accounts: approved(&export.access),
        ..ExportDetail::default()
    }
}

fn stream_export(export: &StreamExport) -> ExportDetail {
    ExportDetail {
        subject: export.subject.to_string(),
        kind: STREAM,
        token_req: export.access == Access::Token,
        approved_accounts: approved(&export.access),
        ..ExportDetail::default()
    }
}

fn approved(access: &Access) -> Vec<String> {
    match access {
        Access::Approved(names) => names.iter().map(ToString::to_string).collect(),
        Access::Public | Access::Token | Access::Position(_) => Vec::new(),
    }
}

const fn response_type(response: ResponseType) -> &'static str {
    match response {
        ResponseType::Singleton => "Singleton",
        ResponseType::Stream => "Streamed",
        ResponseType::Chunked => "Chunked",
    }
}

fn latency(latency: &Latency) -> LatencyDetail {
    let sampling = match latency.sampling {
        LatencySampling::Percent(percent) => percent.into(),
        LatencySampling::Headers => "headers".into(),
    };
    LatencyDetail { sampling, results: latency.subject.clone() }
}

/// Everything the account has of others. `system` is the name of the system account, if there is one: each account has
/// services of it. Where there are streams, each account is shown as if it asked the system account for them: tools look for
/// that to know that it may ask.
pub(super) fn imports(account: &Account, system: Option<&str>, has_streams: bool) -> Vec<ImportDetail> {
    let own = system.into_iter().flat_map(|system| system_imports(account, system, has_streams));
    let streams = account.sharing.streams.iter().map(|import| stream_import(import));
    let services = account.sharing.services.iter().map(|import| service_import(import));
    own.chain(streams).chain(services).collect()
}

fn system_imports(account: &Account, system: &str, has_streams: bool) -> Vec<ImportDetail> {
    let (name, system) = (&account.name, system.to_owned());
    let has = |subject: String, local: &str, share| ImportDetail {
        subject,
        account: system.clone(),
        to: Some(local.to_owned()),
        local_subject: local.to_owned(),
        kind: SERVICE,
        share,
        ..ImportDetail::default()
    };
    let about = ABOUT_ONESELF.iter().filter(|_| !account.system);
    let about = about.map(|(local, service)| has(service.filter().replace('*', name.as_str()), local, false));
    let user = has(USER_INFO_OF_ALL.replace('*', name.as_str()), USER_INFO, true);
    let streams = (has_streams && !account.system).then(|| has(STREAM_API.to_owned(), STREAM_API, true));
    about.chain([user]).chain(streams).collect()
}

fn service_import(import: &ServiceImport) -> ImportDetail {
    ImportDetail {
        subject: import.subject().to_string(),
        account: import.exporter().to_string(),
        to: Some(import.local().to_string()),
        local_subject: import.local().to_string(),
        kind: SERVICE,
        share: import.shares(),
        tracking: false,
        latency: import.latency().map(latency),
        ..ImportDetail::default()
    }
}

fn stream_import(import: &StreamImport) -> ImportDetail {
    ImportDetail {
        subject: import.subject().to_string(),
        account: import.exporter().to_string(),
        local_subject: import.local().to_string(),
        kind: STREAM,
        ..ImportDetail::default()
    }
}

/// Where the account moves messages.
pub(super) fn mappings(account: &Account) -> BTreeMap<String, Vec<MappedTo>> {
    account.mappings.iter().map(|mapping| (mapping.source().to_string(), destinations(mapping))).collect()
}

fn destinations(mapping: &Mapping) -> Vec<MappedTo> {
    let destination = |(cluster, weight, subject): (Option<&str>, u8, &[u8])| MappedTo {
        subject: String::from_utf8_lossy(subject).into_owned(),
        weight,
        cluster: cluster.map(str::to_owned),
    };
    mapping.destinations().map(destination).collect()
}
