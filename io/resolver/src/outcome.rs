use serde_json::{Map, Value};

/// What came of a request to change something, as it is answered and logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The account, `n/a` where it could not be read, empty where none is meant.
    pub account: String,
    /// What was done or tried.
    pub message: String,
    /// Why it failed.
    pub error: Option<String>,
    /// What the log should say beyond the answer.
    pub detail: Option<String>,
}

impl Outcome {
    pub(crate) fn done(account: impl Into<String>, message: impl Into<String>) -> Self {
        Self { account: account.into(), message: message.into(), error: None, detail: None }
    }

    pub(crate) fn failed(account: impl Into<String>, message: impl Into<String>, error: impl ToString) -> Self {
        Self { error: Some(error.to_string()), ..Self::done(account, message) }
    }

    /// Whether it was done.
    pub const fn is_done(&self) -> bool {
        self.error.is_none()
    }

    /// The line of the log.
    pub fn log_line(&self) -> String {
        let parts = [Some(&self.message), Some(&self.account), self.error.as_ref(), self.detail.as_ref()];
        let parts: Vec<&str> =
            parts.into_iter().flatten().filter(|part| !part.is_empty()).map(String::as_str).collect();
        parts.join(" - ")
    }

    /// The answer. `server` is the JSON object that describes this server.
    pub fn answer(&self, server: &str) -> Vec<u8> {
        let (name, body) = match &self.error {
            None => ("data", self.body(200, "message", self.message.clone())),
            Some(error) => ("error", self.body(500, "description", format!("{} - {error}", self.message))),
        };
        format!("{{\"server\":{server},\"{name}\":{}}}", Value::Object(body)).into_bytes()
    }

    fn body(&self, code: u16, name: &str, text: String) -> Map<String, Value> {
        let mut body = Map::new();
        if !self.account.is_empty() {
            body.insert("account".to_owned(), self.account.as_str().into());
        }
        body.insert("code".to_owned(), code.into());
        body.insert(name.to_owned(), text.into());
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_references_order_of_fields() {
        let text = |outcome: &Outcome| String::from_utf8(outcome.answer(r#"{"name":"n1"}"#)).expect("text");
        let done = Outcome::done("A1", "jwt updated");
        assert_eq!(
            text(&done),
            r#"{"server":{"name":"n1"},"data":{"account":"A1","code":200,"message":"jwt updated"}}"#
        );
        let failed = Outcome::failed("n/a", "jwt update resulted in error", "expected 3 chunks");
        assert_eq!(
            text(&failed),
            r#"{"server":{"name":"n1"},"error":{"account":"n/a","code":500,"description":"jwt update resulted in error - expected 3 chunks"}}"#
        );
        let nobody = Outcome::done("", "deleted 1 accounts");
        assert_eq!(text(&nobody), r#"{"server":{"name":"n1"},"data":{"code":200,"message":"deleted 1 accounts"}}"#);
    }
}
