//! Clusters: servers of either make, joined by routes.

use std::collections::BTreeSet;

use crate::fleet::{Client, Make, Server, accounts_stay_apart, all_hear_all, mixtures, settle, until, until_linked};
use crate::link_monitoring::asked;

const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}] }
    B { users: [{user: b, password: b}] }
}"#;

fn server(make: Make, name: &str, cluster: &str) -> Server {
    let cluster = format!("name: C, listen: \"127.0.0.1:-1\" {cluster}");
    Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\ncluster {{ {cluster} }}"))
}

fn routes(to: &[&Server]) -> String {
    let urls: Vec<String> = to.iter().map(|server| format!("\"{}\"", server.route_url(""))).collect();
    format!(", routes: [{}]", urls.join(", "))
}

/// Three servers; the last two know only the first.
fn three([one, two, three]: [Make; 3], more: &str) -> [Server; 3] {
    let first = server(one, "ONE", more);
    let second = server(two, "TWO", &format!("{more} {}", routes(&[&first])));
    let third = server(three, "THREE", &format!("{more} {}", routes(&[&first])));
    [first, second, third]
}

#[test]
fn a_cluster_of_three_becomes_a_full_mesh_by_hearsay() {
    for mix in mixtures() {
        let servers = three(mix, "");
        all_hear_all(&servers.each_ref(), &format!("{mix:?}"));
    }
}

#[test]
fn one_connection_serves_where_pooling_is_off_at_either_end() {
    for [one, two] in mixtures() {
        let first = server(one, "ONE", ", pool_size: -1");
        let second = server(two, "TWO", &routes(&[&first]));
        all_hear_all(&[&first, &second], &format!("{one:?} {two:?}"));
    }
}

#[test]
fn an_account_may_have_a_route_of_its_own() {
    for [one, two] in mixtures() {
        let first = server(one, "ONE", ", accounts: [A]");
        let second = server(two, "TWO", &format!(", accounts: [A] {}", routes(&[&first])));
        all_hear_all(&[&first, &second], &format!("{one:?} {two:?}"));
    }
}

#[test]
fn an_account_may_have_a_route_of_its_own_beside_a_pool_of_one() {
    for [one, two] in mixtures() {
        let first = server(one, "ONE", ", pool_size: 1, accounts: [A]");
        let second = server(two, "TWO", &format!(", pool_size: 1, accounts: [A] {}", routes(&[&first])));
        all_hear_all(&[&first, &second], &format!("{one:?} {two:?}"));
        accounts_stay_apart(&first, &second, &format!("{one:?} {two:?}"));
    }
}

/// The ids of a server's routes: those that are shared, and those of account A.
fn ids_of_routes(server: &Server, name: &str) -> [BTreeSet<u64>; 2] {
    let told = asked(&mut server.log_in("s"), "ROUTEZ", "", &[name]);
    let of = |account: &str| {
        let routes = told[name]["routes"].as_array().into_iter().flatten();
        let wanted = routes.filter(|route| route["account"].as_str().unwrap_or_default() == account);
        wanted.map(|route| route["rid"].as_u64().unwrap()).collect()
    };
    [of(""), of("A")]
}

#[test]
fn an_account_that_gets_a_route_of_its_own_by_a_reload_moves_and_the_others_stay() {
    let accounts = ACCOUNTS.replacen("accounts {", "accounts { SYS { users: [{user: s, password: s}] }", 1);
    for mix in mixtures::<2>() {
        let start = |make, name: &str, more: &str| {
            let cluster = format!("cluster {{ name: C, listen: \"127.0.0.1:-1\" {more} }}");
            Server::start(make, &format!("server_name: {name}\n{accounts}\nsystem_account: SYS\n{cluster}"))
        };
        let first = start(mix[0], "ONE", "");
        let second = start(mix[1], "TWO", &routes(&[&first]));
        let mut servers = [(first, "ONE"), (second, "TWO")];
        let hear = |servers: &[(Server, &str); 2], when: &str| {
            let [(first, _), (second, _)] = servers;
            all_hear_all(&[first, second], &format!("{mix:?} {when}"));
            accounts_stay_apart(first, second, &format!("{mix:?} {when}"));
        };
        hear(&servers, "at first");
        let shared = servers.each_ref().map(|(server, name)| ids_of_routes(server, name)[0].clone());
        assert_eq!(shared.each_ref().map(BTreeSet::len), [3, 3], "{mix:?}");
        for (before, after, own) in [("name: C,", "name: C, accounts: [A],", 1), ("accounts: [A],", "", 0)] {
            for (server, _) in &mut servers {
                server.ask_for_reload(&|config| config.replace(before, after));
            }
            for ((server, name), shared) in servers.iter().zip(&shared) {
                until(&format!("A has {own} route of its own at {name}, {mix:?}"), || {
                    ids_of_routes(server, name)[1].len() == own
                });
                assert_eq!(&ids_of_routes(server, name)[0], shared, "the others stay, {mix:?} {name} {own}");
            }
            hear(&servers, after);
        }
    }
}

