//! What `/varz` says of the blocks of links is what the reference says of the same configuration.

use serde_json::Value;

use crate::fleet::{Make, Server, mixtures};
use crate::link_monitoring::asked;
use crate::link_tls::Papers;

fn varz(make: Make, config: &str) -> Value {
    let server = Server::start(make, &format!("server_name: ONE\n{config}"));
    let mut told = asked(&mut server.log_in("s"), "VARZ", "", &["ONE"]).remove("ONE").unwrap();
    let ports =
        [("cluster", "cluster_port", server.route), ("gateway", "port", server.gateway), ("leaf", "port", server.leaf)];
    for (block, field, address) in ports {
        if let Some(address) = address {
            assert_eq!(told[block][field], address.port(), "{make:?} {block}");
            told[block][field] = "ours".into();
        }
    }
    ["cluster", "gateway", "leaf"].into_iter().map(|block| (block.to_owned(), told[block].take())).collect()
}

fn blocks(tls: &str, client_tls: &str) -> String {
    let listen = "listen: \"127.0.0.1:-1\"";
    format!(
        "accounts {{ A {{ users: [{{user: a, password: a}}] }}, SYS {{ users: [{{user: s, password: s}}] }} }}\n\
         system_account: SYS\n\
         cluster {{ name: C, {listen}, authorization {{ user: r, password: secret, timeout: 4 }}, pool_size: 2, \
           routes: [\"nats://r:secret@127.0.0.1:1\", \"nats://[::1]:2\"]\n{tls} }}\n\
         gateway {{ name: C, {listen}, advertise: \"far.example:7\", connect_retries: 3, reject_unknown: true, \
           gateways: [{{ name: X, urls: [\"nats://q:secret@127.0.0.1:1\", \"nats://127.0.0.1:2\"]\n{tls} }}]\n{tls} }}\n\
         leafnodes {{ {listen}, authorization {{ user: l, password: secret }}\n{tls}\n remotes: [\n\
           {{ url: \"nats://u:secret@127.0.0.1:1\", account: A, deny_imports: [\"x\", \"z.>\"], deny_exports: \"y.>\"\n{client_tls} }}\n\
           {{ urls: [\"nats://127.0.0.1:2\", \"nats://127.0.0.1:3\"], account: A }} ] }}"
    )
}

#[test]
fn the_blocks_of_links_are_told_without_their_secrets() {
    let papers = Papers::new();
    let tls = papers.block("server", "ca.pem", ", verify: true");
    let client_tls = format!("tls {{ ca_file: '{}', timeout: 9 }}", papers.path("ca.pem"));
    let remotes = "accounts { SYS { users: [{user: s, password: s}] } }, system_account: SYS\n\
                   leafnodes { remotes: [{ url: \"nats://127.0.0.1:1\" }] }";
    // The reference tells of the other blocks what that of the cluster says; here they say the same.
    let listen = "listen: \"127.0.0.1:-1\"";
    let writes = blocks("", "").replace(listen, &format!("{listen}, write_deadline: \"3s\", write_timeout: close"));
    for config in [blocks("", ""), blocks(&tls, &client_tls), writes, remotes.to_owned()] {
        let ours = varz(Make::Ours, &config);
        assert!(!ours.to_string().contains("secret"), "{ours}");
        if mixtures::<1>().len() < mixtures::<2>().len() {
            assert_eq!(ours.to_string(), varz(Make::Reference, &config).to_string());
        }
    }
}
