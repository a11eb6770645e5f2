//! A leaf node whose way to its hub leads through an HTTP proxy, with the reference in every position.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::fleet::{Server, mixtures, until_linked};
use crate::link_tls::Papers;

/// Lets through whoever logs in as `me` with `secret`, and remembers where they went.
struct Proxy {
    address: SocketAddr,
    gone: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, gone): (_, Arc<Mutex<Vec<String>>>) = (listener.local_addr().unwrap(), Arc::default());
        let own = gone.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let gone = own.clone();
                std::thread::spawn(move || let_through(near, &gone));
            }
        });
        Self { address, gone }
    }

    fn block(&self, password: &str) -> String {
        format!("proxy: {{ url: \"http://{}\", username: me, password: {password}, timeout: 3s }}", self.address)
    }
}

fn let_through(mut near: TcpStream, gone: &Mutex<Vec<String>>) -> Option<()> {
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"\r\n\r\n") {
        near.read_exact(&mut byte).ok()?;
        asked.push(byte[0]);
    }
    let asked = String::from_utf8(asked).unwrap();
    let place = asked.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    // me:secret
    if !asked.contains("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n") {
        near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").ok()?;
        return None;
    }
    let far = TcpStream::connect(&place).ok()?;
    gone.lock().unwrap().push(place);
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    std::io::copy(&mut &near, &mut &far).ok()?;
    let _ = far.shutdown(std::net::Shutdown::Both);
    None
}

const ACCOUNTS: &str = "accounts { A { users: [{user: a, password: a}] } }\nocsp_cache: false";

#[test]
fn a_leaf_node_goes_to_its_hub_through_a_proxy() {
    let papers = Papers::new();
    let tls = papers.block("server", "ca.pem", ", verify: true");
    for [one, two] in mixtures() {
        for tls in ["", &tls] {
            let what = format!("{one:?} {two:?} {tls}");
            let proxy = Proxy::start();
            let hub = Server::start(
                one,
                &format!("server_name: HUB\n{ACCOUNTS}\nleafnodes {{ listen: \"127.0.0.1:-1\"\n{tls} }}"),
            );
            let url = hub.leaf_url("a:a");
            let url = if tls.is_empty() { url } else { url.replace("nats:", "tls:") };
            let remote = format!("remotes: [{{ url: \"{url}\", account: A\n{tls}\n{} }}]", proxy.block("secret"));
            let spoke = Server::start(two, &format!("server_name: SPOKE\n{ACCOUNTS}\nleafnodes {{ {remote} }}"));
            let (mut up, mut down) = (hub.log_in("a"), spoke.log_in("a"));
            up.subscribe("up", "1");
            down.subscribe("down", "1");
            until_linked(&mut down, &mut up, "up");
            until_linked(&mut up, &mut down, "down");
            let gone = proxy.gone.lock().unwrap();
            assert!(
                !gone.is_empty() && gone.iter().all(|place| *place == hub.leaf.unwrap().to_string()),
                "{what} {gone:?}"
            );
        }
    }
}

#[test]
fn a_leaf_node_goes_over_websocket_through_a_proxy() {
    let papers = Papers::new();
    let tls = papers.block("server", "ca.pem", "");
    for [one, two] in mixtures() {
        for tls in ["", &tls] {
            let proxy = Proxy::start();
            let block = if tls.is_empty() { "no_tls: true" } else { tls };
            let hub = Server::start(
                one,
                &format!(
                    "server_name: HUB\n{ACCOUNTS}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}
                     websocket {{ listen: \"127.0.0.1:-1\"\n{block} }}"
                ),
            );
            let url = hub.websocket_url("a:a", "");
            let url = if tls.is_empty() { url } else { url.replace("ws:", "wss:") };
            let remote = format!("remotes: [{{ url: \"{url}\", account: A\n{tls}\n{} }}]", proxy.block("secret"));
            let spoke = Server::start(two, &format!("server_name: SPOKE\n{ACCOUNTS}\nleafnodes {{ {remote} }}"));
            let (mut up, mut down) = (hub.log_in("a"), spoke.log_in("a"));
            up.subscribe("up", "1");
            until_linked(&mut down, &mut up, "up");
            let gone = proxy.gone.lock().unwrap();
            assert!(gone.iter().all(|place| *place == hub.websocket.unwrap().to_string()), "{one:?} {two:?} {gone:?}");
            assert!(!gone.is_empty());
        }
    }
}

#[test]
fn a_proxy_that_refuses_is_named_and_nobody_goes_past_it() {
    for [one, two] in mixtures() {
        let proxy = Proxy::start();
        let mut hub =
            Server::start(one, &format!("server_name: HUB\n{ACCOUNTS}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}"));
        let remote = format!("remotes: [{{ url: \"{}\", account: A\n{} }}]", hub.leaf_url("a:a"), proxy.block("wrong"));
        let mut spoke = Server::start(two, &format!("server_name: SPOKE\n{ACCOUNTS}\nleafnodes {{ {remote} }}"));
        let line = spoke.logged("proxy CONNECT failed: 407 Proxy Authentication Required");
        assert!(line.contains("Error trying to connect as leafnode to remote server"), "{line}");
        assert!(!spoke.log().contains("wrong"));
        assert!(!hub.log().contains("Leafnode connection created"), "{one:?} {two:?}");
    }
}
