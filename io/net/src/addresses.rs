//! The addresses of this machine, for a listener on all of them.

use std::net::IpAddr;

/// Addresses that are told to others at most.
const TOLD_MAX: usize = 64;

/// Where others may reach this machine, interface by interface. Neither loopback nor link-local addresses: what they mean
/// elsewhere is something else.
pub fn own_addresses() -> Vec<IpAddr> {
    let mut interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.sort_by_key(|interface| interface.index);
    interfaces.iter().map(if_addrs::Interface::ip).filter(means_the_same_elsewhere).take(TOLD_MAX).collect()
}

fn means_the_same_elsewhere(address: &IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(is_link_local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_mean_the_same_elsewhere_are_told() {
        let told = |text: &str| means_the_same_elsewhere(&text.parse().unwrap());
        assert!(told("192.0.2.2") && told("10.0.0.1") && told("fd00::2") && told("2001:db8::1"));
        for own in
            ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"]
        {
            assert!(!told(own), "{own}");
        }
    }

    #[test]
    fn whatever_this_machine_has_is_of_that_kind() {
        assert!(own_addresses().iter().all(means_the_same_elsewhere));
    }
}
