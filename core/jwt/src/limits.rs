//! How much an account or a user may have.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::DecodeError;
use crate::bounds::{MAX_TEXT_BYTES, MAX_TIERS};
use crate::issue::Issues;
use crate::read::Fields;
use crate::write::Object;

/// The value that stands for "no limit". Other negative numbers mean the same.
pub const NO_LIMIT: i64 = -1;

/// A limit as a bound, `None` for none.
pub const fn bound(limit: i64) -> Option<u64> {
    if limit < 0 { None } else { Some(limit.unsigned_abs()) }
}

/// Limits of each connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NatsLimits {
    /// `subs`: subscriptions.
    pub subs: i64,
    /// `data`: bytes; nobody enforces it.
    pub data: i64,
    /// `payload`: bytes of one message.
    pub payload: i64,
}

/// Limits of the account as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// `imports`
    pub imports: i64,
    /// `exports`
    pub exports: i64,
    /// `wildcards`: exports may hold wildcards.
    pub wildcard_exports: bool,
    /// `disallow_bearer`: users must sign the nonce.
    pub disallow_bearer: bool,
    /// `conn`: client connections.
    pub conn: i64,
    /// `leaf`: leaf node connections.
    pub leaf: i64,
}

/// Limits of what an account stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JetStreamLimits {
    /// `mem_storage`: bytes; with `disk_storage` zero too, JetStream is off.
    pub mem_storage: i64,
    /// `disk_storage`: bytes.
    pub disk_storage: i64,
    /// `streams`
    pub streams: i64,
    /// `consumer`
    pub consumer: i64,
    /// `max_ack_pending`
    pub max_ack_pending: i64,
    /// `mem_max_stream_bytes`: bytes of one stream; zero for no limit.
    pub mem_max_stream_bytes: i64,
    /// `disk_max_stream_bytes`: bytes of one stream; zero for no limit.
    pub disk_max_stream_bytes: i64,
    /// `max_bytes_required`: every stream must name its bound.
    pub max_bytes_required: bool,
}

/// What the operator grants an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of each connection.
    pub nats: NatsLimits,
    /// Of the account.
    pub account: AccountLimits,
    /// Of storage, where there are no tiers.
    pub jetstream: JetStreamLimits,
    /// Of storage by replication, `R1` and so on.
    pub tiers: BTreeMap<String, JetStreamLimits>,
}

impl NatsLimits {
    /// No limit anywhere.
    pub const UNLIMITED: Self = Self { subs: NO_LIMIT, data: NO_LIMIT, payload: NO_LIMIT };

    /// Reads the fields where they stand flat among others; absent ones take the default's value.
    pub(crate) fn read(fields: Fields<'_>, default: Self) -> Result<Self, DecodeError> {
        Ok(Self {
            subs: fields.int_or("subs", default.subs)?,
            data: fields.int_or("data", default.data)?,
            payload: fields.int_or("payload", default.payload)?,
        })
    }

    pub(crate) fn write(&self, object: &mut Object) {
        object.int("subs", self.subs).int("data", self.data).int("payload", self.payload);
    }
}

impl AccountLimits {
    /// No limit anywhere.
    pub const UNLIMITED: Self = Self {
        imports: NO_LIMIT,
        exports: NO_LIMIT,
        wildcard_exports: true,
        disallow_bearer: false,
        conn: NO_LIMIT,
        leaf: NO_LIMIT,
    };

    fn read(fields: Fields<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            imports: fields.int("imports")?,
            exports: fields.int("exports")?,
            wildcard_exports: fields.flag("wildcards")?,
            disallow_bearer: fields.flag("disallow_bearer")?,
            conn: fields.int("conn")?,
            leaf: fields.int("leaf")?,
        })
    }

    fn write(&self, object: &mut Object) {
        object
            .int("imports", self.imports)
            .int("exports", self.exports)
            .flag("wildcards", self.wildcard_exports)
            .flag("disallow_bearer", self.disallow_bearer)
            .int("conn", self.conn)
            .int("leaf", self.leaf);
    }
}

const JETSTREAM_FIELDS: &[&str] = &[
    "mem_storage",
    "disk_storage",
    "streams",
    "consumer",
    "max_ack_pending",
    "mem_max_stream_bytes",
    "disk_max_stream_bytes",
    "max_bytes_required",
];

