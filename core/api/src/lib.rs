//! The JetStream API as it travels: subjects, requests, answers, errors.
//!
//! This room decides how the JSON of the API is read and written, which subject is which call, and which number and text
//! an error has. It does not decide whether a configuration makes sense, holds no state and sends nothing: that is done in
//! `jetstream`.
//!
//! The types are [`Call`] (a subject, recognised), [`StreamConfig`] and [`ConsumerConfig`], the requests in [`requests`],
//! the answers in [`responses`] and [`ApiError`], made from a row of [`errors`].
//!
//! ```
//! use bulwark_api::{Call, CallKind, Mode, StreamRequest, json};
//!
//! let call = Call::parse("$JS.API.STREAM.CREATE.ORDERS").expect("a call");
//! assert_eq!((call.row.kind, call.stream), (CallKind::StreamCreate, "ORDERS"));
//! let body = json::parse(br#"{"name":"ORDERS","subjects":["orders.>"]}"#)?;
//! let request = StreamRequest::read(&body, Mode::Strict)?;
//! assert_eq!(request.config.subjects, ["orders.>"]);
//! # Ok::<(), json::Fault>(())
//! ```

pub mod advisories;
pub mod calls;
pub mod consumer;
pub mod errors;
pub mod json;
pub mod monitoring;
pub mod name;
pub mod refusals;
pub mod requests;
pub mod responses;
pub mod stream;
pub mod system;

pub use calls::{Action, Call, CallKind, Row};
pub use consumer::{
    AckPolicy, ConsumerAction, ConsumerConfig, ConsumerRequest, DeliverPolicy, PriorityPolicy, ReplayPolicy,
};
pub use errors::{ApiError, ErrorKind};
pub use json::Mode;
pub use name::{MAX_NAME_BYTES, Name, NameFault};
pub use stream::{Compression, Discard, PersistMode, Retention, StorageKind, StreamConfig, StreamRequest};

/// The level of the API that this server speaks.
pub const API_LEVEL: u32 = 5;
