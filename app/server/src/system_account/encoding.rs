//! How an answer is packed, for those who ask for it with `Accept-Encoding`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A packing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    Snappy,
    Gzip,
    /// As it is: nothing is known of what was asked for.
    Identity,
}

impl Encoding {
    /// What the headers of a question ask for.
    pub(super) fn wanted_by(headers: &[u8]) -> Option<Self> {
        let accepted = wire::headers::Headers::new(headers).get("Accept-Encoding")?;
        let accepted = String::from_utf8_lossy(accepted).to_ascii_lowercase();
        Some(if accepted.contains("snappy") || accepted.contains("s2") {
            Self::Snappy
        } else if accepted.contains("gzip") {
            Self::Gzip
        } else {
            Self::Identity
        })
    }

    /// The headers of an answer, and its packed body.
    pub(super) fn pack(self, body: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        let (name, body) = match self {
            Self::Snappy => ("snappy", snappy(&body)),
            Self::Gzip => ("gzip", gzip(&body)),
            Self::Identity => ("identity", body),
        };
        (format!("NATS/1.0\r\nContent-Encoding: {name}\r\n\r\n").into_bytes(), body)
    }
}

fn snappy(body: &[u8]) -> Vec<u8> {
    let mut writer = snap::write::FrameEncoder::new(Vec::new());
    writer.write_all(body).expect("memory takes everything");
    writer.into_inner().expect("memory takes everything")
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(body).expect("memory takes everything");
    writer.finish().expect("memory takes everything")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_first_that_is_known_is_taken_snappy_before_gzip() {
        let wanted =
            |value: &str| Encoding::wanted_by(format!("NATS/1.0\r\nAccept-Encoding: {value}\r\n\r\n").as_bytes());
        assert_eq!(wanted("gzip, S2"), Some(Encoding::Snappy));
        assert_eq!(wanted("x-GZIP"), Some(Encoding::Gzip));
        assert_eq!(wanted("br"), Some(Encoding::Identity));
        assert_eq!(Encoding::wanted_by(b""), None);
    }

    #[test]
    fn packed_answers_are_smaller_and_open_again() {
        let body = b"a document of many words, of many words".repeat(100);
        let (headers, packed) = Encoding::Gzip.pack(body.clone());
        assert_eq!(headers, b"NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n");
        assert!(packed.len() < body.len() / 10);
        let mut opened = Vec::new();
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut opened).unwrap();
        assert_eq!(opened, body);
        let (_, packed) = Encoding::Snappy.pack(body.clone());
        assert!(packed.starts_with(b"\xff\x06\0\0sNaPpY") && packed.len() < body.len() / 4);
        opened.clear();
        snap::read::FrameDecoder::new(&*packed).read_to_end(&mut opened).unwrap();
        assert_eq!(opened, body);
        assert_eq!(Encoding::Identity.pack(body.clone()).1, body);
    }
}
