//! One page of the monitoring port, asked for with as little HTTP as there is.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest a page may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a server answered.
pub(crate) struct Page {
    /// The number of the status.
    pub(crate) status: String,
    /// The headers that say how the body is to be read and who may read it, as `Name: value`.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// Headers that are shown. The rest belongs to the HTTP library.
const SHOWN: [&str; 2] = ["access-control-allow-origin", "content-type"];

/// Asks for a page. The connection serves this one request.
pub(crate) fn ask(address: SocketAddr, path: &str) -> io::Result<Page> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // The old version of the protocol has bodies that end with the connection.
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer of HTTP"))
}

fn read(answer: &[u8]) -> Option<Page> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut headers: Vec<String> = lines.filter_map(shown).collect();
    headers.sort();
    Some(Page { status, headers, body: answer[end + 4..].to_vec() })
}

fn shown(line: &str) -> Option<String> {
    let (name, value) = line.split_once(':')?;
    let name = name.to_ascii_lowercase();
    SHOWN.contains(&name.as_str()).then(|| format!("{name}: {}", value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_status_headers_that_matter_and_body() {
        let page = read(b"HTTP/1.0 400 Bad Request\r\nDate: x\r\nContent-Type: text/plain\r\n\r\nno\n").unwrap();
        assert_eq!((page.status.as_str(), page.body.as_slice()), ("400", b"no\n".as_slice()));
        assert_eq!(page.headers, ["content-type: text/plain"]);
        assert!(read(b"HTTP/1.0 200").is_none());
    }
}
