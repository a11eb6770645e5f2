//! Super-clusters: clusters of either make, joined by gateways.

use crate::fleet::{Client, Make, Server, accounts_stay_apart, all_hear_all, mixtures, settle, until, until_linked};

const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}] }
    B { users: [{user: b, password: b}] }
    SYS { users: [{user: s, password: s}] }
}
system_account: SYS"#;

/// A server of a cluster, alone in it unless `cluster` says more.
fn server(make: Make, name: &str, cluster: &str, gateway: &str, more: &str) -> Server {
    let gateway = format!("name: {cluster}, listen: \"127.0.0.1:-1\" {gateway}");
    Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\n{more}\ngateway {{ {gateway} }}"))
}

/// The block that names other clusters, with one server each.
fn gateways(to: &[(&str, &Server)], login: &str) -> String {
    let remote =
        |(name, server): &(&str, &Server)| format!("{{ name: {name}, url: \"{}\" }}", server.gateway_url(login));
    format!(", gateways: [{}]", to.iter().map(remote).collect::<Vec<_>>().join(", "))
}

/// Two clusters of one server; the second knows the first.
fn two([one, other]: [Make; 2], more: &str) -> [Server; 2] {
    let first = server(one, "ONE", "C1", more, "");
    let second = server(other, "TWO", "C2", &format!("{more} {}", gateways(&[("C1", &first)], "")), "");
    [first, second]
}

#[test]
fn messages_and_headers_cross_both_ways() {
    for mix in mixtures() {
        let servers = two(mix, "");
        all_hear_all(&servers.each_ref(), &format!("{mix:?}"));
        let [first, second] = &servers;
        let (mut near, mut far) = (first.log_in("a"), second.log_in("a"));
        near.subscribe("near", "1");
        far.subscribe("far.>", "1");
        until_linked(&mut near, &mut far, "far.x");
        until_linked(&mut far, &mut near, "near");
        near.publish_with_headers("far.head", "Number: 1", "!");
        let came = far.next();
        assert_eq!(
            (&*came.subject, &*came.headers, &*came.payload),
            ("far.head", "NATS/1.0\r\nNumber: 1\r\n\r\n", "!")
        );
        let large = "0123456789abcdef".repeat(40_000);
        far.publish("near", &large);
        assert!(near.next().payload == large, "{mix:?}");
    }
}

#[test]
fn answers_find_back_to_who_has_just_begun_to_listen() {
    for mix in mixtures() {
        let [first, second] = two(mix, "");
        for (here, there) in [(&first, &second), (&second, &first)] {
            let (mut asks, mut answers) = (here.log_in("a"), there.log_in("a"));
            answers.subscribe("service", "1");
            until_linked(&mut asks, &mut answers, "service");
            for number in 0..50 {
                // The inbox is new each time: nobody over there knows of it.
                asks.send(&format!("SUB inbox.{number} {number}\r\n"));
                asks.ask("service", &format!("inbox.{number}"), "?");
                let question = answers.next();
                assert_eq!(question.reply.as_deref(), Some(&*format!("inbox.{number}")), "no mark is seen, {mix:?}");
                answers.publish_with_headers(question.reply.as_deref().unwrap(), "Number: 1", "!");
                let answer = asks.next();
                assert_eq!((&*answer.headers, &*answer.payload), ("NATS/1.0\r\nNumber: 1\r\n\r\n", "!"), "{mix:?}");
            }
            asks.send("SUB old 99\r\n");
            asks.flush();
            std::thread::sleep(std::time::Duration::from_millis(2500));
            asks.ask("service", "old", "?");
            answers.next();
            answers.publish("old", "by interest alone");
            assert_eq!(asks.next().payload, "by interest alone", "{mix:?}");
        }
    }
}

#[test]
fn interest_that_ends_ends_in_the_other_cluster_too() {
    for mix in mixtures() {
        let [first, second] = two(mix, "");
        let (mut near, mut far) = (first.log_in("a"), second.log_in("a"));
        far.subscribe("service", "1");
        until_linked(&mut near, &mut far, "service");
        far.send("UNSUB 1\r\n");
        far.flush();
        near.subscribe("inbox", "1");
        until("nobody answers", || {
            near.ask("service", "inbox", "?");
            near.drain().iter().any(|message| message.headers.starts_with("NATS/1.0 503"))
        });
    }
}

