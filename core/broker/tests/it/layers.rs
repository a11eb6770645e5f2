//! A byte layer between protocol and transport: every byte turned round, in frames with a length.

use std::num::NonZeroU64;

use auth::WrittenLimits;
use broker::{LayerError, Opened, Opener, Sealer, Step};

use crate::conversation::Conversation;
use crate::fixtures::tenants;

const KEY: u8 = 0x5a;

/// A frame ends with this byte, which no protocol line turned round contains.
const END: u8 = b'\n' ^ KEY ^ 0xff;

struct Turned;

impl Opener for Turned {
    fn open(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<Opened, LayerError> {
        if wire.contains(&0) {
            return Err(LayerError { text: "a zero".into(), code: Some(40) });
        }
        plain.extend(wire.iter().filter(|byte| **byte != END).map(|byte| byte ^ KEY));
        Ok(Opened::default())
    }
}

impl Sealer for Turned {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        wire.extend(plain.iter().map(|byte| byte ^ KEY));
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        wire.push(END);
    }

    fn answer(&mut self, wire: &mut Vec<u8>) {
        wire.push(END);
    }

    fn close(&mut self, _: wire::CloseReason, wire: &mut Vec<u8>) {
        wire.push(END);
    }

    fn fail(&mut self, error: &LayerError, wire: &mut Vec<u8>) {
        wire.extend([error.code.map_or(0, |code| code as u8), END]);
    }
}

fn turned(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| byte ^ KEY).collect()
}

/// What arrived, and in how many frames.
fn heard(broker: &mut Conversation, client: &crate::conversation::Client) -> (String, usize) {
    let bytes = broker.hears_bytes(client);
    let frames = bytes.iter().filter(|byte| **byte == END).count();
    let plain = bytes.iter().filter(|byte| **byte != END).map(|byte| char::from(byte ^ KEY)).collect();
    (plain, frames)
}

#[test]
fn a_layered_client_takes_the_same_path_and_gets_whole_batches_in_one_frame() {
    let mut broker = Conversation::open();
    let (plain, layered) = (broker.guest(), broker.connect());
    let step = broker.with_connection(&layered, |worker, connection| {
        worker.secure(connection, Box::new(Turned), Box::new(Turned), None, None)
    });
    assert_eq!(step, Step::Continue);
    broker.says(&layered, turned("CONNECT {\"verbose\":false}\r\nSUB a 1\r\nSUB b 2\r\n"));
    broker.says(&plain, "SUB c 1\r\nPUB a 1\r\nx\r\n".to_owned() + &"PUB b 3\r\nyyy\r\n".repeat(50));
    let expected = "MSG a 1 1\r\nx\r\n".to_owned() + &"MSG b 2 3\r\nyyy\r\n".repeat(50);
    assert_eq!(heard(&mut broker, &layered), (expected, 1));
    let large = "z".repeat(300_000);
    broker.says(&layered, turned(&format!("PUB c 300000\r\n{large}\r\nPUB c 1\r\nx\r\n")));
    assert_eq!(broker.hears(&plain), format!("MSG c 1 300000\r\n{large}\r\nMSG c 1 1\r\nx\r\n"));
}

#[test]
fn a_broken_layer_ends_the_connection_after_its_own_last_words() {
    let mut broker = Conversation::open();
    let layered = broker.connect();
    broker.with_connection(&layered, |worker, connection| {
        worker.secure(connection, Box::new(Turned), Box::new(Turned), None, None)
    });
    broker.says(&layered, [0]);
    assert_eq!(broker.hears_bytes(&layered), [40, END]);
    assert!(broker.closed(&layered).is_some());
}

/// Under a limit less is read at once, but what a message still needs says nothing of how much a layer brings.
#[test]
fn a_large_message_of_a_layered_client_under_a_limit_comes_in_pieces_and_whole() {
    let mut settings = tenants();
    let limits = WrittenLimits { messages_per_second: NonZeroU64::new(1_000), ..WrittenLimits::default() };
    settings.accounts[0].users[0].limits = Some(Box::new(limits));
    let mut broker = Conversation::with(&settings, |_| ());
    let (reader, layered) = (broker.login("service"), broker.connect());
    broker.says(&reader, "SUB svc.> 1\r\n");
    let step = broker.with_connection(&layered, |worker, connection| {
        worker.secure(connection, Box::new(Turned), Box::new(Turned), None, None)
    });
    assert_eq!(step, Step::Continue);
    broker.says(&layered, turned("CONNECT {\"verbose\":false,\"user\":\"back\",\"pass\":\"back\"}\r\n"));
    let large = "z".repeat(300_000);
    let message = format!("PUB svc.a 300000\r\n{large}\r\n");
    let (beginning, rest) = message.split_at(1_000);
    broker.says(&layered, turned(beginning));
    broker.says(&layered, turned(rest));
    assert_eq!(broker.hears(&reader), format!("MSG svc.a 1 300000\r\n{large}\r\n"));
}
