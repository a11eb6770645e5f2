use bulwark_topology::{Placed, Pooling, Slots, pool_index};

#[test]
fn an_account_has_the_index_that_peers_compute() {
    for (account, sizes) in [("A", [0, 0, 2, 2]), ("B", [1, 0, 4, 9]), ("$SYS", [0, 0, 0, 0]), ("orders", [0, 2, 0, 0])]
    {
        assert_eq!([2, 3, 5, 10].map(|size| pool_index(account, size)), sizes, "{account}");
        assert_eq!([0, 1].map(|size| pool_index(account, size)), [0, 0]);
    }
}

#[test]
fn the_larger_pool_counts_and_one_side_without_ends_it() {
    assert_eq!(Pooling::agree(Some(3), 5), Pooling::Pool(5));
    assert_eq!(Pooling::agree(Some(5), 3), Pooling::Pool(5));
    assert_eq!(Pooling::agree(None, 3), Pooling::Single);
    assert_eq!(Pooling::agree(Some(3), 0), Pooling::Single);
    assert_eq!(Pooling::agree(Some(3), -1), Pooling::Single);
    assert_eq!(Pooling::agree(Some(3), 1 << 40), Pooling::Single);
    assert_eq!(Pooling::agree(Some(3), 2_000_000_000).size(), 1024, "a peer does not choose how much memory we take");
}

#[test]
fn connections_fill_the_pool_and_one_more_is_a_duplicate() {
    let mut slots = Slots::new(Pooling::Pool(3));
    assert_eq!(slots.place('a', None), Placed::At { index: 0, is_first: true, wants_more: true });
    assert_eq!(slots.place('b', Some(2)), Placed::At { index: 2, is_first: false, wants_more: true });
    assert_eq!(slots.place('c', Some(2)), Placed::Duplicate(Some('b')));
    assert_eq!(slots.place('c', None), Placed::At { index: 1, is_first: false, wants_more: false });
    assert_eq!(slots.place('d', None), Placed::Duplicate(Some('a')));
    assert_eq!(slots.place('d', Some(99)), Placed::Duplicate(Some('a')));
    assert_eq!(slots.of_account("A"), Some('a'));
    assert_eq!(slots.of_account("orders"), Some('b'));
    assert!(!slots.remove('b'));
    assert_eq!(slots.of_account("orders"), None);
    assert!(!slots.remove('a') && slots.remove('c') && slots.is_empty());
}