#[test]
fn members_of_a_queue_group_here_come_before_those_there() {
    for mix in mixtures() {
        let [first, second] = two(mix, "");
        let (mut near, mut far) = (first.log_in("a"), second.log_in("a"));
        let mut publisher = first.log_in("a");
        far.join("jobs", "workers", "1");
        far.join("jobs", "others", "2");
        far.subscribe("jobs", "3");
        until_linked(&mut publisher, &mut far, "jobs");
        settle(&mut far);
        publisher.publish("jobs", "1");
        publisher.flush();
        let mut sids = Vec::new();
        until("all three have it", || {
            sids.extend(far.drain().into_iter().map(|message| message.sid));
            sids.len() >= 3
        });
        sids.sort();
        assert_eq!(sids, ["1", "2", "3"], "{mix:?}");
        near.join("jobs", "workers", "1");
        settle(&mut far);
        for number in 0..20 {
            publisher.publish("jobs", &number.to_string());
        }
        publisher.flush();
        let mut came = Vec::new();
        until("others and the listener have it", || {
            came.extend(far.drain().into_iter().map(|message| message.sid));
            came.len() >= 40
        });
        settle(&mut far);
        assert!(came.iter().all(|sid| sid != "1"), "{mix:?}");
        assert_eq!(near.drain().len(), 20, "{mix:?}");
    }
}

#[test]
fn accounts_stay_apart_on_gateways() {
    for mix in mixtures() {
        let [first, second] = two(mix, "");
        accounts_stay_apart(&first, &second, &format!("{mix:?}"));
    }
}

#[test]
fn a_third_cluster_is_heard_of() {
    for [one, two, three] in mixtures() {
        let first = server(one, "ONE", "C1", "", "");
        let second = server(two, "TWO", "C2", &gateways(&[("C1", &first)], ""), "");
        let third = server(three, "THREE", "C3", &gateways(&[("C1", &first)], ""), "");
        all_hear_all(&[&first, &second, &third], &format!("{one:?} {two:?} {three:?}"));
    }
}

#[test]
fn a_wrong_password_is_refused_and_nothing_crosses() {
    for [one, other] in mixtures() {
        let login = ", authorization { user: g, password: right }";
        let mut first = server(one, "ONE", "C1", login, "");
        let mut second = server(other, "TWO", "C2", &gateways(&[("C1", &first)], "g:wrong"), "");
        first.logged("authentication error");
        second.logged("Authorization Violation");
        let third = server(other, "THREE", "C3", &format!("{login} {}", gateways(&[("C1", &first)], "g:right")), "");
        all_hear_all(&[&first, &third], &format!("{one:?} {other:?}"));
    }
}

#[test]
fn unknown_clusters_are_rejected_where_that_is_wanted() {
    for [one, other] in mixtures() {
        let first = server(one, "ONE", "C1", ", reject_unknown_cluster: true", "");
        let mut second = server(other, "TWO", "C2", &gateways(&[("C1", &first)], ""), "");
        let line = second.logged("Connection to gateway");
        assert!(line.contains("rejected"), "{one:?} {other:?}: {line}");
    }
}

#[test]
fn a_cluster_of_another_name_is_not_joined() {
    for [one, other] in mixtures() {
        let mut first = server(one, "ONE", "C1", "", "");
        let mut second = server(other, "TWO", "C2", &gateways(&[("C9", &first)], ""), "");
        second.logged(if other == Make::Ours { "wanted to connect to" } else { "remote gateway name is" });
        assert!(!second.log().contains("Outbound gateway connection to \"C9\""), "{one:?} {other:?}");
        // Nobody was asked for a login, so nobody failed to log in.
        if (one, other) == (Make::Ours, Make::Ours) {
            first.logged("the far end wants no connection to this server");
        }
        assert!(one == Make::Reference || !first.log().contains("Authorization Violation"), "{other:?}");
    }
}

#[test]
fn a_cluster_that_was_away_comes_back() {
    for [one, other] in mixtures() {
        let [first, second] = two([one, other], "");
        let port = first.gateway.unwrap().port();
        all_hear_all(&[&first, &second], &format!("{one:?} {other:?}"));
        drop(first);
        let again = format!("name: C1, listen: \"127.0.0.1:{port}\"");
        let first = Server::start(one, &format!("server_name: ONE\n{ACCOUNTS}\ngateway {{ {again} }}"));
        all_hear_all(&[&first, &second], &format!("again, {one:?} {other:?}"));
    }
}

