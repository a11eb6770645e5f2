//! Command line options. Hand written to avoid dependencies.

use crate::auth::Login;
use rustls::ClientConfig;
use std::sync::Arc;

/// Host and port.
pub type Addr = (String, u16);

#[derive(Clone)]
pub struct Opts {
    pub scenario: String,
    pub addr: Addr,
    pub sub_addr: Option<Addr>,
    pub user: Option<String>,
    pub pass: Option<String>,
    pub sub_user: Option<String>,
    pub sub_pass: Option<String>,
    pub token: Option<String>,
    pub login: Option<Arc<Login>>,
    pub tls: Option<Arc<ClientConfig>>,
    pub tls_first: bool,
    pub websocket: Option<u16>,
    pub tls_name: Option<String>,
    pub size: usize,
    pub count: u64,
    pub duration: f64,
    pub pubs: usize,
    pub subs: usize,
    pub groups: usize,
    pub subject: String,
    pub inflight: usize,
    pub window_bytes: usize,
    pub batch_bytes: usize,
    pub pub_threads: usize,
    pub sub_threads: usize,
    pub total_subs: usize,
    pub hot: usize,
    pub conns: usize,
    pub sub_each: bool,
    pub hold: f64,
    pub crowd: usize,
    pub stream: String,
    pub storage: String,
    pub headers: bool,
    pub server_pids: Vec<i32>,
    pub json: bool,
    pub label: String,
    pub timeout: f64,
}

pub const USAGE: &str = "\
natsload <scenario> [flags]

scenarios
  pub       publishers only, no interest; PING/PONG at the end confirms receipt
  pubsub    N publishers -> N subscribers, pair i on its own subject (use --pubs/--subs)
  fanout    --pubs publishers -> one subject -> --subs subscribers
  queue     --pubs publishers -> one queue group of --subs members (see --groups)
  reqrep    --pubs requesters, --subs responders, --inflight requests each
  wild      --total-subs literal+wildcard subscriptions, publish at random to them
  idle      open --conns idle connections, report server RSS per connection
  connrate  connect + CONNECT + PING/PONG + close per second
  js-pub    JetStream publish with acks, --inflight window
  js-consume   the same, --count messages, then an ordered consumer reads them: that is what is measured
  js-fill   the same over --total-subs subjects, and the stream stays
  mint DIR  write keys, JWTs and a creds file for tests, print the server configuration (no flags)

