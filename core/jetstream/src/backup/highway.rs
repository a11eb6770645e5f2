//! HighwayHash with 64 bits: by it archives of older servers say that a record is whole.

/// A key, as four numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key([u64; 4]);

impl Key {
    pub(super) fn new(bytes: &[u8; 32]) -> Key {
        Key(lanes(bytes))
    }
}

/// Bytes that are taken at a time.
const PACKET: usize = 32;

const FIRST: [u64; 4] = [0xdbe6_d5d5_fe4c_ce2f, 0xa409_3822_299f_31d0, 0x1319_8a2e_0370_7344, 0x243f_6a88_85a3_08d3];
const SECOND: [u64; 4] = [0x3bd3_9e10_cb0e_f593, 0xc0ac_f169_b5f1_8a8c, 0xbe54_66cf_34e9_0c6c, 0x4528_21e6_38d0_1377];

struct State {
    v0: [u64; 4],
    v1: [u64; 4],
    mul0: [u64; 4],
    mul1: [u64; 4],
}

/// The hash of pieces, one behind the other.
pub(super) fn hash(key: &Key, pieces: &[&[u8]]) -> u64 {
    let mut state = State::new(key);
    let (mut packet, mut filled) = ([0; PACKET], 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (taken, after) = rest.split_at(rest.len().min(PACKET - filled));
            packet[filled..filled + taken.len()].copy_from_slice(taken);
            (filled, rest) = (filled + taken.len(), after);
            if filled == PACKET {
                state.update(lanes(&packet));
                filled = 0;
            }
        }
    }
    if filled > 0 {
        state.update_last(&packet[..filled]);
    }
    state.finish()
}

fn lanes(bytes: &[u8; PACKET]) -> [u64; 4] {
    let mut lanes = [0; 4];
    for (lane, bytes) in lanes.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *lane = u64::from_le_bytes(*bytes);
    }
    lanes
}

impl State {
    fn new(Key(key): &Key) -> State {
        let mut state = State { v0: FIRST, v1: SECOND, mul0: FIRST, mul1: SECOND };
        state.v0.iter_mut().zip(key).for_each(|(lane, key)| *lane ^= key);
        state.v1.iter_mut().zip(key).for_each(|(lane, key)| *lane ^= key.rotate_left(32));
        state
    }

    fn update(&mut self, packet: [u64; 4]) {
        let low = |lane: u64| lane & 0xffff_ffff;
        let State { v0, v1, mul0, mul1 } = self;
        for (lane, packet) in packet.into_iter().enumerate() {
            v1[lane] = v1[lane].wrapping_add(mul0[lane]).wrapping_add(packet);
            mul0[lane] ^= low(v1[lane]).wrapping_mul(v0[lane] >> 32);
            v0[lane] = v0[lane].wrapping_add(mul1[lane]);
            mul1[lane] ^= low(v0[lane]).wrapping_mul(v1[lane] >> 32);
        }
        add_mixed(*v1, v0);
        add_mixed(*v0, v1);
    }

    /// Takes the last bytes, fewer than a packet.
    fn update_last(&mut self, bytes: &[u8]) {
        let size = bytes.len() as u64;
        self.v0.iter_mut().for_each(|lane| *lane = lane.wrapping_add((size << 32) + size));
        let turn = |half: u64| u64::from((half as u32).rotate_left(size as u32));
        self.v1.iter_mut().for_each(|lane| *lane = turn(*lane) | turn(*lane >> 32) << 32);
        let (whole, rest) = bytes.split_at(bytes.len() & !3);
        let mut packet = [0; PACKET];
        packet[..whole.len()].copy_from_slice(whole);
        if bytes.len() & 16 != 0 {
            packet[28..].copy_from_slice(&bytes[bytes.len() - 4..]);
        } else if let (Some(first), Some(last)) = (rest.first(), rest.last()) {
            packet[16..19].copy_from_slice(&[*first, rest[rest.len() >> 1], *last]);
        }
        self.update(lanes(&packet));
    }

    fn finish(mut self) -> u64 {
        for _ in 0..4 {
            let [a, b, c, d] = self.v0.map(|lane| lane.rotate_left(32));
            self.update([c, d, a, b]);
        }
        [self.v0[0], self.v1[0], self.mul0[0], self.mul1[0]].into_iter().fold(0, u64::wrapping_add)
    }
}

/// Adds the bytes of each pair of lanes in another order.
fn add_mixed(from: [u64; 4], to: &mut [u64; 4]) {
    for pair in [0, 2] {
        let (low, high) = (from[pair], from[pair + 1]);
        let byte = |lane: u64, number: u32| lane >> (8 * number) & 0xff;
        let join = |bytes: [u64; 8]| bytes.iter().rev().fold(0, |joined, byte| joined << 8 | byte);
        let first = [(low, 3), (high, 4), (low, 2), (low, 5), (high, 6), (low, 1), (high, 7), (low, 0)];
        let second = [(high, 3), (low, 4), (high, 2), (high, 5), (high, 1), (low, 6), (high, 0), (low, 7)];
        to[pair] = to[pair].wrapping_add(join(first.map(|(lane, number)| byte(lane, number))));
        to[pair + 1] = to[pair + 1].wrapping_add(join(second.map(|(lane, number)| byte(lane, number))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of 0, 1, 2, … bytes that count up, by a key that counts up, as its authors published them.
    const KNOWN: [u64; 9] = [
        0x907a_56de_22c2_6e53,
        0x7eab_43aa_c7cd_dd78,
        0xb8d0_569a_b0b5_3d62,
        0x5c6b_efab_8a46_3d80,
        0xf205_a468_9300_7eda,
        0x2b8a_1668_e4a9_4541,
        0xbd4c_cc32_5bef_ca6f,
        0x4d02_ae17_38f5_9482,
        0xe120_5108_e55f_3171,
    ];

    #[test]
    fn known_hashes_come_out_however_the_bytes_are_cut() {
        let mut key = [0; 32];
        (0..).zip(&mut key).for_each(|(number, byte): (u8, _)| *byte = number);
        let bytes: Vec<u8> = (0..64).collect();
        for (length, known) in KNOWN.into_iter().enumerate() {
            assert_eq!(hash(&Key::new(&key), &[&bytes[..length]]), known, "{length}");
        }
        for length in 0..64 {
            let whole = hash(&Key::new(&key), &[&bytes[..length]]);
            let (head, tail) = bytes[..length].split_at(length / 3);
            assert_eq!(hash(&Key::new(&key), &[head, tail]), whole, "{length}");
        }
    }
}