/// Two clusters of two servers. The second server of each cluster names only its colleague; the second cluster names one server
/// of the first.
fn two_by_two([one, two, three, four]: [Make; 4]) -> [Server; 4] {
    let cluster = |name: &str, routes: &str| format!("cluster {{ name: {name}, listen: \"127.0.0.1:-1\" {routes} }}");
    let routes = |to: &Server| format!(", routes: [\"{}\"]", to.route_url(""));
    let first = server(one, "ONE", "C1", "", &cluster("C1", ""));
    let second = server(two, "TWO", "C1", "", &cluster("C1", &routes(&first)));
    let third = server(three, "THREE", "C2", &gateways(&[("C1", &first)], ""), &cluster("C2", ""));
    let fourth = server(four, "FOUR", "C2", "", &cluster("C2", &routes(&third)));
    [first, second, third, fourth]
}

#[test]
fn two_clusters_of_two_become_one_mesh_by_hearsay() {
    for mix in mixtures() {
        let servers = two_by_two(mix);
        all_hear_all(&servers.each_ref(), &format!("{mix:?}"));
    }
}

#[test]
fn answers_find_the_server_of_the_cluster_that_asked() {
    for mix in mixtures() {
        let servers = two_by_two(mix);
        all_hear_all(&servers.each_ref(), &format!("{mix:?}"));
        let mut answers = servers[2].log_in("a");
        answers.subscribe("service", "1");
        for from in &servers[..2] {
            let mut asks = from.log_in("a");
            until_linked(&mut asks, &mut answers, "service");
            for number in 0..20 {
                asks.send(&format!("SUB inbox.{number} {number}\r\n"));
                asks.ask("service", &format!("inbox.{number}"), "?");
                let question = answers.next();
                answers.publish(question.reply.as_deref().unwrap(), "!");
                assert_eq!(asks.next().payload, "!", "{mix:?}");
            }
            settle(&mut asks);
            assert!(asks.drain().is_empty(), "one answer each, {mix:?}");
        }
    }
}

#[test]
fn each_message_reaches_one_member_of_a_queue_group_in_all_clusters() {
    for mix in mixtures() {
        let servers = two_by_two(mix);
        all_hear_all(&servers.each_ref(), &format!("{mix:?}"));
        let mut members: Vec<Client> = servers[2..].iter().map(|server| server.log_in("a")).collect();
        for member in &mut members {
            member.subscribe("ready", "9");
            member.join("jobs", "workers", "1");
        }
        let mut publisher = servers[0].log_in("a");
        for member in &mut members {
            until_linked(&mut publisher, member, "ready");
        }
        members.iter_mut().for_each(settle);
        for number in 0..100 {
            publisher.publish("jobs", &number.to_string());
        }
        publisher.flush();
        let mut numbers = Vec::new();
        until("every job is done", || {
            let came = members.iter_mut().flat_map(Client::drain);
            numbers.extend(came.map(|message| message.payload.parse::<u32>().unwrap()));
            numbers.len() >= 100
        });
        members.iter_mut().for_each(settle);
        members.iter_mut().for_each(|member| assert!(member.drain().is_empty()));
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..100), "each once, {mix:?}");
    }
}

#[test]
fn a_leaf_node_talks_to_another_cluster_and_hears_from_it() {
    for [one, two, three] in mixtures() {
        let leafs = "leafnodes { listen: \"127.0.0.1:-1\", authorization { user: l, password: l, account: A } }";
        let first = server(one, "ONE", "C1", "", leafs);
        let second = server(two, "TWO", "C2", &gateways(&[("C1", &first)], ""), "");
        let hub = first.leaf_url("l:l");
        let spoke =
            Server::start(three, &format!("server_name: LEAF\nleafnodes {{ remotes: [{{ url: \"{hub}\" }}] }}"));
        let (mut far, mut down) = (second.log_in("a"), spoke.connect());
        far.subscribe("service.far", "1");
        down.subscribe("service.leaf", "1");
        until_linked(&mut down, &mut far, "service.far");
        until_linked(&mut far, &mut down, "service.leaf");
        for number in 100..120 {
            let inbox = format!("inbox.{number}");
            down.send(&format!("SUB {inbox} {number}\r\n"));
            down.ask("service.far", &inbox, "?");
            let question = far.next();
            assert_eq!(question.reply.as_deref(), Some(&*inbox), "{one:?} {two:?} {three:?}");
            far.publish(&inbox, "to the leaf");
            assert_eq!(down.next().payload, "to the leaf", "{one:?} {two:?} {three:?}");
            let inbox = format!("back.{number}");
            far.send(&format!("SUB {inbox} {number}\r\n"));
            far.ask("service.leaf", &inbox, "?");
            let question = down.next();
            assert_eq!(question.reply.as_deref(), Some(&*inbox), "{one:?} {two:?} {three:?}");
            down.publish(&inbox, "from the leaf");
            let came = far.next();
            assert_eq!(came.payload, "from the leaf", "{one:?} {two:?} {three:?}");
            down.send(&format!("UNSUB {number}\r\n"));
            far.send(&format!("UNSUB {number}\r\n"));
        }
    }
}

