//! Counting messages as they come, without keeping them: a subscriber that is never the slow one in a measurement.

use anyhow::{Result, bail};

/// The longest head of a message: three subjects and two numbers.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// What came out of a stretch of bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// The server asked whether we are still there.
    pub(crate) pings: u64,
    /// The server answered a question of ours.
    pub(crate) pongs: u64,
    pub(crate) refusal: Option<String>,
}

impl Counted {
    pub(crate) fn add(&mut self, more: &Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
        self.pings += more.pings;
        self.pongs += more.pongs;
    }
}

/// Reads the server's side of the protocol and counts. Bytes may be cut anywhere.
#[derive(Default)]
pub(crate) struct Counter {
    /// A line that is not complete yet.
    head: Vec<u8>,
    /// Bytes of a body that are still to come.
    body: usize,
}

impl Counter {
    pub(crate) fn take(&mut self, mut bytes: &[u8], counted: &mut Counted) -> Result<()> {
        while !bytes.is_empty() {
            if self.body > 0 {
                let skipped = self.body.min(bytes.len());
                self.body -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                if self.head.len() + bytes.len() > MAX_HEAD_BYTES {
                    bail!("the server sent a line that does not end");
                }
                self.head.extend_from_slice(bytes);
                return Ok(());
            };
            if self.head.is_empty() {
                self.line(&bytes[..end], counted)?;
            } else {
                let mut line = std::mem::take(&mut self.head);
                line.extend_from_slice(&bytes[..end]);
                self.line(&line, counted)?;
            }
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], counted: &mut Counted) -> Result<()> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.first() {
            Some(b'M' | b'H') => {
                let size = size_at_end(line)?;
                self.body = size + 2;
                counted.messages += 1;
                counted.bytes += size as u64;
            }
            Some(b'-') => counted.refusal = Some(String::from_utf8_lossy(line).trim_start_matches("-ERR ").to_owned()),
            Some(b'P') if line == b"PING" => counted.pings += 1,
            Some(b'P') if line == b"PONG" => counted.pongs += 1,
            _ => {}
        }
        Ok(())
    }
}

/// The last number of a message's head is the size of what follows.
fn size_at_end(line: &[u8]) -> Result<usize> {
    let start = memchr::memrchr(b' ', line).map_or(0, |at| at + 1);
    let digits = std::str::from_utf8(&line[start..]).unwrap_or_default();
    match digits.parse::<usize>() {
        Ok(size) if size <= 1 << 30 => Ok(size),
        _ => bail!("the server sent a message without a size"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_wherever_the_bytes_are_cut() {
        let text =
            b"MSG a 1 5\r\nhello\r\nPING\r\nHMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n-ERR 'no'\r\nMSG a 1 0\r\n\r\n";
        for cut in 0..=text.len() {
            let (mut counter, mut counted) = (Counter::default(), Counted::default());
            counter.take(&text[..cut], &mut counted).unwrap();
            counter.take(&text[cut..], &mut counted).unwrap();
            assert_eq!((counted.messages, counted.bytes, counted.pings), (3, 19, 1), "cut at {cut}");
            assert_eq!(counted.refusal.as_deref(), Some("'no'"));
        }
    }

    #[test]
    fn nonsense_from_a_server_is_an_error() {
        let mut counter = Counter::default();
        assert!(counter.take(b"MSG a 1 x\r\n", &mut Counted::default()).is_err());
        assert!(counter.take(b"MSG a 1 99999999999999\r\n", &mut Counted::default()).is_err());
        assert!(Counter::default().take(&[b'A'; MAX_HEAD_BYTES + 1], &mut Counted::default()).is_err());
    }
}
