use std::time::Duration;

use bulwark_topology::{Compression, Levels, LinkError};

#[test]
fn both_sides_come_to_the_same_agreement() {
    use Compression::*;
    for (local, remote, agreed) in [
        (S2Fast, NotSupported, NotSupported),
        (NotSupported, S2Fast, NotSupported),
        (S2Fast, Off, Off),
        (Off, S2Fast, Off),
        (Accept, Accept, Off),
        (S2Better, Accept, S2Better),
        (Accept, S2Better, S2Better),
        (Accept, S2Auto, S2Fast),
        (S2Auto, Accept, S2Auto),
        (S2Auto, S2Best, S2Auto),
        (S2Best, S2Auto, S2Best),
        (Accept, Off, Off),
    ] {
        assert_eq!(Compression::agree(local, remote), agreed, "{local:?} {remote:?}");
    }
}

#[test]
fn one_side_frames_exactly_if_the_other_does() {
    use Compression::*;
    let all = [NotSupported, Off, Accept, S2Auto, S2Uncompressed, S2Fast, S2Better, S2Best];
    for local in all {
        for remote in all {
            let (here, there) = (Compression::agree(local, remote), Compression::agree(remote, local));
            assert_eq!(here.is_framed(), there.is_framed(), "{local:?} {remote:?}");
            assert_ne!(here, Accept);
        }
        assert_eq!(Compression::parse(local.as_str()), Ok(local));
    }
    assert!(matches!(Compression::parse(Some("zstd")), Err(LinkError::UnknownCompression(_))));
}

#[test]
fn the_level_follows_the_round_trip_time() {
    let levels = Levels::default();
    let pick = |levels: &Levels, millis| levels.pick(Duration::from_millis(millis));
    assert_eq!(pick(&levels, 1), Compression::S2Uncompressed);
    assert_eq!(pick(&levels, 10), Compression::S2Uncompressed);
    assert_eq!(pick(&levels, 11), Compression::S2Fast);
    assert_eq!(pick(&levels, 100), Compression::S2Better);
    assert_eq!(pick(&levels, 101), Compression::S2Best);
    let two = Levels::new(vec![Duration::ZERO, Duration::from_millis(5)]).expect("two levels");
    assert_eq!(pick(&two, 3), Compression::S2Fast);
    assert_eq!(pick(&two, 99), Compression::S2Fast, "with two levels there is nothing beyond the second");
    assert_eq!(Levels::new(vec![Duration::ZERO; 5]), None);
}
