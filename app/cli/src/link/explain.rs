//! What a failed connection means, and what to do about it.

use std::io::ErrorKind;

use async_nats::ServerAddr;

use crate::failure::advise;
use crate::link::{Identity, without_password};

/// An error the server sent (`-ERR '…'`), with the name of its kind before it.
pub(crate) fn server_said(text: &str) -> String {
    let text = text.trim().trim_matches('\'');
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("permissions violation") {
        return format!("nats: permissions violation: {text}");
    }
    match lower.as_str() {
        "authorization violation" => "nats: Authorization Violation".to_owned(),
        "user authentication expired" => "nats: authentication expired".to_owned(),
        "user authentication revoked" => "nats: authentication revoked".to_owned(),
        "account authentication expired" => "nats: account authentication expired".to_owned(),
        "maximum connections exceeded" => "nats: maximum connections exceeded".to_owned(),
        "maximum account active connections exceeded" => "nats: maximum account active connections exceeded".to_owned(),
        _ => format!("nats: {text}"),
    }
}

/// An error the server sent in the course of a command.
pub(crate) fn server_fault(text: &str) -> anyhow::Error {
    let said = server_said(text);
    let lower = said.to_ascii_lowercase();
    if let Some(subject) = said.split('"').nth(1).filter(|_| lower.contains("permissions violation")) {
        let act = if lower.contains("for publish") { "publish to" } else { "subscribe to" };
        return advise(
            said.clone(),
            format!(
                "the user of this connection may not {act} {subject:?}: use another one (--user, --creds, --context) or ask for the permission"
            ),
        );
    }
    anyhow::anyhow!(said)
}

/// The server closed the door during the handshake.
pub(crate) fn refused(text: &str, server: &ServerAddr, identity: &Identity) -> anyhow::Error {
    let said = server_said(text);
    let place = without_password(server.as_url_str());
    let lower = said.to_ascii_lowercase();
    if lower.contains("secure connection") || lower.contains("tls required") {
        return advise(said, format!("{place} wants TLS: use tls:// in --server, and --tlsca for a private authority"));
    }
    if !lower.contains("authorization violation") && !lower.contains("authentication") {
        return anyhow::anyhow!(said).context(format!("{place} refused the connection"));
    }
    let advice = match identity.label() {
        Some(who) => format!("{place} refused {who}: check the name and its password, token, key or expiry"),
        None => format!("{place} wants to know who you are: give --user and --password, --creds, --nkey or --context"),
    };
    advise(said, advice)
}

/// No server could be reached.
pub(crate) fn unreachable(server: &ServerAddr, error: &anyhow::Error) -> anyhow::Error {
    let place = without_password(server.as_url_str());
    if let Some(tls) = tls_advice(error) {
        return advise(format!("{place}: {error:#}"), tls);
    }
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    let choose = "--server, NATS_URL or a context (nats context add) choose another server";
    let advice = match io {
        Some(ErrorKind::ConnectionRefused) => format!("nothing listens on {place}: is the server running? {choose}"),
        Some(ErrorKind::TimedOut) => {
            format!("{place} did not answer in time: is it a NATS server? --timeout waits longer; {choose}")
        }
        _ => format!("{place}: {error:#}; {choose}"),
    };
    advise("nats: no servers available for connection", advice)
}

/// What to do about an error of the TLS handshake.
fn tls_advice(error: &anyhow::Error) -> Option<String> {
    let text = format!("{error:#}");
    let advice = if text.contains("UnknownIssuer") || text.contains("CaUsedAsEndEntity") {
        "the server's certificate is from an authority this machine does not know: name its file with --tlsca"
    } else if text.contains("NotValidForName") || text.contains("not valid for name") {
        "the server's certificate is for another name: use that name in --server"
    } else if text.contains("Expired") || text.contains("expired") {
        "a certificate has expired: see nats account tls"
    } else if text.contains("CertificateRequired")
        || text.contains("BadCertificate")
        || text.contains("HandshakeFailure")
    {
        "the server wants a certificate from this client, or does not accept the one shown: --tlscert and --tlskey"
    } else if text.contains("InvalidContentType") || text.contains("corrupt message") {
        "the server does not begin with TLS: leave out --tlsfirst"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_kept() {
        assert_eq!(
            server_said("'Permissions Violation for Publish to \"billing.invoice\"'"),
            "nats: permissions violation: Permissions Violation for Publish to \"billing.invoice\""
        );
        assert_eq!(server_said("'Authorization Violation'"), "nats: Authorization Violation");
        assert_eq!(server_said("'Maximum Payload Violation'"), "nats: Maximum Payload Violation");
    }
}
