//! The command line.

use bulwark_config::Action;

use crate::start;

fn action(line: &[&str]) -> Action {
    start(line, &[]).unwrap_or_else(|wrong| panic!("{line:?}: {wrong}")).action
}

fn wrong(line: &[&str], files: crate::Files<'_>) -> (String, bool, i32) {
    let wrong = start(line, files).unwrap_err();
    (wrong.to_string(), wrong.is_usage, wrong.exit_code())
}

#[test]
fn without_words_the_defaults_serve() {
    let loaded = start(&[], &[]).unwrap();
    assert_eq!(loaded.action, Action::Run);
    assert_eq!((loaded.digest, loaded.config_file), (None, None));
    assert_eq!(loaded.settings.clients.port.number(), 4222);
    assert_eq!(loaded.settings.clients.host, "0.0.0.0");
}

#[test]
fn version_help_and_signal_come_before_the_file() {
    assert_eq!(action(&["-v", "-c", "gone"]), Action::Version);
    assert_eq!(action(&["--help", "--version"]), Action::Version);
    assert_eq!(action(&["-h"]), Action::Help);
    assert_eq!(action(&["version"]), Action::Version);
    assert_eq!(action(&["--help_tls"]), Action::HelpTls);
    let signal = |command: &str, target: &str| Action::Signal { command: command.into(), target: target.into() };
    assert_eq!(action(&["--signal", "reload"]), signal("reload", ""));
    assert_eq!(action(&["-sl", "stop=/run/nats.pid", "-c", "gone"]), signal("stop", "/run/nats.pid"));
    assert_eq!(wrong(&["-sl", "a=b=c=d"], &[]), ("invalid signal parameters: [c d]\n".to_owned(), false, 1));
}

#[test]
fn a_file_is_checked_and_its_digest_told() {
    let files: &[(&str, &str)] =
        &[("t.conf", "port: 4222"), ("empty.conf", "# nothing\n"), ("warn.conf", "ping_interval: 5")];
    let digest = "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e";
    let loaded = start(&["-t", "-c", "t.conf"], files).unwrap();
    assert_eq!(loaded.action, Action::Test(format!("nats-server: configuration file t.conf is valid ({digest})")));
    assert_eq!(loaded.digest.as_deref(), Some(digest));
    let without_file = "must specify [-c, --config] option to check configuration file syntax\n";
    assert_eq!(wrong(&["-t"], files), (without_file.to_owned(), false, 1));
    let gone = "open gone.conf: no such file or directory\n";
    assert_eq!(wrong(&["-c", "gone.conf"], files), (gone.to_owned(), false, 1));
    let empty = "empty.conf: config has no values or is empty\n";
    assert_eq!(wrong(&["-t", "-c", "empty.conf"], files), (empty.to_owned(), false, 1));
    let loaded = start(&["-c", "empty.conf"], files).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "without the check a warning does not stop the server");
    assert!(start(&["-t", "-c", "warn.conf"], files).is_err());
    assert!(start(&["-c", "warn.conf"], files).is_ok());
}

#[test]
fn flags_win_over_the_file_and_are_read_by_the_same_code() {
    let files: &[(&str, &str)] = &[(
        "t.conf",
        "port: 1\nlisten: \"127.0.0.1:2\"\ndebug: true\nlogtime: false\nstore_dir: a\nhttp: \"10.0.0.1:3\"\nauthorization { token: x }",
    )];
    let loaded =
        start(&["-c", "t.conf", "-p", "5", "-D=false", "-sd", "b", "-m", "8222", "-n", "N", "-VV"], files).unwrap();
    let settings = loaded.settings;
    assert_eq!((settings.clients.host.as_str(), settings.clients.port.number()), ("127.0.0.1", 5));
    assert_eq!((settings.logging.debug, settings.logging.time), (false, false));
    assert!(settings.logging.trace && settings.logging.trace_verbose);
    assert_eq!(settings.jetstream.store_dir, Some("b".into()));
    assert_eq!(settings.monitoring.host.as_deref(), Some("10.0.0.1"));
    assert_eq!(settings.monitoring.http_port.unwrap().number(), 8222);
    assert_eq!(settings.identity.server_name.as_deref(), Some("N"));
    assert!(settings.auth.authorization.token.unwrap().is(b"x"));
}

#[test]
fn a_mistake_in_a_flag_bears_its_name() {
    assert_eq!(wrong(&["-p", "70000"], &[]).0, "-p: port 70000 is not in the range of -1 to 65535\n");
    assert_eq!(wrong(&["--name", "a b"], &[]).0, "--name: server name cannot contain spaces\n");
    let files: &[(&str, &str)] = &[("t.conf", "authorization { users: [{user: a}] }")];
    let line = ["-c", "t.conf", "--user", "b", "--pass", "c"];
    assert_eq!(wrong(&line, files).0, "--user: Can not have a single user/pass and a users array\n");
    let usage = wrong(&["--nope"], &[]);
    assert_eq!(usage, ("flag provided but not defined: -nope\n".to_owned(), true, 0));
    assert_eq!(wrong(&["run"], &[]), ("unrecognized command: \"run\"\n".to_owned(), false, 1));
}

#[test]
fn tls_flags_replace_the_block_of_the_file() {
    let files: &[(&str, &str)] = &[("t.conf", "tls { cert_file: c, key_file: k, verify: true, ca_file: a }")];
    let tls = |line: &[&str]| start(&[&["-c", "t.conf"], line].concat(), files).unwrap().settings.tls;
    assert!(tls(&[]).unwrap().verify);
    assert_eq!(tls(&["--tls=false"]), None);
    let block = tls(&["--tls", "--tlscert", "x", "--tlskey", "y"]).unwrap();
    assert!(!block.verify && block.ca_file.is_none());
    assert_eq!(block.certificates[0].cert_file.to_str(), Some("x"));
    assert_eq!(wrong(&["--tls"], &[]).0, "TLS Server certificate must be present and valid\n");
}

#[test]
fn cluster_flags_open_change_and_close_the_listener() {
    let files: &[(&str, &str)] =
        &[("t.conf", "cluster { name: c, port: 1, authorization { user: a, password: b }, routes: [\"nats://h:1\"] }")];
    let cluster = |line: &[&str]| start(&[&["-c", "t.conf"], line].concat(), files).unwrap().settings.cluster;
    let changed = cluster(&["--cluster", "nats://h:-1", "--routes", "nats://i:2, nats://j:3"]);
    assert_eq!((changed.listen.host.as_str(), changed.listen.port.unwrap().number()), ("h", 0));
    assert_eq!(changed.login.user, None, "the login goes with the listener of the file");
    assert_eq!(changed.routes.len(), 2);
    assert_eq!(cluster(&["--cluster_name", "d", "--no_advertise"]).name.as_deref(), Some("d"));
    assert_eq!(cluster(&["--routes", "", "--cluster", ""]).listen.port, None);
    let login = cluster(&["--cluster", "nats://x:y@h:1"]).login;
    assert!(login.user.as_deref() == Some("x") && login.password.unwrap().is(b"y"));
    let alone = wrong(&["--routes", "nats://h:1"], &[]).0;
    assert_eq!(alone, "solicited routes require cluster capabilities, e.g. --cluster\n");
}