#[test]
fn routes_may_be_compressed() {
    for mode in ["s2_fast", "s2_best", "s2_auto"] {
        for [one, two] in mixtures() {
            let first = server(one, "ONE", &format!(", compression: {mode}"));
            let second = server(two, "TWO", &routes(&[&first]));
            let (mut near, mut far) = (first.log_in("a"), second.log_in("a"));
            far.subscribe("far", "1");
            near.subscribe("near", "1");
            until_linked(&mut near, &mut far, "far");
            until_linked(&mut far, &mut near, "near");
            let large = "0123456789abcdef".repeat(40_000);
            near.publish("far", &large);
            assert!(far.next().payload == large, "{mode} {one:?} {two:?}");
            far.publish("near", &large);
            assert!(near.next().payload == large, "{mode} {one:?} {two:?}");
        }
    }
}

#[test]
fn requests_find_their_way_back_and_headers_cross() {
    for [one, two] in mixtures() {
        let first = server(one, "ONE", "");
        let second = server(two, "TWO", &routes(&[&first]));
        let (mut asks, mut answers) = (first.log_in("a"), second.log_in("a"));
        answers.subscribe("service", "1");
        until_linked(&mut asks, &mut answers, "service");
        for number in 0..50 {
            // The inbox is new each time: its interest goes ahead of the request.
            asks.send(&format!("SUB inbox.{number} {number}\r\n"));
            asks.ask("service", &format!("inbox.{number}"), "?");
            let question = answers.next();
            answers.publish_with_headers(question.reply.as_deref().unwrap(), "Number: 1", "!");
            let answer = asks.next();
            assert_eq!((&*answer.headers, &*answer.payload), ("NATS/1.0\r\nNumber: 1\r\n\r\n", "!"), "{one:?} {two:?}");
        }
    }
}

#[test]
fn each_message_reaches_one_member_of_a_queue_group_in_the_whole_cluster() {
    for mix in mixtures() {
        let servers = three(mix, "");
        all_hear_all(&servers.each_ref(), &format!("{mix:?}"));
        let mut members: Vec<Client> = servers.iter().map(|server| server.log_in("a")).collect();
        for member in &mut members {
            member.subscribe("ready", "9");
            member.join("jobs", "workers", "1");
        }
        let mut publisher = servers[0].log_in("a");
        for member in &mut members {
            until_linked(&mut publisher, member, "ready");
        }
        members.iter_mut().for_each(settle);
        for number in 0..300 {
            publisher.publish("jobs", &number.to_string());
        }
        publisher.flush();
        let mut got = vec![0; members.len()];
        let mut numbers = Vec::new();
        until("every job is done", || {
            for (count, member) in got.iter_mut().zip(&mut members) {
                let came = member.drain();
                *count += came.len();
                numbers.extend(came.into_iter().map(|message| message.payload.parse::<u32>().unwrap()));
            }
            numbers.len() >= 300
        });
        members.iter_mut().for_each(|member| assert!(member.drain().is_empty()));
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..300), "each once, {mix:?}");
        assert!(got.iter().all(|count| *count > 40), "all share the work, {mix:?}: {got:?}");
    }
}

#[test]
fn accounts_stay_apart_on_routes() {
    for [one, two] in mixtures() {
        let first = server(one, "ONE", "");
        let second = server(two, "TWO", &routes(&[&first]));
        accounts_stay_apart(&first, &second, &format!("{one:?} {two:?}"));
    }
}

#[test]
fn a_server_with_a_wrong_password_is_no_part_of_the_cluster() {
    for [one, two] in mixtures() {
        let login = ", authorization { user: r, password: right }";
        let mut first = server(one, "ONE", login);
        let url = first.route_url("r:wrong");
        let mut second = server(two, "TWO", &format!(", routes: [\"{url}\"]"));
        first.logged("authentication error");
        second.logged("Authorization Violation");
        let url = first.route_url("r:right");
        let third = server(two, "THREE", &format!("{login}, routes: [\"{url}\"]"));
        all_hear_all(&[&first, &third], &format!("{one:?} {two:?}"));
    }
}