#[test]
fn who_comes_to_the_port_of_gateways_and_is_none_is_told_so() {
    let first = server(Make::Ours, "ONE", "C1", ", authorization { user: g, password: right }", "");
    for (said, heard) in [
        ("CONNECT {\"lang\":\"rust\",\"user\":\"g\",\"pass\":\"right\"}\r\n", "attempted to connect to gateway port"),
        ("CONNECT {\"gateway\":\"C1\",\"user\":\"g\",\"pass\":\"right\"}\r\n", "Connection to gateway \"C1\" rejected"),
        ("CONNECT {\"gateway\":\"C2\",\"user\":\"g\",\"pass\":\"wrong\"}\r\n", "Authorization Violation"),
        ("RMSG A foo 0\r\n\r\n", "Authorization Violation"),
        ("RMSG A foo 2\r\nhi\r\n", "Maximum Payload Violation"),
        ("RS+ A foo\r\n", "Authorization Violation"),
        ("INFO {\"gateway\":\"C2\"}\r\n", "Authorization Violation"),
        // One cluster at CONNECT, another one at INFO.
        (
            "CONNECT {\"gateway\":\"C2\",\"user\":\"g\",\"pass\":\"right\"}\r\nINFO {\"gateway\":\"C3\"}\r\n",
            "Connection to gateway \"C1\" rejected",
        ),
    ] {
        let answer = say(&first, said);
        assert!(answer.contains(heard), "{said:?}: {answer:?}");
        assert!(!answer.contains("RS+"), "nothing of what is wanted here is told, {said:?}: {answer:?}");
    }
}

#[test]
fn interest_on_the_end_that_brings_messages_ends_the_gateway() {
    let mut first = server(Make::Ours, "ONE", "C1", "", "");
    let mut ear = first.log_in("a");
    ear.subscribe("foo", "1");
    let hello =
        "CONNECT {\"gateway\":\"C2\"}\r\nINFO {\"server_id\":\"NX\",\"server_name\":\"X\",\"gateway\":\"C2\"}\r\n";
    let answer = say(&first, &format!("{hello}RS+ A secret\r\nRMSG A foo 2\r\nhi\r\n"));
    assert!(answer.contains("RS+ A foo\r\n"), "{answer:?}");
    first.logged("Received interest from gateway on inbound connection");
    settle(&mut ear);
    assert!(ear.drain().is_empty(), "what comes after it is not heard");
    say(&first, &format!("{hello}RMSG A foo 2\r\nhi\r\nA+ A\r\n"));
    assert_eq!(ear.next().payload, "hi", "what came before it was");
}

/// Says something on the port of gateways, and what is answered until the server hangs up.
fn say(server: &Server, said: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(server.gateway.unwrap()).unwrap();
    stream.set_read_timeout(Some(crate::fleet::PATIENCE)).unwrap();
    stream.write_all(said.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that hangs up on what it has not read resets the connection.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// Only what encrypts a gateway may change while the server runs; the reference refuses the rest, too.
#[test]
fn a_reload_that_would_change_a_gateway_is_refused_and_changes_nothing() {
    let login = |word: &str| format!(", authorization {{ user: g, password: {word} }}");
    for mix in mixtures() {
        let [one, other] = mix;
        let mut first = server(one, "ONE", "C1", &login("old"), "");
        let to_first = gateways(&[("C1", &first)], "g:old");
        let second = server(other, "TWO", "C2", &format!("{} {to_first}", login("old")), "");
        let (mut near, mut far) = (first.log_in("a"), second.log_in("a"));
        near.subscribe("near", "1");
        until_linked(&mut far, &mut near, "near");
        first.ask_for_reload(&|config| config.replace("password: old", "password: new"));
        first.logged("config reload not supported for Gateway");
        far.publish("near", "as before");
        assert_eq!(near.next().payload, "as before", "{mix:?}");
    }
}
