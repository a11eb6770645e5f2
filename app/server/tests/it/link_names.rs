//! Servers known by their certificates: `verify_and_map` on each kind of link, `verify_cert_and_check_known_urls` where there
//! are routes and gateways. Whoever has a name that is known comes in without a password, everybody else stays out.

use testkit::certificates::Subject;

use crate::fleet::{Make, Server, mixtures, until_linked};
use crate::link_tls::Papers;

const ACCOUNTS: &str = "accounts { A { users: [{user: a, password: a}, {user: \"n1.east\"}] } }\nocsp_cache: false";
const LISTEN: &str = "listen: \"127.0.0.1:-1\"";

/// How the end that accepts knows the other one.
const KNOWN_URLS: &str = ", verify_cert_and_check_known_urls: true";
const MAPPED: &str = ", verify_and_map: true";

/// Certificates of one authority: of the server that is known, and of one that is not.
fn papers() -> Papers {
    let papers = Papers::new();
    for name in ["n1.east", "n2.west"] {
        let subject = Subject::named(name).dns(name).address([127, 0, 0, 1].into());
        papers.identity(name, &papers.ours.issue(subject));
    }
    papers
}

fn start(make: Make, name: &str, block: &str) -> Server {
    Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\n{block}"))
}

fn url(url: &str) -> String {
    url.replace("nats://", "tls://")
}

/// The known one is joined; the other one is told that it is not authorized.
fn only_the_known_one_comes_in(
    accepts: &dyn Fn(Make) -> Server,
    dials: &dyn Fn(Make, &Server, &str) -> Server,
    what: &str,
) {
    for [one, other] in mixtures() {
        let mut server = accepts(one);
        let stranger = dials(other, &server, "n2.west");
        let line = server.logged("authentication error");
        assert!(one != Make::Ours || line.contains("n2.west"), "{what} {one:?} {other:?}: {line}");
        drop(stranger);
        let known = dials(other, &server, "n1.east");
        let (mut near, mut far) = (known.log_in("a"), server.log_in("a"));
        far.subscribe("far", "1");
        until_linked(&mut near, &mut far, "far");
    }
}

fn route(papers: &Papers, way: &str, login: &str, what: &str) {
    let accepts = |make| {
        let tls = papers.block("server", "ca.pem", way);
        let known = "routes: [\"tls://*.elsewhere:1\", \"tls://n1.east:1\"], connect_retries: 1";
        start(make, "ACCEPTS", &format!("cluster {{ name: C, {LISTEN}, {login} {known}\n{tls} }}"))
    };
    let dials = |make, server: &Server, shown: &str| {
        let (tls, url) = (papers.block(shown, "ca.pem", ""), url(&server.route_url("")));
        start(make, shown, &format!("cluster {{ name: C, {LISTEN}, pool_size: 1, routes: [\"{url}\"]\n{tls} }}"))
    };
    only_the_known_one_comes_in(&accepts, &dials, what);
}

fn gateway(papers: &Papers, way: &str, login: &str, what: &str) {
    let accepts = |make| {
        let tls = papers.block("server", "ca.pem", way);
        let known = "gateways: [{ name: C9, url: \"tls://n1.east:1\" }], connect_retries: 1";
        start(make, "ACCEPTS", &format!("gateway {{ name: C1, {LISTEN}, {login} {known}\n{tls} }}"))
    };
    let dials = |make, server: &Server, shown: &str| {
        let (tls, url) = (papers.block(shown, "ca.pem", ""), url(&server.gateway_url("")));
        let remotes = format!("gateways: [{{ name: C1, url: \"{url}\" }}]");
        start(make, shown, &format!("gateway {{ name: C2, {LISTEN}, {remotes}\n{tls} }}"))
    };
    only_the_known_one_comes_in(&accepts, &dials, what);
}

fn leaf(papers: &Papers, login: &str, what: &str) {
    let accepts = |make| {
        let tls = papers.block("server", "ca.pem", MAPPED);
        start(make, "ACCEPTS", &format!("leafnodes {{ {LISTEN}, {login}\n{tls} }}"))
    };
    let dials = |make, server: &Server, shown: &str| {
        let (tls, url) = (papers.block(shown, "ca.pem", ""), url(&server.leaf_url("")));
        start(make, shown, &format!("leafnodes {{ remotes: [{{ url: \"{url}\", account: A\n{tls} }}] }}"))
    };
    only_the_known_one_comes_in(&accepts, &dials, what);
}

const ONE_USER: &str = "authorization { user: \"n1.east\", password: nobody-knows },";

#[test]
fn a_route_is_known_by_the_name_of_a_configured_one() {
    route(&papers(), KNOWN_URLS, "", "route, known URLs");
}

#[test]
fn a_route_is_known_by_a_certificate_that_names_the_user() {
    route(&papers(), MAPPED, ONE_USER, "route, mapped");
}

#[test]
fn a_gateway_is_known_by_the_name_of_a_configured_one() {
    gateway(&papers(), KNOWN_URLS, "", "gateway, known URLs");
}

#[test]
fn a_gateway_is_known_by_a_certificate_that_names_the_user() {
    gateway(&papers(), MAPPED, ONE_USER, "gateway, mapped");
}

#[test]
fn a_leaf_node_is_known_by_a_certificate_that_names_a_user_of_its_block() {
    leaf(&papers(), "authorization { users: [{ user: \"n1.east\", account: A }] },", "leaf, users of the block");
}

#[test]
fn a_leaf_node_is_known_by_a_certificate_that_names_a_user_of_the_server() {
    leaf(&papers(), "", "leaf, users of the server");
}
