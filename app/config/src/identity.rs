//! Who the server says it is.

use std::collections::BTreeMap;

use conf::{Node, Value};

use crate::report::Report;

/// Name, tags and other things others are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name; the server's public key if absent.
    pub server_name: Option<String>,
    /// Words for placement and requests: trimmed, in lower case, each once.
    pub tags: Vec<String>,
    /// Anything else.
    pub metadata: BTreeMap<String, String>,
    /// Switches of the reference server, shown in monitoring.
    pub feature_flags: BTreeMap<String, bool>,
}

pub(crate) const KEYS: &[&str] = &["server_name", "server_tags", "server_metadata", "feature_flags"];

impl Identity {
    /// Reads one key; false when it is not one of ours.
    pub(crate) fn read(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "server_name" => self.read_name(node, report),
            "server_tags" => self.read_tags(node, report),
            "server_metadata" => self.read_metadata(node, report),
            "feature_flags" => self.read_flags(node, report),
            _ => return false,
        }
        true
    }

    fn read_name(&mut self, node: &Node, report: &mut Report<'_>) {
        let mut name = None;
        report.set_optional_text(node, &mut name);
        // The name is part of protocol lines between servers.
        if name.as_ref().is_some_and(|name| name.contains(|c: char| c.is_whitespace() || c.is_control())) {
            return report.error(&node.place, "server name cannot contain spaces");
        }
        self.server_name = name.or(self.server_name.take());
    }

    fn read_tags(&mut self, node: &Node, report: &mut Report<'_>) {
        for tag in report.strings("tags", node).unwrap_or_default() {
            let tag = tag.trim().to_lowercase();
            if !tag.is_empty() && !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
    }

    fn read_metadata(&mut self, node: &Node, report: &mut Report<'_>) {
        let Value::Map(map) = &node.value else {
            let kind = node.kind().go_type();
            return report.error(&node.place, format!("error parsing metadata: unsupported type {kind}"));
        };
        for (key, value) in map.iter() {
            if let Some(text) = report.text(value) {
                self.metadata.insert(key.to_owned(), text.to_owned());
            }
        }
    }

    fn read_flags(&mut self, node: &Node, report: &mut Report<'_>) {
        let Value::Map(map) = &node.value else {
            let kind = node.kind().go_type();
            return report.error(&node.place, format!("error parsing feature flags: unsupported type {kind}"));
        };
        for (key, value) in map.iter() {
            match value.as_bool() {
                Some(truth) => {
                    self.feature_flags.insert(key.to_owned(), truth);
                }
                None => {
                    let kind = value.kind().go_type();
                    let text = format!("error parsing feature flag {key:?}: expected bool, got {kind}");
                    report.error(&value.place, text);
                }
            }
        }
    }
}
