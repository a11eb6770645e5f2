use bulwark_topology::{LeafRole, Peer, may_advertise, may_forward, may_forward_service_reply};

fn table(rule: impl Fn(Peer, Peer) -> bool) -> String {
    let cell = |from, to| if rule(from, to) { "x" } else { "." };
    let row = |from| Peer::ALL.map(|to| cell(from, to)).join(" ");
    Peer::ALL.map(row).join("\n")
}

// Rows: where it came from. Columns: where it goes. Order: client, route, gateway, leaf (hub here), leaf (spoke here).

#[test]
fn messages_hop_as_the_table_says() {
    let expected = [
        "x x x x x", // client
        "x . . x .", // route
        "x x . x x", // gateway
        "x x x x x", // leaf, this server is the hub
        "x . x x x", // leaf, this server is the spoke
    ];
    assert_eq!(table(may_forward), expected.join("\n"));
}

#[test]
fn interest_is_told_as_the_table_says() {
    let expected = [
        ". x x x x", // client
        ". . x x .", // route
        ". . . x .", // gateway
        ". x x x x", // leaf, this server is the hub
        ". . . x .", // leaf, this server is the spoke
    ];
    assert_eq!(table(may_advertise), expected.join("\n"));
}

#[test]
fn who_is_told_of_interest_may_also_send() {
    for from in Peer::ALL {
        for to in Peer::ALL {
            if may_advertise(from, to) {
                assert!(may_forward(to, from), "{to:?} heard of the interest of {from:?} and may not send");
            }
        }
    }
}

#[test]
fn an_answer_to_a_service_may_also_go_up_to_a_hub() {
    let up = (Peer::Route, Peer::Leaf(LeafRole::Spoke));
    for from in Peer::ALL {
        for to in Peer::ALL {
            assert_eq!(may_forward_service_reply(from, to), may_forward(from, to) || (from, to) == up);
        }
    }
}
