use bulwark_topology::{GatewayHash, NodeHash, old_gateway_hash};

#[test]
fn hashes_are_those_peers_compute() {
    // Seen on the wire: the cluster hash of C2 in `_GR_.Q9nuOZ.xJpEY1.rep.g`.
    assert_eq!(GatewayHash::of("C2").to_string(), "Q9nuOZ");
    assert_eq!(NodeHash::of("C1").to_string(), "lAT7oYk5");
    assert_eq!(NodeHash::of("n1").to_string(), "fjFyEjc1");
    assert_eq!(&old_gateway_hash("C1"), b"ab86");
    assert_eq!(&old_gateway_hash("C2"), b"9685");
}