impl JetStreamLimits {
    /// Whether anything may be stored.
    pub const fn is_enabled(&self) -> bool {
        self.mem_storage != 0 || self.disk_storage != 0
    }

    fn read(fields: Fields<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            mem_storage: fields.int("mem_storage")?,
            disk_storage: fields.int("disk_storage")?,
            streams: fields.int("streams")?,
            consumer: fields.int("consumer")?,
            max_ack_pending: fields.int("max_ack_pending")?,
            mem_max_stream_bytes: fields.int("mem_max_stream_bytes")?,
            disk_max_stream_bytes: fields.int("disk_max_stream_bytes")?,
            max_bytes_required: fields.flag("max_bytes_required")?,
        })
    }

    fn write(&self, object: &mut Object) {
        object
            .int("mem_storage", self.mem_storage)
            .int("disk_storage", self.disk_storage)
            .int("streams", self.streams)
            .int("consumer", self.consumer)
            .int("max_ack_pending", self.max_ack_pending)
            .int("mem_max_stream_bytes", self.mem_max_stream_bytes)
            .int("disk_max_stream_bytes", self.disk_max_stream_bytes)
            .flag("max_bytes_required", self.max_bytes_required);
    }
}

const FIELDS: &[&str] = &[
    "subs",
    "data",
    "payload",
    "imports",
    "exports",
    "wildcards",
    "disallow_bearer",
    "conn",
    "leaf",
    "mem_storage",
    "disk_storage",
    "streams",
    "consumer",
    "max_ack_pending",
    "mem_max_stream_bytes",
    "disk_max_stream_bytes",
    "max_bytes_required",
    "tiered_limits",
];

impl Limits {
    /// What a new account has: no limit, and no storage.
    pub fn unlimited() -> Self {
        Self { nats: NatsLimits::UNLIMITED, account: AccountLimits::UNLIMITED, ..Self::default() }
    }

    /// Whether the account may store anything.
    pub fn is_jetstream_enabled(&self) -> bool {
        if self.tiers.is_empty() {
            self.jetstream.is_enabled()
        } else {
            self.tiers.values().any(JetStreamLimits::is_enabled)
        }
    }

    /// Nothing was granted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn read(value: &Value, version: u8) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, FIELDS)?;
        let (nats, account) = (NatsLimits::read(fields, NatsLimits::default())?, AccountLimits::read(fields)?);
        // The first generation knew no storage.
        if version == 1 {
            return Ok(Self { nats, account, ..Self::default() });
        }
        let tiers = fields.entries("tiered_limits", MAX_TIERS, read_tier)?;
        let tiers: BTreeMap<_, _> = tiers.into_iter().collect();
        let plain = JetStreamLimits::read(fields)?;
        // Where there are tiers they replace the plain limits.
        let jetstream = if tiers.is_empty() { plain } else { JetStreamLimits::default() };
        Ok(Self { nats, account, jetstream, tiers })
    }

    pub(crate) fn write(&self) -> Map<String, Value> {
        let mut object = Object::default();
        self.nats.write(&mut object);
        self.account.write(&mut object);
        self.jetstream.write(&mut object);
        let tiers = self.tiers.iter().map(|(tier, limits)| {
            let mut object = Object::default();
            limits.write(&mut object);
            (tier.clone(), object.done().into())
        });
        object.map("tiered_limits", tiers.collect()).done()
    }

    pub(crate) fn validate(&self, issues: &mut Issues) {
        if !self.tiers.is_empty() && self.jetstream != JetStreamLimits::default() {
            issues.block("JetStream Limits and tiered JetStream Limits are mutually exclusive");
        }
        if self.tiers.contains_key("") {
            issues.block("Tiered JetStream Limits can not contain a blank \"\" tier name");
        }
    }
}

fn read_tier(name: &str, value: &Value) -> Result<(String, JetStreamLimits), DecodeError> {
    if name.len() > MAX_TEXT_BYTES {
        return Err(DecodeError::field(crate::Problem::TooMany(MAX_TEXT_BYTES)));
    }
    Ok((name.to_owned(), JetStreamLimits::read(Fields::of(value, JETSTREAM_FIELDS)?)?))
}
