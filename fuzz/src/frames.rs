//! What anybody may send to a listener for WebSocket.

use websocket::{
    Agreed, Answer, Asking, Cookies, Fault, Heard, Limits, MAX_HEAD_BYTES, Masking, OPENED_MAX_BYTES, Origins,
    Settings, hear as judge, pair,
};

/// The longest compressed message here, unpacked.
const MESSAGE_BYTES: usize = 4096;

/// Any request: what is agreed to has a whole head and nothing behind it, and cutting it anywhere leaves it unfinished.
pub fn hear(bytes: &[u8]) {
    let name = |name: &str| Some(name.to_owned());
    let cookies = Cookies { jwt: name("jwt"), user: name("user"), pass: name("pass"), token: name("token") };
    let origins = Origins { same: true, allowed: Vec::new() };
    let settings = Settings { origins, compresses: true, cookies, has_leafs: true, ..Settings::default() };
    match judge(bytes, &settings, true) {
        Heard::More => assert!(bytes.len() < MAX_HEAD_BYTES),
        Heard::Refused(refusal) => assert!(!refusal.reason.is_empty()),
        Heard::Upgrade(upgrade) => {
            assert!(upgrade.answer.starts_with(b"HTTP/1.1 101 ") && upgrade.answer.ends_with(b"\r\n\r\n"));
            let shorter = bytes.split_last().map_or(bytes, |(_, shorter)| shorter);
            assert!(matches!(judge(shorter, &settings, true), Heard::More));
        }
    }
}

/// Any answer to a request of ours: what makes a connection has a whole head.
pub fn answer(bytes: &[u8]) {
    let [flags, bytes @ ..] = bytes else { return };
    let asking = Asking::new(*b"the sample nonce", flags & 1 != 0, flags & 2 != 0);
    match asking.hear(bytes) {
        Answer::More => assert!(bytes.len() < MAX_HEAD_BYTES),
        Answer::Refused(bad) => assert!(!bad.to_string().is_empty()),
        Answer::Agreed { agreed, masks, len } => {
            assert!(
                len <= bytes.len()
                    && bytes.get(..len.saturating_sub(1)).map(|head| asking.hear(head)) == Some(Answer::More)
            );
            assert!(agreed.compresses <= (flags & 1 != 0) && masks >= (flags & 2 == 0));
        }
    }
}

/// Any frames: they mean the same in whatever pieces they come, and nothing unpacks to more than it may.
pub fn open(bytes: &[u8]) {
    let [flags, wire @ ..] = bytes else { return };
    let peer_masks = [Masking::Must, Masking::May, Masking::Never, Masking::Must];
    let peer_masks = peer_masks.get(usize::from(flags & 3)).copied().unwrap_or_default();
    let agreed = Agreed { peer_masks, compresses: flags & 4 != 0, ..Agreed::default() };
    let step = usize::from(flags >> 3) + 1;
    let read = |step: usize| {
        let (mut opener, mut sealer) = pair(&agreed, Limits { message_max_bytes: MESSAGE_BYTES });
        let (mut plain, mut answers) = (Vec::new(), Vec::new());
        for piece in wire.chunks(step) {
            let mut piece = piece;
            loop {
                let before = plain.len();
                opener.open(piece, &mut plain)?;
                assert!(plain.len() - before <= OPENED_MAX_BYTES + piece.len());
                piece = &[];
                if !opener.has_more() {
                    break;
                }
            }
        }
        sealer.answer(&mut answers);
        Ok::<_, Fault>((plain, answers))
    };
    let whole = read(wire.len().max(1));
    assert_eq!(whole, read(step));
    // Each message of at most so many bytes takes at least a head.
    assert!(
        whole.is_err()
            || whole.is_ok_and(|(plain, _)| plain.len() <= wire.len() + wire.len().div_ceil(2) * MESSAGE_BYTES)
    );
}
