//! What `--help` says.

/// Every flag.
pub const USAGE: &str = "\
Usage: nats-server [options]

Server options:
    -a, --addr, --net HOST           address to listen on (default 0.0.0.0)
    -p, --port PORT                  port for clients (default 4222; -1 for any free one)
    -n, --name, --server_name NAME   the server's name (default: its public key)
    -P, --pid FILE                   write the process id into FILE
    -m, --http_port PORT             port for HTTP monitoring
    -ms, --https_port PORT           port for HTTPS monitoring
    -c, --config FILE                configuration file
    -t                               check the configuration, say so, and end
    -sl, --signal CMD[=PID]          ask a running server: ldm, stop, quit, term, reopen, reload;
                                     PID may be a number, a pid file, or a prefix followed by *
        --client_advertise HOST      what clients are told to connect to
        --ports_file_dir DIR         write a file with the ports in use into DIR

Logging options:
    -l, --log FILE                   log into FILE
    -T, --logtime                    date and time on each line (default true)
        --logtime_utc                in UTC
    -s, --syslog                     log to the system's log
    -r, --remote_syslog ADDR         log to a remote one: udp://host:port, tcp://host:port, unix://path
    -D, --debug                      debug lines
    -V, --trace                      protocol lines
    -VV                              protocol lines, the system account's too
    -DV, -DVV                        both
        --log_size_limit BYTES       put the log file aside when it has grown past this
        --max_traced_msg_len BYTES   cut payloads in protocol lines

JetStream options:
    -js, --jetstream                 streams
    -sd, --store_dir DIR             where they are kept

Login options:
        --user NAME, --pass PASSWORD one user
        --auth TOKEN                 one token

TLS options (see --help_tls):
        --tls, --tlsverify, --tlscert FILE, --tlskey FILE, --tlscacert FILE

Cluster options:
        --routes URL,URL             routes to ask for
        --cluster URL                where routes come in
        --cluster_name NAME, --cluster_advertise HOST, --no_advertise, --connect_retries N

        --profile PORT               accepted; there is nothing to profile here
    -h, --help                       this text
    -v, --version                    the version

One dash or two, a blank or an equals sign, mean the same. Flags win over the file.
";

/// What can be said about TLS.
pub const TLS: &str = "\
TLS for clients, by flags or by the `tls` block of the configuration; both give the same result.

    --tls                 clients must encrypt
    --tlscert FILE        the server's certificate, with intermediates behind it (PEM)
    --tlskey FILE         its private key (PEM)
    --tlsverify           clients must show a certificate
    --tlscacert FILE      the authorities that sign them (PEM)

Versions: 1.2 and 1.3. Suites of 1.3: AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305. Suites of 1.2: ECDHE with ECDSA or
RSA and one of the same three. Key exchange: X25519MLKEM768 first, then X25519, P-256, P-384.
";
