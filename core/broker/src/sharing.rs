//! Sharing at work: what the imports of accounts put into graphs, and what crosses from one account into another.
//!
//! * `shadows`: a subscription that wants an imported stream stands in the exporter's graph as well, and the plans made
//!   there name the receiver under the subject it has at home. A message pays nothing for it.
//! * `doors`: an imported service is an entry of the importer's graph. A request that meets it goes on in the exporter's
//!   account, with who asks in its headers and with a reply that leads back.
//! * `answers`: what an account has been asked from outside and not answered yet.
//! * `requester`: what the exporter learns of who asks.
//! * `latency`: how long services take, told to the exporter; `latency_far`: with the responder at another server.

pub(crate) mod answers;
pub(crate) mod doors;
pub(crate) mod latency;
pub(crate) mod latency_far;
pub(crate) mod requester;
pub(crate) mod shadows;
