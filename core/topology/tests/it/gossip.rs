use bulwark_topology::{Gossip, NewRoute, RouteKind};

fn route(solicited: bool, kind: RouteKind, local: Gossip, remote: Gossip) -> NewRoute {
    NewRoute { kind, solicited, local, remote }
}

#[test]
fn what_came_of_gossip_is_not_news_unless_it_is_to_be() {
    use Gossip::*;
    use RouteKind::*;
    for (solicited, kind, local, remote, is_news) in [
        (true, Explicit, Default, Default, true),
        (false, Implicit, Default, Default, true),
        (true, Implicit, Default, Default, false),
        (true, Implicit, Override, Default, true),
        (true, Implicit, Disabled, Default, false),
        (true, Explicit, Default, Disabled, false),
        (false, Implicit, Default, Disabled, false),
        (true, Implicit, Override, Disabled, false),
        (false, Implicit, Default, Override, true),
    ] {
        assert_eq!(
            route(solicited, kind, local, remote).is_news(),
            is_news,
            "{solicited} {kind:?} {local:?} {remote:?}"
        );
    }
}

#[test]
fn the_news_says_how_far_it_is_to_travel() {
    use RouteKind::*;
    let mode = |solicited, kind, other| route(solicited, kind, Gossip::Default, Gossip::Default).mode_for(other);
    assert_eq!(mode(true, Explicit, Implicit), Gossip::Override);
    assert_eq!(mode(true, Explicit, Explicit), Gossip::Override);
    assert_eq!(mode(false, Implicit, Explicit), Gossip::Override);
    assert_eq!(mode(false, Implicit, Implicit), Gossip::Disabled);
    assert_eq!(mode(true, Implicit, Implicit), Gossip::Default);
}

#[test]
fn modes_have_their_numbers_and_unknown_ones_are_the_default() {
    for gossip in [Gossip::Default, Gossip::Disabled, Gossip::Override] {
        assert_eq!(Gossip::of_number(gossip.number()), gossip);
    }
    assert_eq!(Gossip::of_number(77), Gossip::Default);
}
