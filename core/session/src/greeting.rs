//! The INFO line, in the order peers know.

use serde::Serialize;

/// What the server tells of itself. `None`, `false` and empty lists are left out where peers expect that.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Greeting {
    /// The server's public key.
    pub server_id: String,
    /// Its name, or the id.
    pub server_name: String,
    /// The version of the protocol features, by which clients switch.
    pub version: String,
    /// Protocol version, 1.
    pub proto: u8,
    /// The commit the server was built from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    /// The compiler.
    pub go: String,
    /// Where clients are told to connect.
    pub host: String,
    /// Where clients are told to connect.
    pub port: u16,
    /// Headers are supported.
    pub headers: bool,
    /// A login is asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// TLS is asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// A client certificate is asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    /// TLS is possible.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    /// Largest payload.
    pub max_payload: i64,
    /// JetStream is on.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// The connection id.
    pub client_id: u64,
    /// The client's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_ip: String,
    /// What a key must sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The cluster's name was made up.
    #[serde(skip_serializing_if = "is_false")]
    pub cluster_dynamic: bool,
    /// JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Other servers of the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// The server is about to go.
    #[serde(skip_serializing_if = "is_false")]
    pub ldm: bool,
    /// This INFO answers a CONNECT.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    /// The account the client is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_account: Option<String>,
    /// That is the system account.
    #[serde(skip_serializing_if = "is_false")]
    pub acc_is_sys: bool,
    /// JetStream API level.
    #[serde(skip_serializing_if = "is_zero")]
    pub api_lvl: u8,
    /// The server's public curve key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xkey: Option<String>,
    /// Our own version.
    pub bulwark: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(level: &u8) -> bool {
    *level == 0
}

impl Greeting {
    /// The whole line. There is a blank between the JSON and the line end.
    pub fn line(&self) -> Vec<u8> {
        let mut line = b"INFO ".to_vec();
        serde_json::to_writer(&mut line, self).expect("a struct of plain fields is serialisable");
        line.extend_from_slice(b" \r\n");
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_wire_order_and_empty_ones_are_left_out() {
        let greeting = Greeting {
            server_id: "NA".into(),
            server_name: "n".into(),
            version: "2.15.1".into(),
            proto: 1,
            go: "rustc".into(),
            host: "0.0.0.0".into(),
            port: 4222,
            headers: true,
            max_payload: 1_048_576,
            client_id: 5,
            client_ip: "127.0.0.1".into(),
            bulwark: "0.1.0".into(),
            ..Greeting::default()
        };
        assert_eq!(
            String::from_utf8(greeting.line()).unwrap(),
            "INFO {\"server_id\":\"NA\",\"server_name\":\"n\",\"version\":\"2.15.1\",\"proto\":1,\"go\":\"rustc\",\
             \"host\":\"0.0.0.0\",\"port\":4222,\"headers\":true,\"max_payload\":1048576,\"client_id\":5,\
             \"client_ip\":\"127.0.0.1\",\"bulwark\":\"0.1.0\"} \r\n"
        );
    }
}
