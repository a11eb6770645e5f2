//! From a configuration tree and a command line to the settings of every room, one file per block; and the difference
//! of two settings for reload.
//!
//! [`load`] is the one way in. It reads the command line, the file it names with everything that includes, and the
//! environment; it checks what options say of each other; and it returns [`Settings`], which are plain data and already
//! valid, or [`Diagnostics`] with everything that is wrong at once, each with place and remedy, in the sentences
//! operators know. An option that the server cannot carry out yet is an error (see [`Support`]); one that has nothing to
//! do here is a line for the log; one nobody knows is named, with the word that was probably meant. There is no option
//! that is read and ignored.
//!
//! [`diff`] compares two settings. Each [`Change`] is live or needs a restart, and a reload is all or nothing.
//!
//! This room opens no socket, loads no certificate and sends no signal. Secrets are [`secret::Secret`] from the first
//! line read, and no message shows one.
//!
//! ```
//! use bulwark_config::{Support, World, load_text};
//!
//! let world = World { environment: &|_| None, read_file: &|path| Err(format!("open {path}: not here")) };
//! let loaded = load_text("nats.conf", "port: 4333, max_payload: 64kb", world, &Support::today()).unwrap();
//! assert_eq!(loaded.settings.clients.port.number(), 4333);
//!
//! let wrong = load_text("nats.conf", "prot: 4333", world, &Support::today()).unwrap_err();
//! assert_eq!(wrong.to_string(), "nats.conf:1:0: unknown field \"prot\" (did you mean \"port\"?)\n");
//! ```

mod account_jetstream;
mod accounts;
mod audit;
mod auth_chain;
mod authorization;
mod before_login;
mod check;
mod cluster;
mod diagnostic;
mod diff;
mod diff_links;
mod exports;
mod files;
mod flags;
mod gateway;
mod go_text;
mod identity;
mod imports;
mod jetstream;
mod leaf_remote;
mod leafnodes;
mod limits;
mod listener;
mod load;
mod logging;
mod mappings;
mod mqtt;
mod ocsp;
mod operator;
mod permissions;
mod policy;
mod process;
mod proxies;
mod rates;
mod report;
mod settings;
mod suggest;
mod support;
mod tls;
mod top;
mod tracing;
mod url;
mod users;
mod websocket;

pub use account_jetstream::AccountJetStream;
pub use accounts::AccountSharing;
pub use audit::Audit;
pub use authorization::SingleLogin;
pub use check::EQUAL_TO_VERSION;
pub use cluster::{Cluster, MAX_ROUTE_PING_INTERVAL};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use diff::{Change, Effect, Part, ReloadRefused, all_live, diff};
pub use diff_links::friendly as friendly_bytes;
pub use exports::{Export, ExportKind, Latency, LatencySampling, ResponseType};
pub use files::{environment, read_file};
#[doc(hidden)]
pub use flags::flag_names;
pub use gateway::{DEFAULT_GATEWAY_PORT, Gateway, MAX_GATEWAY_PING_INTERVAL, RemoteGateway};
pub use identity::Identity;
pub use imports::{Import, ImportKind};
pub use jetstream::{Cipher, JetStream, JetStreamLimits, Sync, Tpm};
pub use leaf_remote::{DEFAULT_PORT as DEFAULT_LEAFNODE_PORT, LeafRemote, Proxy};
pub use leafnodes::{LeafAuthorization, LeafUser, Leafnodes};
pub use limits::Limits;
pub use listener::{ANY_HOST, HostPort, Listen, Port};
pub use load::{Action, Loaded, load, load_text, load_with};
pub use logging::{LogFormat, Logging};
pub use mqtt::Mqtt;
pub use ocsp::{Cache as OcspCache, Staple, StapleMode};
pub use operator::{Deletion, Operator, Resolver, TrustedOperator};
pub use permissions::LinkPermissions;
pub use policy::{Compression, WriteTimeout};
pub use process::{LameDuck, Monitoring, ProcessFiles};
pub use report::{Environment, ReadFile, World};
pub use settings::{Clients, DEFAULT_PORT, Settings};
pub use support::{Feature, Support, accepted_with_nothing_to_do};
#[doc(hidden)]
pub use top::known_keys;
pub use tracing::Tracing;
pub use url::Url;
pub use websocket::{HANDSHAKE_TIMEOUT, WebSocket};
