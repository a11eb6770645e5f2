//! The language, line by line. Expected texts and digests were taken from the reference server.

mod bounds;
mod digest;
mod grammar;
mod includes;
mod mistakes;
mod places;
mod variables;

use bulwark_conf::{Error, Map, Value, World, parse};
use secret::Secret;

/// Files and environment of a scene.
#[derive(Default)]
pub(crate) struct Scene<'a> {
    pub(crate) files: &'a [(&'a str, &'a str)],
    pub(crate) environment: &'a [(&'a str, &'a str)],
}

impl Scene<'_> {
    pub(crate) fn parse(&self, text: &str) -> Result<Map, Vec<Error>> {
        let environment = |name: &str| find(self.environment, name).map(Secret::from);
        let read_file = |path: &str| match find(self.files, path) {
            Some(text) => Ok(Secret::new(text.as_bytes().to_vec())),
            None => Err(format!("open {path}: no such file or directory")),
        };
        parse("nats.conf", Secret::new(text.as_bytes().to_vec()), &World::new(&environment, &read_file))
    }

    pub(crate) fn tree(&self, text: &str) -> Map {
        self.parse(text).unwrap_or_else(|errors| panic!("{text:?} should parse: {errors:?}"))
    }

    pub(crate) fn errors(&self, text: &str) -> Vec<String> {
        let errors = self.parse(text).err().unwrap_or_else(|| panic!("{text:?} should not parse"));
        errors.iter().map(ToString::to_string).collect()
    }
}

fn find<'a>(pairs: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| *key == name).map(|&(_, value)| value)
}

pub(crate) fn tree(text: &str) -> Map {
    Scene::default().tree(text)
}

/// The value of `x`.
pub(crate) fn x(text: &str) -> Value {
    tree(text).get("x").unwrap_or_else(|| panic!("no x in {text:?}")).value.clone()
}

/// The text of `x`.
pub(crate) fn x_text(text: &str) -> String {
    match x(text) {
        Value::String(text) => text.as_str().to_owned(),
        other => panic!("{text:?} gives {other:?}"),
    }
}

pub(crate) fn json(text: &str) -> String {
    bulwark_conf::to_json(&tree(text)).to_string()
}