#[test]
fn clusters_of_different_names_do_not_mix() {
    for [one, two] in mixtures() {
        let mut first = server(one, "ONE", "");
        let url = first.route_url("");
        let cluster = format!("name: OTHER, listen: \"127.0.0.1:-1\", routes: [\"{url}\"]");
        let _second = Server::start(two, &format!("server_name: TWO\n{ACCOUNTS}\ncluster {{ {cluster} }}"));
        first.logged("does not match");
    }
}

#[test]
fn what_the_cluster_may_not_share_stays_where_it_is() {
    for [one, two] in mixtures() {
        let permissions = ", permissions { import: {deny: \"private.>\"}, export: {deny: \"private.>\"} }";
        let first = server(one, "ONE", permissions);
        let second = server(two, "TWO", &format!("{permissions} {}", routes(&[&first])));
        let (mut from, mut to) = (first.log_in("a"), second.log_in("a"));
        to.subscribe("private.plan", "1");
        to.subscribe("open.plan", "2");
        until_linked(&mut from, &mut to, "open.plan");
        from.publish("private.plan", "hidden");
        from.publish("open.plan", "shown");
        assert_eq!(to.next().payload, "shown", "{one:?} {two:?}");
    }
}

#[test]
fn clients_hear_of_the_other_servers() {
    for [one, two] in mixtures() {
        let first = server(one, "ONE", "");
        let second = server(two, "TWO", &routes(&[&first]));
        let mut client = first.log_in("a");
        let wanted = second.client.to_string();
        until("the other server is told of", || {
            client.flush();
            client.infos.iter().any(|info| info.contains(&wanted))
        });
    }
}

#[test]
fn a_server_that_listens_everywhere_tells_of_every_address_it_has() {
    let own: Vec<_> = net::own_addresses();
    for [one, two] in mixtures() {
        let start = |make, name: &str, more: &str| {
            let cluster = format!("cluster {{ name: C, listen: \"127.0.0.1:-1\" {more} }}");
            Server::start_at(make, "0.0.0.0:-1", &format!("server_name: {name}\n{ACCOUNTS}\n{cluster}"))
        };
        let first = start(one, "ONE", "");
        let second = start(two, "TWO", &routes(&[&first]));
        let ports = [first.client.port(), second.client.port()];
        let mut wanted: Vec<String> = Vec::new();
        for port in ports {
            wanted.extend(own.iter().map(|own| std::net::SocketAddr::new(*own, port).to_string()));
        }
        wanted.sort();
        for server in [&first, &second] {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.client.port()));
            let mut told: Vec<String> = Vec::new();
            until(&format!("all addresses are told of, {one:?} {two:?} {wanted:?} {told:?}"), || {
                let info = Server::first_info(address);
                told = info["connect_urls"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|url| url.as_str().unwrap().into())
                    .collect();
                told.sort();
                told == wanted
            });
        }
    }
}

/// Of these listeners one address is told: the machine's first.
#[test]
fn leaf_nodes_and_clusters_are_told_the_first_address_of_a_server_that_listens_everywhere() {
    let listen = "listen: \"0.0.0.0:-1\"";
    for [make, _] in mixtures() {
        let accounts = "accounts { SYS { users: [{user: s, password: s}] } }\nsystem_account: SYS";
        let config = format!("server_name: ONE\n{accounts}\nleafnodes {{ {listen} }}\ngateway {{ name: C, {listen} }}");
        let server = Server::start(make, &config);
        let first = net::own_addresses().first().copied();
        let told = |port: u16| first.map(|first| std::net::SocketAddr::new(first, port).to_string());
        let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let (leaf, gateway) = (server.leaf.unwrap().port(), server.gateway.unwrap().port());
        let Some((leafs, gateways)) = told(leaf).zip(told(gateway)) else { return };
        let info = Server::first_info(at(leaf));
        assert_eq!(
            (&info["ip"], &info["leafnode_urls"]),
            (&leafs.clone().into(), &serde_json::json!([leafs])),
            "{make:?}"
        );
        let info = Server::first_info(at(gateway));
        assert_eq!(info["gateway_urls"], serde_json::json!([gateways]), "{make:?}");
    }
}

