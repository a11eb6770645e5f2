//! Acknowledgements: the subject they go to, and what they say.

use api::requests::Next;
use moment::GoDuration;
use std::time::Duration;

/// What every acknowledgement subject begins with.
pub const PREFIX: &str = "$JS.ACK.";
/// Longest reason of a termination that is passed on.
pub const MAX_REASON_BYTES: usize = 1024;

/// A delivery, as the reply subject of a delivered message says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSubject<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// How often it was delivered.
    pub deliveries: u64,
    /// Its sequence in the stream.
    pub stream_seq: u64,
    /// The number of this delivery.
    pub consumer_seq: u64,
}

impl<'a> AckSubject<'a> {
    /// Reads both forms: with and without domain and account.
    pub fn parse(subject: &'a str) -> Option<AckSubject<'a>> {
        let rest = subject.strip_prefix(PREFIX)?;
        let mut tokens = rest.split('.');
        match rest.bytes().filter(|&byte| byte == b'.').count() + 1 {
            7 => {}
            // The domain and the account stand in front.
            9.. => drop((tokens.next(), tokens.next())),
            _ => return None,
        }
        Some(AckSubject {
            stream: tokens.next()?,
            consumer: tokens.next()?,
            deliveries: tokens.next()?.parse().ok()?,
            stream_seq: tokens.next()?.parse().ok()?,
            consumer_seq: tokens.next()?.parse().ok()?,
        })
    }
}

/// What an acknowledgement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Done.
    Done,
    /// Not done; deliver again, after a while.
    Again(Duration),
    /// Still working.
    Working,
    /// Done, and the next please.
    DoneNext(Next),
    /// Never deliver it again.
    Terminate(String),
    /// Nothing anybody understands.
    Unknown,
}

impl Ack {
    /// Reads the body of an acknowledgement.
    pub fn parse(body: &[u8]) -> Ack {
        let (word, rest) = split(body);
        match word {
            b"" | b"+ACK" | b"+OK" => Ack::Done,
            b"-NAK" => Ack::Again(delay(rest)),
            b"+WPI" => Ack::Working,
            b"+NXT" => Next::parse(rest).map_or(Ack::Unknown, Ack::DoneNext),
            b"+TERM" => {
                let reason = String::from_utf8_lossy(rest).chars().take(MAX_REASON_BYTES).collect();
                Ack::Terminate(reason)
            }
            _ => Ack::Unknown,
        }
    }
}

fn split(body: &[u8]) -> (&[u8], &[u8]) {
    let end = body.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(body.len());
    (&body[..end], body[end..].trim_ascii())
}

/// `{"delay": nanoseconds}` or a duration.
fn delay(text: &[u8]) -> Duration {
    let nanos = match text.first() {
        None => return Duration::ZERO,
        Some(b'{') => api::json::parse(text).ok().and_then(|value| value.get("delay")?.as_i64()),
        Some(_) => std::str::from_utf8(text).ok().and_then(|text| text.parse::<GoDuration>().ok()).map(|d| d.0),
    };
    Duration::from_nanos(nanos.and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_come_back_in_both_forms() {
        let delivery = AckSubject { stream: "S", consumer: "c", deliveries: 2, stream_seq: 3, consumer_seq: 4 };
        assert_eq!(AckSubject::parse("$JS.ACK.S.c.2.3.4.5.6"), Some(delivery));
        assert_eq!(AckSubject::parse("$JS.ACK._.hash.S.c.2.3.4.5.6"), Some(delivery));
        assert_eq!(AckSubject::parse("$JS.ACK.D.hash.S.c.2.3.4.5.6.rnd"), Some(delivery));
        for bad in ["$JS.ACK.S.c", "$JS.ACK.S.c.x.3.4.5.6", "$JS.ACK.S.c.2.3.4.5.6.7", "other"] {
            assert_eq!(AckSubject::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn bodies_are_understood() {
        assert_eq!(Ack::parse(b""), Ack::Done);
        assert_eq!(Ack::parse(b"+ACK"), Ack::Done);
        assert_eq!(Ack::parse(b"-NAK"), Ack::Again(Duration::ZERO));
        assert_eq!(Ack::parse(b"-NAK {\"delay\": 5000}"), Ack::Again(Duration::from_nanos(5000)));
        assert_eq!(Ack::parse(b"-NAK 1.5s"), Ack::Again(Duration::from_millis(1500)));
        assert_eq!(Ack::parse(b"-NAK {\"delay\": -1}"), Ack::Again(Duration::ZERO));
        assert_eq!(Ack::parse(b"+WPI"), Ack::Working);
        assert_eq!(Ack::parse(b"+TERM bad input"), Ack::Terminate("bad input".into()));
        assert!(matches!(Ack::parse(b"+NXT 5"), Ack::DoneNext(next) if next.batch == 5));
        assert_eq!(Ack::parse(b"hello"), Ack::Unknown);
    }
}
