//! What `--help` and `--help_tls` print.

use tls::{CipherSuite, Curve};

/// The text of `--help`.
pub fn usage() -> &'static str {
    USAGE
}

const USAGE: &str = "\
Usage: nats-server [options]

Flags take one dash or two; a value follows a space or an equals sign. They win over the configuration file.

Server:
    -a, --addr, --net HOST            interface for clients (0.0.0.0)
    -p, --port PORT                   port for clients (4222, -1 for a free one)
    -n, --name, --server_name NAME    name of the server (its public key)
    -P, --pid FILE                    write the process id to this file
    -m, --http_port PORT              HTTP port for monitoring
    -ms, --https_port PORT            HTTPS port for monitoring
    -c, --config FILE                 configuration file
    -t                                check the configuration file and end
    -sl, --signal SIGNAL[=PID]        tell a running server: ldm, stop, quit, term, reopen, reload
                                      (PID is a process id, a pid file, or the start of a process id and *)
        --client_advertise ADDRESS    address that clients and other servers are told
        --ports_file_dir DIR          write a file with all ports to this folder

Log:
    -l, --log FILE                    write to this file
        --log_format FORMAT           text or json (text)
        --log_size_limit BYTES        put the file aside when it has grown past this
    -T, --logtime                     date and time on each line (true)
        --logtime_utc                 in UTC
    -s, --syslog                      write to the system log
    -r, --remote_syslog ADDRESS       write to a remote system log (udp://localhost:514)
    -D, --debug                       debug lines
    -V, --trace                       protocol lines
    -VV                               protocol lines, the system account included
    -DV                               debug and protocol lines
    -DVV                              debug and protocol lines, the system account included
        --max_traced_msg_len BYTES    cut payloads in protocol lines

JetStream:
    -js, --jetstream                  switch JetStream on
    -sd, --store_dir DIR              folder for its files

Login:
        --user USER                   the user clients must show
        --pass PASSWORD               and its password
        --auth TOKEN                  or a token instead

TLS:
        --tls                         encrypt, without asking clients for a certificate
        --tlscert FILE                certificate of the server
        --tlskey FILE                 its key
        --tlsverify                   encrypt, and ask clients for a certificate
        --tlscacert FILE              whose certificates are taken

Cluster:
        --routes URL,URL              servers to connect to
        --cluster URL                 where other servers come in, nats://[user:password@]host:port
        --cluster_listen URL          the same
        --cluster_name NAME           name of the cluster
        --no_advertise                do not tell clients of other servers
        --cluster_advertise ADDRESS   address other servers are told
        --connect_retries COUNT       attempts to reach a server we were told of

Other:
        --profile PORT                accepted, with nothing to do here
    -h, --help                        this text
    -v, --version                     the version
        --help_tls                    cipher suites and curves
";

/// The text of `--help_tls`.
pub fn tls_usage() -> String {
    let mut text = String::from(
        "TLS is written in a tls block of the configuration file:

    tls {
        cert_file: \"./certs/server.pem\"
        key_file:  \"./certs/server-key.pem\"
        ca_file:   \"./certs/ca.pem\"
        verify:    true
    }

cipher_suites may name:
",
    );
    let mut list = |name: &str| {
        text.push_str("    ");
        text.push_str(name);
        text.push('\n');
    };
    CipherSuite::all().for_each(|suite| list(suite.name()));
    text.push_str("\ncurve_preferences may name, best first:\n");
    for curve in Curve::DEFAULT {
        text.push_str(&format!("    {}\n", curve.name()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_flag() {
        for name in crate::flags::names() {
            let (short, long) = (format!("-{name}"), format!("--{name}"));
            let words: Vec<&str> = USAGE.split([' ', ',', '\n']).collect();
            assert!(words.contains(&short.as_str()) || words.contains(&long.as_str()), "{name}");
        }
    }

    #[test]
    fn the_tls_help_names_what_can_be_had() {
        let text = tls_usage();
        for name in ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "X25519MLKEM768", "CurveP256"] {
            assert!(text.contains(name), "{name}");
        }
    }
}
