//! The flags that every command takes, before or after its name.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::parse::{duration, existing_file};
use crate::show::{SCHEMES, Scheme};

/// Environment variables that shadow what a context says.
pub(crate) const OVERRIDES: [&str; 11] = [
    "NATS_URL",
    "NATS_USER",
    "NATS_PASSWORD",
    "NATS_CREDS",
    "NATS_NKEY",
    "NATS_CERT",
    "NATS_KEY",
    "NATS_CA",
    "NATS_TIMEOUT",
    "NATS_SOCKS_PROXY",
    "NATS_COLOR",
];

/// Flags that every command takes. Their ids are prefixed because many commands have arguments of the same name.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct GlobalArgs {
    /// NATS server urls, separated by commas
    #[arg(
        long,
        short = 's',
        global = true,
        id = "g-server",
        env = "NATS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) server: Option<String>,
    /// Username, or a token when no password is given
    #[arg(long, global = true, id = "g-user", env = "NATS_USER", hide_env_values = true, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Password
    #[arg(
        long,
        global = true,
        id = "g-password",
        env = "NATS_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub(crate) password: Option<String>,
    /// Token
    #[arg(long, global = true, id = "g-token", env = "NATS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// User credentials: a file, or op://, nsc://, env://, data:;base64,
    #[arg(long, global = true, id = "g-creds", env = "NATS_CREDS", hide_env_values = true, value_name = "LOCATION")]
    pub(crate) creds: Option<String>,
    /// File with the seed of a user nkey
    #[arg(long, global = true, id = "g-nkey", env = "NATS_NKEY", hide_env_values = true, value_name = "LOCATION")]
    pub(crate) nkey: Option<String>,
    /// User JWT
    #[arg(long, global = true, id = "g-jwt", env = "NATS_JWT", hide_env_values = true, value_name = "LOCATION")]
    pub(crate) jwt: Option<String>,
    /// User seed that belongs to --jwt
    #[arg(long, global = true, id = "g-seed", env = "NATS_SEED", hide_env_values = true, value_name = "LOCATION")]
    pub(crate) seed: Option<String>,
    /// TLS certificate of this client
    #[arg(long, global = true, id = "g-tlscert", env = "NATS_CERT", hide_env_values = true, value_name = "FILE", value_parser = existing_file)]
    pub(crate) tlscert: Option<String>,
    /// TLS private key of this client
    #[arg(long, global = true, id = "g-tlskey", env = "NATS_KEY", hide_env_values = true, value_name = "FILE", value_parser = existing_file)]
    pub(crate) tlskey: Option<String>,
    /// TLS certificate authorities to trust instead of the system's
    #[arg(long, global = true, id = "g-tlsca", env = "NATS_CA", hide_env_values = true, value_name = "FILE", value_parser = existing_file)]
    pub(crate) tlsca: Option<String>,
    /// Make the TLS handshake before the server's greeting
    #[arg(long, alias = "tls-first", global = true, id = "g-tlsfirst", overrides_with = "g-no-tlsfirst")]
    pub(crate) tlsfirst: bool,
    #[arg(
        long,
        alias = "no-tls-first",
        global = true,
        id = "g-no-tlsfirst",
        hide = true,
        overrides_with = "g-tlsfirst"
    )]
    no_tlsfirst: bool,
    /// How long to wait for answers
    #[arg(long, global = true, id = "g-timeout", env = "NATS_TIMEOUT", hide_env_values = true, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// SOCKS5 proxy to connect through
    #[arg(long, global = true, id = "g-socks", env = "NATS_SOCKS_PROXY", hide_env_values = true, value_name = "PROXY")]
    pub(crate) socks_proxy: Option<String>,
    /// JetStream domain
    #[arg(long, alias = "domain", global = true, id = "g-js-domain", value_name = "DOMAIN")]
    pub(crate) js_domain: Option<String>,
    /// Subject prefix of the JetStream API
    #[arg(long, global = true, id = "g-js-api-prefix", value_name = "PREFIX")]
    pub(crate) js_api_prefix: Option<String>,
    /// Subject prefix of JetStream advisories
    #[arg(long, global = true, id = "g-js-event-prefix", value_name = "PREFIX")]
    pub(crate) js_event_prefix: Option<String>,
    /// Prefix of inboxes
    #[arg(long, global = true, id = "g-inbox-prefix", value_name = "PREFIX")]
    pub(crate) inbox_prefix: Option<String>,
    /// Name of the connection
    #[arg(long, global = true, id = "g-connection-name", value_name = "NAME")]
    pub(crate) connection_name: Option<String>,
    /// Context to use
    #[arg(long, global = true, id = "g-context", env = "NATS_CONTEXT", hide_env_values = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Do not use the selected context
    #[arg(long, global = true, id = "g-no-context")]
    pub(crate) no_context: bool,
    /// Colour scheme of tables
    #[arg(long, global = true, id = "g-colors", env = "NATS_COLOR", hide_env_values = true, value_name = "SCHEME", value_parser = scheme)]
    pub(crate) colors: Option<Scheme>,
    /// Show API calls and connection events
    #[arg(long, global = true, id = "g-trace")]
    pub(crate) trace: bool,
}

/// Secrets stay out of debug output, so there is little to show.
impl std::fmt::Debug for GlobalArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalArgs").field("context", &self.context).finish_non_exhaustive()
    }
}

impl GlobalArgs {
    /// The file that `--context` names, when it is one rather than the name of a context.
    pub(crate) fn context_file(&self) -> Option<&Path> {
        let named = self.context.as_deref()?;
        (named.ends_with(".json") && Path::new(named).is_file()).then(|| Path::new(named))
    }
}

fn scheme(text: &str) -> Result<Scheme, String> {
    Scheme::named(text).ok_or_else(|| format!("must be one of {}", SCHEMES.join(", ")))
}

/// Declares a switch that is on unless `--no-X` is given, or off unless `--X` is given. The last one typed wins.
macro_rules! negatable {
    ($(#[$meta:meta])* $name:ident, $flag:literal, $no:literal, $default:literal) => {
        #[derive(clap::Args, Clone, Copy, Debug)]
        pub(crate) struct $name {
            $(#[$meta])*
            #[arg(id = $flag, long = $flag, overrides_with = $no)]
            on: bool,
            #[arg(id = $no, long = $no, hide = !$default, help = concat!("Turns --", $flag, " off"), overrides_with = $flag)]
            off: bool,
        }

        impl $name {
            pub(crate) const fn is_on(&self) -> bool {
                if $default { !self.off } else { self.on }
            }
        }
    };
}
pub(crate) use negatable;
