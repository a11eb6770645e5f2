//! OCSP (RFC 6960): asking the issuer of a certificate whether it still stands by it, and judging the answer.
//!
//! Pure: the question and the answer are bytes, and somebody else carries them. [`links`] says about which certificates of
//! a peer to ask and where, [`request`] writes the question, [`Answer::read`] checks who signed the answer and whether it is
//! about this certificate, [`judge`] applies the policy of the block, and [`Cache`] keeps answers while they are worth
//! something.

mod answer;
mod cache;
mod check;
mod policy;
mod request;

pub use answer::{Answer, MAX_ANSWER, OcspError, Status};
pub use cache::{Cache, Counts, MAX_CACHED, fingerprint};
pub use check::PeerAsking;
pub use policy::{Finding, Judgement, advisory_reason, judge, refresh_at};
pub use request::{Link, MAX_LINKS, get_url, links, request};

pub(crate) use request::{find_issuer, responders};