#[test]
fn a_server_that_was_away_comes_back() {
    for [one, two] in mixtures() {
        let first = server(one, "ONE", "");
        let port = first.route.unwrap().port();
        let second = server(two, "TWO", &routes(&[&first]));
        all_hear_all(&[&first, &second], &format!("{one:?} {two:?}"));
        drop(first);
        let again = format!("name: C, listen: \"127.0.0.1:{port}\"");
        let first = Server::start(one, &format!("server_name: ONE\n{ACCOUNTS}\ncluster {{ {again} }}"));
        all_hear_all(&[&first, &second], &format!("again, {one:?} {two:?}"));
    }
}

#[test]
fn a_leaf_node_is_heard_in_the_whole_cluster_of_its_hub() {
    for [one, two, three] in mixtures() {
        let first = server(one, "ONE", "");
        let url = first.route_url("");
        let leafs = "leafnodes { listen: \"127.0.0.1:-1\", authorization { user: l, password: l, account: A } }";
        let cluster = format!("name: C, listen: \"127.0.0.1:-1\", routes: [\"{url}\"]");
        let second = Server::start(two, &format!("server_name: TWO\n{ACCOUNTS}\ncluster {{ {cluster} }}\n{leafs}"));
        let hub = second.leaf_url("l:l");
        let spoke =
            Server::start(three, &format!("server_name: LEAF\nleafnodes {{ remotes: [{{ url: \"{hub}\" }}] }}"));
        let (mut up, mut down) = (first.log_in("a"), spoke.connect());
        up.subscribe("up", "1");
        down.subscribe("down", "1");
        down.join("jobs", "workers", "2");
        until_linked(&mut down, &mut up, "up");
        until_linked(&mut up, &mut down, "down");
        down.publish("up", "from the leaf");
        assert_eq!(up.next().payload, "from the leaf", "{one:?} {two:?} {three:?}");
        up.publish("down", "to the leaf");
        assert_eq!(down.next().payload, "to the leaf");
        up.publish("jobs", "for the leaf");
        assert_eq!(down.next().payload, "for the leaf");
        settle(&mut down);
        settle(&mut up);
    }
}

#[test]
fn clients_are_no_longer_told_of_a_server_that_is_about_to_go() {
    for [one, two] in mixtures() {
        let first = server(one, "ONE", "");
        let second = server(two, "TWO", &routes(&[&first]));
        let wanted = second.client.to_string();
        let mut client = first.log_in("a");
        until("the other server is told of", || {
            client.flush();
            client.infos.iter().any(|info| info.contains(&wanted))
        });
        second.lame_duck();
        until(&format!("it is told of no longer, {one:?} {two:?}"), || {
            client.flush();
            client.infos.last().is_some_and(|info| !info.contains(&wanted))
        });
    }
}

#[test]
fn servers_without_a_name_for_their_cluster_agree_on_one() {
    let start = |make: Make, name: &str, cluster: &str| {
        let cluster = format!("listen: \"127.0.0.1:-1\" {cluster}");
        Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\ncluster {{ {cluster} }}"))
    };
    for mix in mixtures::<3>() {
        // One that sorts before all names that the reference makes up, and one that sorts after.
        for name in ["+", "zzzz"] {
            // The reference tells of a name that it took over as if it had made it up, so that another one does not take
            // it over from there if it sorts lower.
            if name == "+" && mix[0] == Make::Reference {
                continue;
            }
            let [one, two, three] = mix;
            let first = start(one, "ONE", "");
            let second = start(two, "TWO", &routes(&[&first]));
            all_hear_all(&[&first, &second], &format!("without a name {mix:?}"));
            // A third one that has a name gives it to both.
            let third = start(three, "THREE", &format!(", name: \"{name}\" {}", routes(&[&first])));
            all_hear_all(&[&first, &second, &third], &format!("with a name {mix:?}"));
        }
    }
}

/// The reference would stay alone with a name that sorts lower; ours believes it, as its own name sorts lower still.
#[test]
fn a_name_that_the_reference_took_over_is_believed() {
    for [one, three] in mixtures() {
        let first =
            Server::start(one, &format!("server_name: ONE\n{ACCOUNTS}\ncluster {{ listen: \"127.0.0.1:-1\" }}"));
        let cluster = format!("listen: \"127.0.0.1:-1\" {}", routes(&[&first]));
        let second = Server::start(Make::Ours, &format!("server_name: TWO\n{ACCOUNTS}\ncluster {{ {cluster} }}"));
        all_hear_all(&[&first, &second], &format!("without a name {one:?}"));
        let third = server(three, "THREE", &routes(&[&first]));
        all_hear_all(&[&first, &second, &third], &format!("with a name {one:?} {three:?}"));
    }
}