flags
  --url nats://[user:pass@]host:port   (default nats://127.0.0.1:4222)
  --sub-url nats://host:port           another server for subscribers and responders
  --user U --pass P | --token T
  --sub-user U --sub-pass P            another login for subscribers and responders
                        a * in a user or password is the number of the connection, from 0
  --creds FILE | --nkey SEEDFILE       sign the nonce of the server
  --tls                 TLS after INFO (also by --url tls://... and by every flag below)
  --tls-first           TLS before INFO
  --tls-ca FILE         trusted certificates (default: those of the system)
  --tls-cert FILE --tls-key FILE       client certificate
  --tls-name NAME       name expected in the server certificate (default: the host)
  --websocket N         over WebSocket (and TLS before it, if asked for), at the port N above that of the URL
  --size BYTES          payload size, at least 16 (default 128)
  --duration SECS       publish for this long (default 2)
  --count N             stop after N messages in total (0 = duration only)
  --pubs N --subs N     number of connections (default 1, 1)
  --pub-threads N --sub-threads N      client threads (default 1, 1)
  --subject S           subject root (default 'bench')
  --groups N            queue: number of queue groups (default 1)
  --inflight N          reqrep / js-pub: outstanding requests per connection (default 1)
  --window-bytes N      cap on bytes published but not yet delivered (default 8 MiB)
  --batch-bytes N       bytes per publisher write (default 64 KiB)
  --headers             publish with HPUB
  --total-subs N        wild: subscriptions (default 100000)
  --hot N               wild: publish only to the first N subscriptions (0 = all)
  --conns N             idle: connections; connrate: 0 = until --duration
  --sub-each            idle: one subscription on every connection
  --hold SECS           idle: hold time before measuring (default 1)
  --crowd N             so many strangers with half handshakes and garbage stay meanwhile
  --stream NAME --storage file|memory  js-pub (default LOAD, file)
  --server-pid PID,...  read CPU, RSS and context switches of the server (of several: their sum)
  --timeout SECS        give up if nothing is received for this long (default 10)
  --label TEXT          copied to the output
  --json                one line of JSON
";

impl Opts {
    pub fn parse() -> Result<Opts, String> {
        let mut a = std::env::args().skip(1);
        let scenario = a.next().ok_or_else(|| USAGE.to_string())?;
        if scenario == "-h" || scenario == "--help" {
            return Err(USAGE.to_string());
        }
        let mut o = Opts {
            scenario,
            addr: ("127.0.0.1".into(), 4222),
            sub_addr: None,
            user: None,
            pass: None,
            sub_user: None,
            sub_pass: None,
            token: None,
            login: None,
            tls: None,
            tls_first: false,
            websocket: None,
            tls_name: None,
            size: 128,
            count: 0,
            duration: 2.0,
            pubs: 1,
            subs: 1,
            groups: 1,
            subject: "bench".into(),
            inflight: 1,
            window_bytes: 8 << 20,
            batch_bytes: 64 << 10,
            pub_threads: 1,
            sub_threads: 1,
            total_subs: 100_000,
            hot: 0,
            conns: 0,
            sub_each: false,
            hold: 1.0,
            crowd: 0,
            stream: "LOAD".into(),
            storage: "file".into(),
            headers: false,
            server_pids: Vec::new(),
            json: false,
            label: String::new(),
            timeout: 10.0,
        };
        let (mut tls, mut ca, mut cert, mut key) = (false, None, None, None);
        while let Some(k) = a.next() {
            tls |= k.starts_with("--tls");
            let mut val = || a.next().ok_or(format!("{k} needs a value"));
            fn num<T: std::str::FromStr>(k: &str, v: String) -> Result<T, String> {
                v.replace('_', "").parse().map_err(|_| format!("bad value for {k}: {v}"))
            }
            match k.as_str() {
                "--url" => {
                    let u = val()?;
                    tls |= u.starts_with("tls://");
                    o.addr = o.set_url(&u)?;
                }
                "--sub-url" => o.sub_addr = Some(o.set_url(&val()?)?),
                "--creds" | "--nkey" => o.login = Some(Arc::new(Login::from_file(&val()?)?)),
                "--tls" => {}
                "--tls-first" => o.tls_first = true,
                "--websocket" => o.websocket = Some(num(&k, val()?)?),
                "--tls-ca" => ca = Some(val()?),
                "--tls-cert" => cert = Some(val()?),
                "--tls-key" => key = Some(val()?),
                "--tls-name" => o.tls_name = Some(val()?),
                "--user" => o.user = Some(val()?),
                "--pass" => o.pass = Some(val()?),
                "--sub-user" => o.sub_user = Some(val()?),
                "--sub-pass" => o.sub_pass = Some(val()?),
                "--token" => o.token = Some(val()?),
                "--size" => o.size = num(&k, val()?)?,
                "--count" => o.count = num(&k, val()?)?,
                "--duration" => o.duration = num(&k, val()?)?,
                "--pubs" => o.pubs = num(&k, val()?)?,
                "--subs" => o.subs = num(&k, val()?)?,
                "--groups" => o.groups = num(&k, val()?)?,
                "--subject" => o.subject = val()?,
                "--inflight" => o.inflight = num(&k, val()?)?,
                "--window-bytes" => o.window_bytes = num(&k, val()?)?,
                "--batch-bytes" => o.batch_bytes = num(&k, val()?)?,
                "--pub-threads" => o.pub_threads = num(&k, val()?)?,
                "--sub-threads" => o.sub_threads = num(&k, val()?)?,
                "--total-subs" => o.total_subs = num(&k, val()?)?,
                "--hot" => o.hot = num(&k, val()?)?,
                "--conns" => o.conns = num(&k, val()?)?,
                "--sub-each" => o.sub_each = true,
                "--crowd" => o.crowd = num(&k, val()?)?,
                "--hold" => o.hold = num(&k, val()?)?,
                "--stream" => o.stream = val()?,
                "--storage" => o.storage = val()?,
                "--headers" => o.headers = true,
                "--server-pid" => {
                    o.server_pids = val()?.split(',').map(|p| num(&k, p.into())).collect::<Result<_, _>>()?
                }
                "--json" => o.json = true,
                "--label" => o.label = val()?,
                "--timeout" => o.timeout = num(&k, val()?)?,
                _ => return Err(format!("unknown flag {k}\n\n{USAGE}")),
            }
        }
        if o.size < 16 {
            return Err("--size must be at least 16 (sequence + publisher id + check)".into());
        }
        if tls {
            o.tls = Some(crate::tls::config(ca.as_deref(), cert.as_deref(), key.as_deref())?);
        }
        Ok(o)
    }

    fn set_url(&mut self, u: &str) -> Result<Addr, String> {
        let s = u.split_once("://").map_or(u, |x| x.1);
        let (cred, hp) = match s.rsplit_once('@') {
            Some((c, h)) => (Some(c), h),
            None => (None, s),
        };
        if let Some(c) = cred {
            match c.split_once(':') {
                Some((u, p)) => {
                    self.user = Some(u.into());
                    self.pass = Some(p.into());
                }
                None => self.token = Some(c.into()),
            }
        }
        match hp.rsplit_once(':') {
            Some((h, p)) => Ok((h.into(), p.parse().map_err(|_| "bad port".to_string())?)),
            None => Ok((hp.into(), 4222)),
        }
    }
}
