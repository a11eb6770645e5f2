//! The system account: what its services are called, how their requests are read and answered, and what events say.
//!
//! This room knows the JSON. Who may ask is decided by accounts: the subjects exist in the system account alone. The
//! documents themselves are those of [`monitoring`](crate::monitoring).

pub mod answer;
pub mod body;
pub mod events;
pub mod filter;
pub mod services;
pub mod statsz;

pub use answer::{Answer, ServerError, ServerInfo};
pub use body::{Body, BodyFault};
pub use filter::ServerFilter;
pub use services::{AccountService, ServerCommand, ServerService};
