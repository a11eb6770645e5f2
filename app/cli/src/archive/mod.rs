//! Archives of what servers answered: a ZIP file whose manifest says what each entry is about.
//!
//! The layout is that of `nats audit gather`, so archives may come from there and go there. Who reads one trusts the
//! manifest, not the paths. An archive may come from anybody: each entry is read up to a bound.

mod place;
mod reader;
mod writer;

pub(crate) use place::{Kind, Place};
pub(crate) use reader::Archive;
pub(crate) use writer::Writer;

/// What stands for the cluster of a server that is in none.
pub(crate) const UNCLUSTERED: &str = "unclustered";
/// The special file with who gathered what from where.
pub(crate) const METADATA: &str = "audit_gather_metadata";
/// The special file with what was said while gathering.
pub(crate) const LOG: &str = "audit_gather_log";

const MANIFEST: &str = "capture/misc/manifest.json";

/// What an entry is about: a name like `server`, and a value like `n1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    name: String,
    value: String,
}

impl Tag {
    fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_found_by_what_it_is_about() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.zip");
        let mut writer = Writer::create(&path, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let at = |server, kind| Place::Server { cluster: "C", server, kind };
        writer.add(&at("n1", Kind::Variables), &json!({"a": 1})).unwrap();
        writer.add(&at("n1", Kind::Connections), &json!({"page": 1})).unwrap();
        writer.add(&at("n1", Kind::Connections), &json!({"page": 2})).unwrap();
        writer.add(&at("n2", Kind::Variables), &json!({"a": 2})).unwrap();
        let stream = Place::Stream { cluster: "C", server: "n2", account: "APP", stream: "S" };
        writer.add(&stream, &json!({"name": "S"})).unwrap();
        writer.add_bytes(&Place::Profile { cluster: "C", server: "n1", profile: "heap" }, b"bytes").unwrap();
        writer.add(&Place::Special { name: METADATA, extension: "json" }, &json!({"version": "x"})).unwrap();
        writer.finish().unwrap();

        let archive = Archive::open(&path).unwrap();
        assert_eq!((archive.clusters(), archive.servers("C")), (vec!["C"], vec!["n1", "n2"]));
        assert_eq!(
            (archive.accounts(), archive.streams("APP"), archive.replicas("APP", "S")),
            (vec!["APP"], vec!["S"], vec!["n2"])
        );
        assert_eq!(archive.of_server("C", "n1", Kind::Connections).unwrap(), [json!({"page": 1}), json!({"page": 2})]);
        assert_eq!(archive.of_stream("APP", "S", "n2").unwrap(), [json!({"name": "S"})]);
        assert!(archive.of_server("C", "n2", Kind::Health).unwrap().is_empty());
        assert_eq!(archive.special(METADATA).unwrap(), json!({"version": "x"}));
        let names: Vec<&str> = archive.entries().collect();
        assert!(names.contains(&"capture/clusters/C/n1/connections/0002.json"), "{names:?}");
        assert!(names.contains(&"capture/profiles/C/n1__heap.prof"), "{names:?}");
        assert!(names.contains(&"capture/accounts/APP/streams/S/replicas/C__n2/stream_info/0001.json"), "{names:?}");
    }

    #[test]
    fn names_that_would_leave_the_archive_are_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut writer = Writer::create(&folder.path().join("a.zip"), jiff::Timestamp::UNIX_EPOCH).unwrap();
        for name in ["", ".", "..", "a/b", "a\\b"] {
            let place = Place::Server { cluster: "C", server: name, kind: Kind::Variables };
            assert!(writer.add(&place, &json!({})).is_err(), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_archive_is_said() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.zip");
        std::fs::write(&path, "not a ZIP file").unwrap();
        assert!(format!("{:#}", Archive::open(&path).unwrap_err()).contains("is not an archive of nats audit gather"));
        assert!(Archive::open(&folder.path().join("nothing")).is_err());
    }
}
