//! Many accounts of one operator in a directory, and users who log in to them.
//!
//! Keys follow from numbers, so nothing has to be kept between writing the accounts and logging in to them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use nkeys::{KeyPair, Role, Secret};

use crate::auth::jwt;
use crate::procstat::{cpu_ns, snap};

/// Who logs in at once.
const AT_ONCE: usize = 8;
/// The longest a login may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub const USAGE: &str = "\
natsload accounts mint DIR COUNT           an operator, COUNT accounts under DIR/jwt, DIR/accounts.conf
natsload accounts login HOST:PORT PID FIRST COUNT
                                           one login to each of so many accounts; CPU and memory of the server";

fn key(role: Role, number: usize) -> KeyPair {
    let seed = digest(&SHA256, format!("{role} {number}").as_bytes());
    KeyPair::from_raw_seed(role, Secret::new(seed.as_ref().try_into().expect("SHA-256 makes 32 bytes")))
}

pub fn run(words: &[&str]) -> Result<(), String> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text} is no number"));
    match words {
        ["mint", dir, count] => mint(Path::new(dir), number(count)?).map_err(|error| format!("{dir}: {error}")),
        ["login", address, pid, first, count] => {
            let pid = pid.parse().map_err(|_| format!("{pid} is no process"))?;
            println!("{}", login_all(address, pid, number(first)?, number(count)?)?);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn mint(dir: &Path, count: usize) -> io::Result<()> {
    let tokens = dir.join("jwt");
    fs::create_dir_all(&tokens)?;
    let operator = key(Role::Operator, 0);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let write = || {
            while let number @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                && number < count
            {
                let account = key(Role::Account, number);
                let token = jwt(&operator, &account, &format!("account {number}"), ACCOUNT);
                fs::write(tokens.join(format!("{}.jwt", account.public())), token)?;
            }
            io::Result::Ok(())
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(write)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("writing does not panic"))
    })?;
    fs::write(dir.join("operator.jwt"), jwt(&operator, &operator, "operator", "\"type\":\"operator\""))?;
    let config = format!(
        "operator: '{}'\nsystem_account: {}\nresolver {{ type: full, dir: '{}' }}\n",
        dir.join("operator.jwt").display(),
        key(Role::Account, 0).public(),
        tokens.display()
    );
    fs::write(dir.join("accounts.conf"), config)
}

const ACCOUNT: &str = "\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\"wildcards\":true,\
    \"conn\":-1,\"leaf\":-1},\"type\":\"account\"";
const USER: &str = "\"pub\":{},\"sub\":{},\"subs\":-1,\"data\":-1,\"payload\":-1,\"type\":\"user\"";

fn login_all(address: &str, pid: i32, first: usize, count: usize) -> Result<String, String> {
    let user = key(Role::User, 0);
    let tokens: Vec<String> =
        (first..first + count).map(|number| jwt(&key(Role::Account, number), &user, "joe", USER)).collect();
    let (next, admitted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let failure = Mutex::new(None);
    let (before, cpu, begun) = (snap(&[pid]).rss, cpu_ns(pid), Instant::now());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(token) = tokens.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match login(address, token, &user) {
                        Ok(true) => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                        Ok(false) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => *failure.lock().expect("no thread panics with the lock") = Some(error),
                    }
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().expect("all threads have ended") {
        return Err(error.to_string());
    }
    let logins = count.max(1);
    Ok(format!(
        "{{\"admitted\":{},\"refused\":{},\"ms_each\":{:.3},\"cpu_us_each\":{:.1},\"rss_bytes_each\":{}}}",
        admitted.into_inner(),
        refused.into_inner(),
        begun.elapsed().as_secs_f64() * 1000.0 * AT_ONCE as f64 / logins as f64,
        (cpu_ns(pid) - cpu) as f64 / 1000.0 / logins as f64,
        snap(&[pid]).rss.saturating_sub(before) / logins as u64
    ))
}

/// Whether the server lets a user in.
fn login(address: &str, token: &str, user: &KeyPair) -> io::Result<bool> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let nonce = line.split_once("\"nonce\":\"").and_then(|(_, rest)| rest.split_once('"'));
    let (nonce, _) = nonce.ok_or(io::Error::other("no nonce in INFO"))?;
    let signature = BASE64URL_NOPAD.encode(&user.sign(nonce.as_bytes()));
    write!(lines.get_mut(), "CONNECT {{\"verbose\":false,\"jwt\":\"{token}\",\"sig\":\"{signature}\"}}\r\nPING\r\n")?;
    loop {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(0) => return Ok(false),
            Ok(_) if line.starts_with("PONG") => return Ok(true),
            Ok(_) if line.starts_with("-ERR") => return Ok(false),
            Ok(_) => {}
            // Refused while we were still writing.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
