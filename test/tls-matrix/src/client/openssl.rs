//! `openssl s_client`, which gets the words of a NATS client on its input.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use super::{Met, PATIENCE, Tools};
use crate::axes::Cell;
use crate::cast::Cast;
use crate::relay;

/// A program that ends with its connection.
pub(super) struct Program(pub(super) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn connect(cell: &Cell, server: SocketAddr, cast: &Cast, tools: &Tools) -> Result<Met, String> {
    let address = match cell.get("begins") {
        "tls" => server,
        _ => relay::open(server).map_err(|error| error.to_string())?,
    };
    let mut command = Command::new(&tools.openssl);
    command.args(["s_client", "-quiet", "-verify_return_error", "-verify_ip", "127.0.0.1", "-connect"]);
    command.arg(address.to_string()).arg("-CAfile").arg(cast.path("ca.pem"));
    command.arg(if cell.get("speaks") == "1.2" { "-tls1_2" } else { "-tls1_3" });
    match cell.get("suite") {
        "aes128" => {
            command.args(["-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "-ciphersuites", "TLS_AES_128_GCM_SHA256"])
        }
        "aes256" => {
            command.args(["-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384", "-ciphersuites", "TLS_AES_256_GCM_SHA384"])
        }
        "chacha" => {
            command.args(["-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"])
        }
        _ => &mut command,
    };
    if cell.get("certificate") != "none" {
        let file = |ending: &str| cast.path(&format!("{}.{ending}", cell.get("certificate")));
        command.arg("-cert").arg(file("pem")).arg("-key").arg(file("key"));
        if cell.get("certificate") == "below" {
            command.arg("-cert_chain").arg(cast.path("below.chain"));
        }
    }
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut program = Program(child.map_err(|error| format!("{}: {error}", tools.openssl.display()))?);
    let mut input = program.0.stdin.take().ok_or("openssl has no input")?;
    let output = BufReader::new(program.0.stdout.take().ok_or("openssl has no output")?);
    // A program that ended already takes nothing.
    let _ = input.write_all(b"CONNECT {\"verbose\":false,\"lang\":\"openssl\"}\r\nPING\r\n");
    let (lines, said) = channel();
    thread::spawn(move || output.split(b'\n').map_while(Result::ok).try_for_each(|line| lines.send(line)));
    loop {
        match said.recv_timeout(PATIENCE) {
            Ok(line) if line.starts_with(b"PONG") => return Ok(Met::Service(Box::new((program, input)))),
            Ok(line) if line.starts_with(b"-ERR 'Authorization Violation'") => return Ok(Met::LoginRefused),
            Ok(_) => {}
            Err(_) => return Ok(Met::HandshakeRefused),
        }
    }
}
