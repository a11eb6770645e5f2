//! nats-py, in a Python of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::openssl::Program;
use super::{Met, Tools};
use crate::axes::Cell;
use crate::cast::Cast;

/// What Python runs.
const SCRIPT: &str = include_str!("nats_py.py");

pub(super) fn connect(cell: &Cell, server: SocketAddr, cast: &Cast, tools: &Tools) -> Result<Met, String> {
    let certificate = match cell.get("certificate") {
        "none" => String::new(),
        kind => cast.path(kind).display().to_string(),
    };
    let child = Command::new(&tools.python)
        .args(["-c", SCRIPT, &server.port().to_string(), &cast.path("ca.pem").display().to_string()])
        .args([cell.get("speaks"), cell.get("suite"), cell.get("begins"), &certificate])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut program = Program(child.map_err(|error| format!("{}: {error}", tools.python.display()))?);
    let mut said = String::new();
    let mut output = BufReader::new(program.0.stdout.take().ok_or("Python has no output")?);
    output.read_line(&mut said).map_err(|error| error.to_string())?;
    match said.trim() {
        "served" => Ok(Met::Service(Box::new(program))),
        "login refused" => Ok(Met::LoginRefused),
        "handshake refused" => Ok(Met::HandshakeRefused),
        other => Err(format!("nats-py says {other:?}")),
    }
}
