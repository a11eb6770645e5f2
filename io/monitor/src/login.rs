//! What a visitor shows to log in: `Authorization: Basic`, with a user and a password.

use data_encoding::BASE64;
use hyper::header::HeaderValue;
use secret::Secret;

/// The longest login that is read.
const LOGIN_BYTES_MAX: usize = 1024;

/// A user and a password.
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: Secret<String>,
}

/// The login that a header shows, if it is one.
pub(crate) fn read(header: Option<&HeaderValue>) -> Option<Login> {
    let text = header?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > LOGIN_BYTES_MAX {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded.trim().as_bytes()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(Login { user: user.to_owned(), password: Secret::new(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<(String, String)> {
        let login = read(Some(&HeaderValue::from_str(text).unwrap()))?;
        Some((login.user, login.password.expose().clone()))
    }

    #[test]
    fn a_login_is_a_user_and_a_password_that_may_hold_anything() {
        let encoded = |text: &str| format!("Basic {}", BASE64.encode(text.as_bytes()));
        assert_eq!(shown(&encoded("sys:a:b")), Some(("sys".into(), "a:b".into())));
        assert_eq!(shown(&encoded("sys:").replace("Basic", "basic")), Some(("sys".into(), String::new())));
        for wrong in
            [encoded("sys"), "Basic".into(), "Basic %%".into(), "Bearer c3lzOmE=".into(), encoded(&"x".repeat(2_000))]
        {
            assert_eq!(shown(&wrong), None, "{wrong}");
        }
        assert!(read(None).is_none());
    }
}
