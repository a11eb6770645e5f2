//! JSON as text with an order: enough to sort what has none and to see how it was laid out.

/// A value. What is neither list nor object is kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Json {
    Plain(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// How a document is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    OneLine,
    /// With so many blanks for each level.
    Indented(usize),
}

/// Lists in no particular order: whoever makes them walks over a map.
const UNORDERED: [&str; 6] =
    ["accounts", "account_statz", "exports", "imports", "subscriptions_list", "subscriptions_list_detail"];

impl Json {
    /// Reads a document that is nothing else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let value = value(&mut rest)?;
        rest.trim().is_empty().then_some(value)
    }

    /// The layout with which this value gives that text.
    pub(crate) fn layout_of(&self, text: &str) -> Option<Layout> {
        let layouts = [Layout::OneLine, Layout::Indented(2), Layout::Indented(3)];
        layouts.into_iter().find(|layout| self.written(*layout) == text)
    }

    /// The text in a layout.
    pub(crate) fn written(&self, layout: Layout) -> String {
        let mut out = String::new();
        self.write(&mut out, layout, 0);
        out
    }

    fn write(&self, out: &mut String, layout: Layout, depth: usize) {
        let new_line = |out: &mut String, depth: usize| {
            if let Layout::Indented(blanks) = layout {
                out.push('\n');
                out.push_str(&" ".repeat(blanks * depth));
            }
        };
        let (open, close, empty) = match self {
            Self::Plain(text) => return out.push_str(text),
            Self::List(items) => ('[', ']', items.is_empty()),
            Self::Object(members) => ('{', '}', members.is_empty()),
        };
        out.push(open);
        for (at, (name, value)) in self.parts().enumerate() {
            out.push_str(if at == 0 { "" } else { "," });
            new_line(out, depth + 1);
            if let Some(name) = name {
                out.push_str(name);
                out.push_str(if layout == Layout::OneLine { ":" } else { ": " });
            }
            value.write(out, layout, depth + 1);
        }
        if !empty {
            new_line(out, depth);
        }
        out.push(close);
    }

    fn parts(&self) -> Box<dyn Iterator<Item = (Option<&str>, &Self)> + '_> {
        match self {
            Self::Plain(_) => Box::new(std::iter::empty()),
            Self::List(items) => Box::new(items.iter().map(|item| (None, item))),
            Self::Object(members) => Box::new(members.iter().map(|(name, value)| (Some(name.as_str()), value))),
        }
    }

    /// Sorts lists that are in no order, and has a look at each number of an object.
    pub(crate) fn tidy(&mut self, number: &impl Fn(&str, u64) -> Option<String>) {
        match self {
            Self::Plain(_) => {}
            Self::List(items) => items.iter_mut().for_each(|item| item.tidy(number)),
            Self::Object(members) => {
                members.iter_mut().for_each(|(name, value)| value.tidy_member(name, number));
                // What the server itself listens to has ids that only it knows.
                let is_own = members.iter().any(|(name, value)| name == "\"cid\"" && *value == plain("\"<cid>\""));
                let sids = members.iter_mut().filter(|(name, _)| is_own && name == "\"sid\"");
                sids.for_each(|(_, value)| *value = plain("\"<sid>\""));
            }
        }
    }

    fn tidy_member(&mut self, quoted: &str, number: &impl Fn(&str, u64) -> Option<String>) {
        self.tidy(number);
        let name = quoted.trim_matches('"');
        match self {
            Self::List(items) if UNORDERED.contains(&name) => items.sort(),
            Self::Plain(text) => {
                if let Some(shown) = text.parse().ok().and_then(|count| number(name, count)) {
                    *text = format!("\"{shown}\"");
                }
            }
            _ => {}
        }
    }
}

fn plain(text: &str) -> Json {
    Json::Plain(text.to_owned())
}

fn value(rest: &mut &str) -> Option<Json> {
    *rest = rest.trim_start();
    match rest.bytes().next()? {
        b'{' => {
            let member = |rest: &mut &str| {
                let Json::Plain(name) = value(rest)? else { return None };
                *rest = rest.trim_start().strip_prefix(':')?;
                Some((name, value(rest)?))
            };
            sequence(rest, '}', member).map(Json::Object)
        }
        b'[' => sequence(rest, ']', value).map(Json::List),
        b'"' => {
            let end = 1 + closing_quote(&rest[1..])?;
            Some(Json::Plain(take(rest, end + 1)))
        }
        _ => {
            let end = rest.find([',', '}', ']', '\n', ' ']).unwrap_or(rest.len());
            (end > 0).then(|| Json::Plain(take(rest, end)))
        }
    }
}

fn sequence<T>(rest: &mut &str, close: char, item: impl Fn(&mut &str) -> Option<T>) -> Option<Vec<T>> {
    let mut items = Vec::new();
    *rest = rest.get(1..)?.trim_start();
    while !rest.starts_with(close) {
        items.push(item(rest)?);
        *rest = rest.trim_start();
        *rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.starts_with(close) => rest,
            None => return None,
        };
    }
    *rest = rest.get(1..)?;
    Some(items)
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn take(rest: &mut &str, count: usize) -> String {
    let (taken, after) = rest.split_at(count);
    *rest = after;
    taken.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_as_it_was_read() {
        for (text, layout) in [
            (r#"{"a":[1,"x\"]",{}],"b":{"c":null},"d":[]}"#, Layout::OneLine),
            ("{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}", Layout::Indented(2)),
        ] {
            let json = Json::parse(text).unwrap();
            assert_eq!(json.written(layout), text);
            assert_eq!(json.layout_of(text), Some(layout));
        }
        assert_eq!(Json::parse("{\"a\":1} x"), None);
        assert_eq!(Json::parse("{\"a\" 1}"), None);
    }

    #[test]
    fn what_has_no_order_gets_one_and_numbers_may_get_names() {
        let mut json = Json::parse(r#"{"accounts":["b","a"],"n":[2,1],"bytes":700}"#).unwrap();
        json.tidy(&|name, count| (name == "bytes" && count > 99).then(|| "<many>".to_owned()));
        assert_eq!(json.written(Layout::OneLine), r#"{"accounts":["a","b"],"n":[2,1],"bytes":"<many>"}"#);
    }
}
