//! Who this server is: keys made anew at each start, and what INFO says.

use broker::Secure;
use nkeys::{KeyPair, Role, XKey};
use secret::Secret;
use session::Greeting;

use crate::system::SystemRandom;

/// The version of the reference server that this one is equal to. Clients switch features on by it.
pub const REFERENCE_VERSION: &str = "2.15.1";

/// Our own version.
pub const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The JetStream API level of that version.
const API_LEVEL: u8 = 5;

/// The server's keys.
pub struct ServerKeys {
    /// Signs; its public half is the server's id.
    pub id: KeyPair,
    /// Opens what is sealed for the server.
    pub seal: XKey,
}

impl ServerKeys {
    /// Keys nobody else has.
    pub fn generate() -> Self {
        Self {
            id: KeyPair::from_raw_seed(Role::Server, Secret::new(random())),
            seal: XKey::from_raw_seed(Secret::new(random())),
        }
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes);
    bytes
}

/// What INFO says of a server of this name, before it listens.
pub fn greeting(keys: &ServerKeys, name: Option<&str>) -> Greeting {
    let server_id = keys.id.public().to_string();
    Greeting {
        server_name: name.map_or_else(|| server_id.clone(), str::to_owned),
        server_id,
        version: REFERENCE_VERSION.to_owned(),
        proto: 1,
        git_commit: option_env!("BULWARK_COMMIT").unwrap_or_default().to_owned(),
        go: concat!("rustc ", env!("CARGO_PKG_RUST_VERSION")).to_owned(),
        headers: true,
        api_lvl: API_LEVEL,
        xkey: Some(keys.seal.public().to_string()),
        bulwark: OWN_VERSION.to_owned(),
        ..Greeting::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_name_is_called_by_its_key() {
        let keys = ServerKeys::generate();
        let greeting = greeting(&keys, None);
        assert!(greeting.server_id.starts_with('N') && greeting.server_id.len() == 56);
        assert_eq!(greeting.server_id, greeting.server_name);
        assert!(greeting.xkey.is_some_and(|xkey| xkey.starts_with('X')));
    }

    #[test]
    fn two_starts_have_two_keys() {
        assert_ne!(ServerKeys::generate().id.public(), ServerKeys::generate().id.public());
    }
}
