//! Servers that are known by their certificates.

use crate::attempt::{Attempt, CertificateName, UserLabel};
use crate::directory::{Directory, User};
use crate::settings::KnownPeers;
use crate::verdict::{Admission, Proof, Refusal};

/// A server whose certificate names a configured host, or the user of the listener. What it says of itself counts for
/// nothing here.
pub(crate) fn by_known_peer(
    directory: &Directory,
    peers: &KnownPeers,
    attempt: &Attempt,
) -> Result<Admission, Refusal> {
    let names = attempt.certificate.as_ref().ok_or(Refusal::CertificateMissing)?;
    if !names.iter().any(|name| peers.know(name)) {
        return Err(Refusal::CertificateUnknown(names.iter().map(CertificateName::text).collect()));
    }
    let label = peers.user.as_deref().map_or(UserLabel::Unknown, User::label);
    Ok(Admission::new(directory.accounts().global().clone(), directory.plain.clone(), label, Proof::Certificate))
}

impl KnownPeers {
    /// Whether one of the names in a certificate makes its holder a known server.
    pub fn know(&self, name: &CertificateName) -> bool {
        let is_host = matches!(name, CertificateName::Dns(dns) if self.hosts.iter().any(|host| covers_host(dns, host)));
        is_host || self.user.as_ref().is_some_and(|user| *user == name.text())
    }
}

/// Whether a DNS name of a certificate is this host, label by label. A star stands for the first label, one label exactly.
fn covers_host(dns_name: &str, host: &str) -> bool {
    let (name, host): (Vec<&str>, Vec<&str>) = (dns_name.split('.').collect(), host.split('.').collect());
    let same = |(at, (label, wanted)): (usize, (&&str, &&str))| {
        (at == 0 && *label == "*") || label.eq_ignore_ascii_case(wanted)
    };
    name.len() == host.len() && name.iter().zip(&host).enumerate().all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_host_is_covered_label_by_label() {
        for (name, host) in [("a.b.c", "a.b.c"), ("A.b.C", "a.B.c"), ("*.b.c", "x.b.c"), ("localhost", "localhost")] {
            assert!(covers_host(name, host), "{name} {host}");
        }
        for (name, host) in [("*.b.c", "b.c"), ("*.b.c", "x.y.b.c"), ("a.*.c", "a.b.c"), ("a.b", "a.b.c"), ("", "a")] {
            assert!(!covers_host(name, host), "{name} {host}");
        }
    }

    #[test]
    fn only_dns_names_are_hosts_and_any_name_may_be_the_user() {
        let peers = |hosts: &[&str], user: Option<&str>| KnownPeers {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            user: user.map(str::to_owned),
        };
        let (dns, email) = (CertificateName::Dns("n1.east".into()), CertificateName::Email("n1.east".into()));
        let (uri, subject) = (CertificateName::Uri("spiffe://n1".into()), CertificateName::Subject("CN=n1".into()));
        assert!(peers(&["n2.east", "n1.east"], None).know(&dns));
        assert!(!peers(&["n1.east"], None).know(&email));
        assert!(!peers(&["n2.east"], None).know(&dns));
        for (user, name) in [("n1.east", &dns), ("n1.east", &email), ("spiffe://n1", &uri), ("CN=n1", &subject)] {
            assert!(peers(&[], Some(user)).know(name), "{user}");
            assert!(!peers(&[], Some("CN=n2")).know(name), "{user}");
            assert!(!peers(&[], None).know(name), "{user}");
        }
    }
}
