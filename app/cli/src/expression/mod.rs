//! Conditions in the expression language `expr`, as people write them behind `--expression` and `--filter`.
//!
//! The language is a guest (`expr-lang`); which names there are, and what is said about a mistake, is decided here. An
//! expression that cannot be read is refused when the command line is parsed; a name that does not exist is found when
//! the first value is looked at, and pointed at.

mod facts;
mod mistake;
mod names;

pub(crate) use facts::{of_connection, of_consumer, of_stream};

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, bail};
use expr::{Context, Environment, Program};
use serde_json::Value;

use crate::parse::duration;

/// What stands below the help of commands that take an expression.
pub(crate) const HELP: &str = "\
Expressions are conditions in the language of https://expr-lang.org: and, or, not, ==, !=, <, >, in, matches, contains, \
startsWith, endsWith, lower(text), len(list), any(list, # == 1) and more. The names are those of the JSON of a stream, \
consumer or connection. Times are texts, which can be compared; durations are nanoseconds, and duration(\"1h\") is one.";

/// A condition that was understood.
#[derive(Clone)]
pub(crate) struct Expression {
    text: String,
    program: Arc<Program>,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl FromStr for Expression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let program = expr::compile(text).map_err(|error| mistake::of_grammar(text, &error))?;
        Ok(Self { text: text.to_owned(), program: Arc::new(program) })
    }
}

impl Expression {
    /// Whether it is true of these facts: an object with the names that may be used.
    pub(crate) fn holds(&self, facts: &Value) -> Result<bool> {
        let mut context = Context::default();
        for (name, value) in facts.as_object().into_iter().flatten() {
            context.insert(name, facts::as_expr(value));
        }
        let mut words = Environment::new();
        words.add_function("duration", |call| match call.args.as_slice() {
            [expr::Value::String(text)] => Ok(nanoseconds(text).map_err(expr::Error::ExprError)?.into()),
            _ => Err(expr::Error::ExprError("duration takes one text, as in duration(\"1h\")".to_owned())),
        });
        match words.run(&self.program, &context) {
            Ok(expr::Value::Bool(answer)) => Ok(answer),
            Ok(value) => bail!("invalid expression: {:?} gives {value}, not true or false", self.text),
            Err(error) => Err(mistake::of_meaning(&self.text, facts, &error)),
        }
    }
}

/// A duration in the unit of the JSON of streams and consumers.
fn nanoseconds(text: &str) -> Result<i64, String> {
    i64::try_from(duration(text)?.as_nanos()).map_err(|_| format!("duration {text:?} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stream() -> Value {
        of_stream(&json!({
            "config": {"name": "ORDERS", "subjects": ["orders.>"], "max_age": 3_600_000_000_000_u64, "num_replicas": 3,
                "metadata": {"team": "shop"}},
            "state": {"messages": 12, "first_ts": "2026-01-02T00:00:00Z", "last_seq": u64::MAX},
            "cluster": {"name": "lon"},
        }))
    }

    #[track_caller]
    fn holds(text: &str) -> bool {
        let expression: Expression = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        expression.holds(&stream()).unwrap_or_else(|error| panic!("{text}: {error:#}"))
    }

    #[test]
    fn conditions_are_true_or_false_of_a_stream() {
        for yes in [
            "state.messages > 10",
            "Info.State.Msgs == 12 && Info.Config.Replicas == 3",
            "info.cluster.name in [\"lon\", \"sfo\"]",
            "\"orders.>\" in config.subjects",
            "lower(config.name) matches \"^ord\" and not (state.messages < 3)",
            "any(config.subjects, # startsWith \"orders\")",
            "config.max_age >= duration(\"1h\")",
            "config.metadata.team == \"shop\"",
            "state.first_ts < \"2027\"",
            "state.last_seq > 9000000000000000000",
        ] {
            assert!(holds(yes), "{yes}");
        }
        assert!(!holds("state.messages < 10"));
    }

    #[test]
    fn what_a_server_leaves_out_is_zero_or_empty() {
        assert!(holds("state.num_deleted == 0 and config.description == \"\" and not config.sealed"));
        let alone = of_stream(&json!({"config": {"name": "S"}, "state": {}}));
        let expression: Expression = "info.cluster.name == \"\" and state.messages < 1".parse().unwrap();
        assert!(expression.holds(&alone).unwrap());
    }

    #[test]
    fn consumers_and_connections_have_names_of_their_own() {
        let consumer = of_consumer(&json!({"name": "C", "config": {"ack_policy": "explicit"}, "num_pending": 4}));
        let expression: Expression =
            "state.num_pending == 4 and info.num_waiting == 0 and Info.NumPending > 3".parse().unwrap();
        assert!(expression.holds(&consumer).unwrap());
        let connection = of_connection(&json!({"cid": 7, "ip": "::1", "subscriptions": 2}), &json!({"name": "one"}));
        let expression = "conns.ip == \"::1\" and Conn.IP == conn.ip and conn.name == \"\" and Conn.NumSubs == 2 and server.name == \"one\"";
        assert!(expression.parse::<Expression>().unwrap().holds(&connection).unwrap());
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let error = "state.messages > ) 3".parse::<Expression>().unwrap_err();
        assert_eq!(error, "this is not an expression\n\n  state.messages > ) 3\n                   ^ here");
        let error = "state.messages >".parse::<Expression>().unwrap_err();
        assert_eq!(error, "the expression ends too early\n\n  state.messages >\n                  ^ here");
        let said = |text: &str| format!("{:#}", text.parse::<Expression>().unwrap().holds(&stream()).unwrap_err());
        assert_eq!(
            said("true and state.msgs > 3"),
            "invalid expression: there is no \"msgs\" in state\n\n  true and state.msgs > 3\n                 ^ here"
        );
        assert_eq!(
            said("stat.messages > 3"),
            "invalid expression: there is no \"stat\"\n\n  stat.messages > 3\n  ^ here"
        );
        assert_eq!(said("config.name > 3"), "invalid expression: Invalid operands for operator >");
        assert_eq!(said("state.messages"), "invalid expression: \"state.messages\" gives 12, not true or false");
        assert!(said("config.max_age > duration(\"soon\")").contains("invalid duration"));
    }
}
