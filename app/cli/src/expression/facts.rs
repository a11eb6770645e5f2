//! What an expression may ask about: the JSON of a stream, consumer or connection, with nothing left out.

use serde_json::{Value, json};

use crate::expression::names::in_go;

/// What servers leave out when it is zero, empty or false.
const LEFT_OUT: &str = include_str!("left_out.json");

/// What may be asked about a stream: `config`, `state`, `info`, and `Info` with Go names.
pub(crate) fn of_stream(info: &Value) -> Value {
    let info = completed("stream", info);
    json!({"config": info["config"], "state": info["state"], "Info": in_go(&info), "info": info})
}

/// What may be asked about a consumer: `config`, `state` and `info`, which are the same, and `Info` with Go names.
pub(crate) fn of_consumer(info: &Value) -> Value {
    let info = completed("consumer", info);
    json!({"config": info["config"], "state": info, "Info": in_go(&info), "info": info})
}

/// What may be asked about a connection: `conn` and `server`, and both with Go names.
pub(crate) fn of_connection(connection: &Value, server: &Value) -> Value {
    let (connection, server) = (completed("connection", connection), completed("server", server));
    let (go_connection, go_server) = (in_go(&connection), in_go(&server));
    json!({
        "conn": connection, "conns": connection, "Conn": go_connection, "Conns": go_connection,
        "server": server, "Server": go_server,
    })
}

fn completed(kind: &str, value: &Value) -> Value {
    let left_out: Value = serde_json::from_str(LEFT_OUT).expect("left_out.json is JSON");
    let mut whole = left_out[kind].clone();
    lay_over(&mut whole, value);
    whole
}

/// Puts what is there over what would be left out.
fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                lay_over(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

/// A JSON value as the language knows it. Whole numbers it has no room for become floating.
pub(super) fn as_expr(value: &Value) -> expr::Value {
    match value {
        Value::Null => expr::Value::Nil,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or(f64::INFINITY).into(),
        },
        Value::String(text) => text.into(),
        Value::Array(values) => values.iter().map(as_expr).collect::<Vec<_>>().into(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name, as_expr(value))).collect(),
    }
}
