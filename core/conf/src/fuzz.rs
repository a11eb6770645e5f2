//! The entry point of the fuzz target.

use secret::Secret;

use crate::{World, digest, parse};

/// Reads any bytes as a configuration. The text before the first NUL is the file; what follows is what `$A` and the
/// included file `a` hold, so that variables and includes are reached as well.
pub fn fuzz_parse(bytes: &[u8]) {
    let (file, other) = bytes.iter().position(|&b| b == 0).map_or((bytes, &b""[..]), |at| bytes.split_at(at));
    let other = other.get(1..).unwrap_or_default();
    let environment = |name: &str| match name {
        "A" => Some(Secret::new(String::from_utf8_lossy(other).into_owned())),
        "B" => Some(Secret::from("$A")),
        _ => None,
    };
    let read_file = |path: &str| if path == "a" { Ok(Secret::new(other.to_vec())) } else { Err("no".to_owned()) };
    let world = World::new(&environment, &read_file);
    match parse("fuzz.conf", Secret::new(file.to_vec()), &world) {
        Ok(map) => {
            let _ = digest(&map);
            assert!(map.iter().all(|(_, node)| node.depth() <= crate::MAX_DEPTH), "a tree deeper than the bound");
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "a failure without a reason");
            for error in errors {
                let _ = (error.to_string(), error.remedy(), error.place.to_string());
            }
        }
    }
}
