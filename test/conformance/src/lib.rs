//! The same script against us and the reference server.
//!
//! A script is a scene in plain text: a configuration, and what named connections send. Playing it against a
//! `nats-server` binary gives a transcript: the same lines, and under each what the connection received. Transcripts of
//! the reference are recorded into the repository, so comparing ours with them needs neither the reference nor a
//! network. What differs from one run to the next (ports, ids, nonces, times) is replaced by a name, see [`normal`].
//!
//! This crate judges nothing itself: it does not know the protocol beyond where an operation ends. Where we decided to
//! differ, `differences.list` says why and `decided/` holds the transcript that ours must match instead.
//!
//! The main types: [`Script`] (read from `scripts/AREA/NAME.script`), [`Server`] (a started binary), [`play()`].
//!
//! ```
//! use bulwark_conformance::Script;
//!
//! let script = Script::parse("# One line.\n--- steps\na join\na> PUB x 2\\r\\nhi\na sync\n").unwrap();
//! assert_eq!(script.steps.len(), 3);
//! ```
//!
//! ## The language of scripts
//!
//! ```text
//! # What must be true.
//! --- flags                     further flags of the server, one or more a line
//! --- config                    the configuration file; `--- config NAME` is another one, for `reload NAME`
//! --- steps
//! a dial                        connect, read nothing
//! a open                        connect and swallow the INFO
//! a join {"user":"u"}           open and CONNECT; quiet, lax and with headers unless the object says otherwise
//! a> PUB x 2\r\nhi              send the line and CRLF; \r \n \t \0 \\ \xHH are escapes
//! a>> PI                        send without CRLF
//! a pub x re | hi               PUB with the size worked out: subject and reply, payload
//! a hpub x re | A: b | hi       HPUB with the sizes worked out: subject and reply, headers, payload
//! a sync                        send PING and show everything up to the PONG
//! a read 2                      show two operations
//! a quiet 100ms                 show what arrives in that time
//! a closed                      show everything up to the end; `a closed 1s..3s` checks how long that took
//! a ends                        wait for the end, and do not show what is said before it: a reference may lose that
//! a pings shown                 from now on show the server's PINGs and do not answer them
//! a hangs up                    close our end
//! a asks /x | Name: value       connect to the WebSocket port and ask for a connection; what is named replaces the usual,
//!                               an empty value leaves it out; `a asks POST /x`. From 101 on everything travels in frames
//! a enters /x | Name: value     the same, and swallow an answer that agrees and the INFO
//! a frame 89 are you there      send one masked frame with that first byte
//! a knocks                      connect to the WebSocket port, and say nothing
//! a bytes \x82\x00              send bytes as they are
//! wait 50ms                     pause
//! reload NAME                   replace the configuration, SIGHUP, wait for the log to report the outcome
//! signal USR2                   send a signal: HUP, USR1, USR2, INT, TERM
//! get /varz?x=1                 ask the monitoring port for a page and show status, kind and body
//! exits 0                       the server ends by itself with that code
//! log "text"                    the server's log has, or gets within two seconds, a line with the text
//! log lacks "text"              it has none
//! ```
//!
//! In sent text `${repeat:x:5000}` is a run of bytes, `${sig:SEED}` the signature of this connection's nonce,
//! `${nonce}` the nonce itself; `${reply}` where the last message of this connection wants its answer, `${server}` the
//! server's id, `${cid:b}` the id of the connection `b`. The last three work in the path of a page too, where `${cid:b}`
//! is the only one that says whose. Operators, accounts, users and what services say of them: `claims.rs`; these may
//! stand in configurations as well. In a transcript a token is shown as the claims in it.

mod claims;
pub mod difference;
mod framed;
mod json;
pub mod library;
pub mod normal;
mod operation;
mod page;
mod peer;
mod play;
mod script;
mod server;

pub use play::play;
pub use script::{Script, ScriptError, Step};
pub use server::Server;
