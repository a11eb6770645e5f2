//! Networks a user may come from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// An address block, `10.0.0.0/8` or `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address lies in the block. An IPv4 address inside IPv6 is the IPv4 address it stands for.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same_prefix(u32::from(ours).into(), u32::from(theirs).into(), u32::from(self.prefix) + 96)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => same_prefix(ours.into(), theirs.into(), self.prefix.into()),
            _ => false,
        }
    }
}

fn same_prefix(ours: u128, theirs: u128, bits: u32) -> bool {
    // A shift by all 128 bits leaves nothing to differ.
    (ours ^ theirs).checked_shr(128 - bits).unwrap_or(0) == 0
}

/// The text is not an address block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = text.split_once('/').ok_or(NotANetwork)?;
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        if prefix.is_empty() || prefix.len() > 3 || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotANetwork);
        }
        let prefix: u8 = prefix.parse().map_err(|_| NotANetwork)?;
        match address {
            IpAddr::V4(_) if prefix <= 32 => Ok(Self { address, prefix }),
            IpAddr::V6(v6) if prefix <= 128 => Ok(Self::from_v6(v6, prefix)),
            _ => Err(NotANetwork),
        }
    }
}

impl Network {
    fn from_v6(address: Ipv6Addr, prefix: u8) -> Self {
        match (address.to_ipv4_mapped(), prefix.checked_sub(96)) {
            (Some(v4), Some(prefix)) => Self { address: v4.into(), prefix },
            _ => Self { address: address.into(), prefix },
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(network: &str, address: &str) -> bool {
        network.parse::<Network>().expect("a network").contains(address.parse().expect("an address"))
    }

    #[test]
    fn blocks_hold_their_addresses() {
        assert!(within("10.0.0.0/8", "10.255.1.2"));
        assert!(!within("10.0.0.0/8", "11.0.0.0"));
        assert!(within("0.0.0.0/0", "1.2.3.4"));
        assert!(within("1.2.3.4/32", "1.2.3.4"));
        assert!(!within("1.2.3.4/32", "1.2.3.5"));
        assert!(within("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!within("2001:db8::/32", "2001:db9::1"));
        assert!(within("::/0", "::1"));
        assert!(within("::1/128", "::1"));
    }

    #[test]
    fn the_two_families_meet_only_where_one_stands_for_the_other() {
        assert!(within("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(within("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!within("::/0", "10.1.2.3"));
        assert!(!within("0.0.0.0/0", "::1"));
    }

    #[test]
    fn odd_blocks_are_refused() {
        for odd in
            ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "010.0.0.0/8", "a/8", "::/+1", "::/0x1"]
        {
            assert_eq!(odd.parse::<Network>(), Err(NotANetwork), "{odd}");
        }
    }
}
