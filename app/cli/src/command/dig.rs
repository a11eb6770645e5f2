//! Reading answers whose shape belongs to somebody else: what is missing reads as empty.

use serde_json::Value;

static NOTHING: Value = Value::Null;

/// Values at a path of names joined by dots.
pub(crate) trait Dig {
    fn dig(&self, path: &str) -> &Value;

    fn text(&self, path: &str) -> &str {
        self.dig(path).as_str().unwrap_or_default()
    }

    fn whole(&self, path: &str) -> u64 {
        let value = self.dig(path);
        value.as_u64().or_else(|| value.as_f64().map(|number| number.max(0.0) as u64)).unwrap_or(0)
    }

    fn signed(&self, path: &str) -> i64 {
        let value = self.dig(path);
        value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)).unwrap_or(0)
    }

    fn number(&self, path: &str) -> f64 {
        self.dig(path).as_f64().unwrap_or(0.0)
    }

    fn flag(&self, path: &str) -> bool {
        self.dig(path).as_bool().unwrap_or(false)
    }

    fn list(&self, path: &str) -> &[Value] {
        self.dig(path).as_array().map_or(&[], Vec::as_slice)
    }

    fn texts(&self, path: &str) -> Vec<String> {
        self.list(path).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// A point in time; nothing when it is missing or before the year 1.
    fn time(&self, path: &str) -> Option<jiff::Timestamp> {
        let text = self.text(path);
        if text.starts_with("0001-01-01") { None } else { text.parse().ok() }
    }

    /// A duration in nanoseconds.
    fn span(&self, path: &str) -> std::time::Duration {
        std::time::Duration::from_nanos(self.whole(path))
    }

    fn has(&self, path: &str) -> bool {
        !self.dig(path).is_null()
    }
}

impl Dig for Value {
    fn dig(&self, path: &str) -> &Value {
        path.split('.').try_fold(self, |value, name| value.get(name)).unwrap_or(&NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_reads_as_empty() {
        let value = json!({"a": {"b": 7, "t": "x", "l": ["p", 1]}, "z": "0001-01-01T00:00:00Z"});
        assert_eq!((value.whole("a.b"), value.text("a.t"), value.whole("a.c.d")), (7, "x", 0));
        assert_eq!(value.texts("a.l"), ["p"]);
        assert!(value.time("z").is_none() && !value.has("q") && value.has("a.b"));
    }
}
