//! Flags that every command takes: where to connect, and how things are shown.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::scene::{Scene, finish};

/// A SOCKS5 proxy for one connection, and a door through which it tells what it was asked for.
fn proxy() -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (port, std::thread::spawn(move || serve(listener.accept().expect("a client").0)))
}

fn serve(mut client: TcpStream) -> String {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).expect("a greeting");
    client.read_exact(&mut vec![0; usize::from(greeting[1])]).expect("ways to log in");
    client.write_all(&[5, 0]).expect("an answer");
    let mut head = [0; 4];
    client.read_exact(&mut head).expect("a request");
    let place = match head[3] {
        1 => {
            let mut address = [0; 4];
            client.read_exact(&mut address).expect("an address");
            std::net::Ipv4Addr::from(address).to_string()
        }
        _ => {
            let mut length = [0; 1];
            client.read_exact(&mut length).expect("a length");
            let mut name = vec![0; usize::from(length[0])];
            client.read_exact(&mut name).expect("a name");
            String::from_utf8(name).expect("text")
        }
    };
    let mut port = [0; 2];
    client.read_exact(&mut port).expect("a port");
    let asked = format!("{place}:{}", u16::from_be_bytes(port));
    let mut server = TcpStream::connect(&asked).expect("the server");
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).expect("an answer");
    let (mut from, mut to) = (client.try_clone().expect("a clone"), server.try_clone().expect("a clone"));
    let there = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = there.join();
    asked
}

#[test]
fn a_proxy_is_gone_through() {
    let scene = Scene::open();
    let (port, served) = proxy();
    scene.nats(&["pub", "a", "x", "--socks-proxy", &format!("socks5://127.0.0.1:{port}")]).fine();
    assert_eq!(served.join().expect("the proxy ends"), format!("127.0.0.1:{}", scene.port()));
    let dead = scene.nats(&["pub", "a", "x", "--socks-proxy", "socks5://127.0.0.1:1"]).failed(1);
    assert!(dead.stderr.starts_with("nats: error: "), "{}", dead.stderr);
}

#[test]
fn a_domain_or_a_prefix_says_which_jetstream() {
    let scene = Scene::configured("jetstream { domain: hub, store_dir: store }");
    let add = ["stream", "add", "S", "--subjects", "s", "--defaults"];
    scene.nats(&[&add[..], &["--js-domain", "hub"]].concat()).fine();
    for flag in [["--domain", "hub"], ["--js-api-prefix", "$JS.hub.API"]] {
        assert_eq!(scene.nats(&[&["stream", "ls", "-n"][..], &flag].concat()).fine().stdout, "S\n", "{flag:?}");
    }
    let both = ["stream", "ls", "-n", "--js-domain", "hub", "--js-api-prefix", "none"];
    assert_eq!(scene.nats(&both).fine().stdout, "S\n", "the domain wins");
    let wrong = scene.nats(&["stream", "ls", "--js-domain", "spoke"]).failed(1);
    assert!(wrong.stderr.contains("is the server started with -js"), "{}", wrong.stderr);
}

#[test]
fn inboxes_have_the_prefix_that_was_asked_for() {
    let done = Scene::open().nats(&["sub", "--inbox", "--inbox-prefix", "_MINE", "--wait", "50ms"]).fine();
    assert!(done.log()[0].starts_with("Subscribing on _MINE."), "{:?}", done.log());
}

#[test]
fn calls_are_shown_when_traced() {
    let scene = crate::stream::shop();
    let done = scene.nats(&["stream", "ls", "-n", "--trace"]).fine();
    let log = done.log();
    assert!(log.iter().any(|line| line.starts_with(">>> Connected to nats://127.0.0.1:")), "{log:#?}");
    assert!(log.contains(&">>> $JS.API.STREAM.NAMES"), "{log:#?}");
    assert!(log.iter().any(|line| line.starts_with("<<< $JS.API.STREAM.NAMES: {")), "{log:#?}");
    assert_eq!(done.stdout, "ORDERS\n");
}

#[test]
fn tables_have_the_frame_and_form_that_were_asked_for() {
    let scene = crate::stream::shop();
    assert!(scene.nats(&["stream", "ls"]).fine().stdout.starts_with('╭'));
    assert!(scene.nats(&["stream", "ls", "--colors", "double"]).fine().stdout.starts_with('╔'));
    let mut command = scene.command(&["stream", "ls"]);
    assert!(finish(command.env("NATS_COLOR", "double"), None).fine().stdout.starts_with('╔'));
    let csv = finish(scene.command(&["stream", "ls"]).env("NATS_TABLE_FORMAT", "csv"), None).fine().stdout;
    assert!(csv.contains("Name,Description,Created,Messages,Size,Last Message\nORDERS,,20"), "{csv}");
    let wrong = scene.nats(&["stream", "ls", "--colors", "pink"]).failed(1);
    assert!(wrong.stderr.contains("blue") && wrong.stderr.contains("yellow"), "{}", wrong.stderr);
}
