//! Syslog, local and remote (RFC 3164 lines, facility daemon).

use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::UnixDatagram;

use super::line::Level;

/// Facility 3 (daemon) in the upper bits.
const DAEMON: u8 = 3 << 3;

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixDatagram),
}

pub(super) struct Syslog {
    wire: Wire,
    tag: String,
}

impl Syslog {
    /// The syslog of this machine.
    pub(super) fn local() -> io::Result<Self> {
        let paths = ["/dev/log", "/var/run/syslog", "/var/run/log"];
        let tried = paths.iter().map(|path| unix(path));
        let wire = tried.reduce(Result::or).unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
        Ok(Self { wire: wire.map_err(|error| failed("syslog", &error))?, tag: tag() })
    }

    /// A syslog named by a URL.
    pub(super) fn connect(url: &str) -> io::Result<Self> {
        let (scheme, place) = url.split_once("://").unwrap_or(("", url));
        let wire = match scheme {
            "udp" => udp(place),
            "tcp" => TcpStream::connect(place).map(Wire::Tcp),
            "unix" => unix(place),
            _ => {
                let text = format!("error invalid network type: {scheme:?}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        Ok(Self { wire: wire.map_err(|error| failed(url, &error))?, tag: tag() })
    }

    pub(super) fn write(&mut self, level: Level, text: &str) -> io::Result<()> {
        let line = format!("<{}>{}[{}]: {text}\n", DAEMON | severity(level), self.tag, std::process::id());
        match &mut self.wire {
            Wire::Udp(socket) => socket.send(line.as_bytes()).map(drop),
            Wire::Tcp(stream) => stream.write_all(line.as_bytes()),
            #[cfg(unix)]
            Wire::Unix(socket) => socket.send(line.as_bytes()).map(drop),
        }
    }
}

fn failed(place: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("error connecting to syslog: {place:?}: {error}"))
}

fn udp(place: &str) -> io::Result<Wire> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(place)?;
    Ok(Wire::Udp(socket))
}

#[cfg(unix)]
fn unix(path: &str) -> io::Result<Wire> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(Wire::Unix(socket))
}

/// The name of the program, as it was started.
fn tag() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&program).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn severity(level: Level) -> u8 {
    match level {
        Level::Fatal => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info | Level::Trace => 5,
        Level::Debug => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reaches_a_remote_syslog() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let url = format!("udp://{}", receiver.local_addr().unwrap());
        Syslog::connect(&url).unwrap().write(Level::Error, "disk full").unwrap();
        let mut line = [0; 256];
        let size = receiver.recv(&mut line).unwrap();
        let line = String::from_utf8_lossy(&line[..size]).into_owned();
        assert!(line.starts_with("<27>") && line.ends_with("]: disk full\n"), "{line}");
    }

    #[test]
    fn an_unknown_scheme_is_named() {
        let error = Syslog::connect("ftp://x").err().unwrap();
        assert_eq!(error.to_string(), "error invalid network type: \"ftp\"");
    }
}
