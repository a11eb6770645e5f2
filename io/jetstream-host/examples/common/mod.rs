//! What the examples have in common.

use bulwark_jetstream_host::AccountSettings;

/// An account without limits.
pub(crate) fn account() -> AccountSettings {
    AccountSettings {
        account: "A".into(),
        domain: String::new(),
        server_name: "S".into(),
        version: "0".into(),
        limits: jetstream::Limits::default(),
        mode: api::Mode::Strict,
        max_duplicate_window: 0,
        default_max_consumers: 0,
        max_ack_pending: 0,
        max_request_batch: 0,
        max_batch_bytes: 64 * 1024 * 1024,
        batches: jetstream::BatchLimits::default(),
    }
}
