//! Files and the environment of this machine.

use bulwark_config::{World, environment, load, read_file};

#[test]
fn a_file_of_this_machine_is_read_with_what_it_includes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nats.conf");
    std::fs::write(&path, "include ./limits.conf").unwrap();
    std::fs::write(folder.path().join("limits.conf"), "max_payload: 64kb").unwrap();
    let args = ["-c".to_owned(), path.to_str().unwrap().to_owned()];
    let loaded = load(&args, World { environment: &environment, read_file: &read_file }).unwrap();
    assert_eq!(loaded.settings.limits.max_payload_bytes, Some(65536));
}

#[test]
fn what_cannot_be_read_is_told_in_the_words_operators_know() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let gone = path("gone.conf");
    assert_eq!(read_file(&gone).unwrap_err(), format!("open {gone}: no such file or directory"));
    let directory = path("");
    assert_eq!(read_file(&directory).unwrap_err(), format!("read {directory}: is a directory"));
}
