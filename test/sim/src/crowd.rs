//! Clients: what they listen to, what they were sent, and whether that is right.

use std::collections::{BTreeMap, BTreeSet};

use broker::LinkKind;

use crate::ear::Heard;

/// What a client listens to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listening {
    pub(crate) filter: &'static str,
    pub(crate) queue: Option<&'static str>,
}

/// A client of a server.
pub(crate) struct Client {
    pub(crate) node: usize,
    pub(crate) place: usize,
    /// There is something it must not have.
    pub(crate) is_bound: bool,
    pub(crate) listening: BTreeMap<u64, Listening>,
    next_sid: u64,
    heard: Vec<u8>,
}

/// All clients there are, by number.
#[derive(Default)]
pub(crate) struct Crowd {
    pub(crate) clients: BTreeMap<u64, Client>,
    next: u64,
    /// Messages that were delivered, by message, client and subscription.
    delivered: BTreeSet<(u64, u64, u64)>,
    /// Messages that reached a member of a queue group.
    worked: BTreeSet<(u64, &'static str)>,
    /// The servers at which messages were published, and whether anything binds who did.
    pub(crate) published: BTreeMap<u64, (usize, bool)>,
    /// The same, of the probe at hand.
    pub(crate) probed: Vec<(u64, u64, u64)>,
}

/// Whether a subject is what a filter means. As simple as it can be.
pub(crate) fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

impl Crowd {
    /// A client sits down.
    pub(crate) fn come(&mut self, node: usize, place: usize, is_bound: bool) -> u64 {
        self.next += 1;
        let client = Client { node, place, is_bound, listening: BTreeMap::new(), next_sid: 0, heard: Vec::new() };
        self.clients.insert(self.next, client);
        self.next
    }

    /// The clients of a server are gone.
    pub(crate) fn lose(&mut self, node: usize) {
        self.clients.retain(|_, client| client.node != node);
    }

    /// A client listens from now on. What it says.
    pub(crate) fn listen(&mut self, number: u64, listening: Listening) -> Option<(usize, usize, String)> {
        let client = self.clients.get_mut(&number)?;
        client.next_sid += 1;
        let sid = client.next_sid;
        let queue = listening.queue.map(|queue| format!("{queue} ")).unwrap_or_default();
        let said = format!("SUB {} {queue}{sid}\r\n", listening.filter);
        client.listening.insert(sid, listening);
        Some((client.node, client.place, said))
    }

    /// A client listens no longer to the first, or the last, of what it did.
    pub(crate) fn stop(&mut self, number: u64, first: bool) -> Option<(usize, usize, String)> {
        let client = self.clients.get_mut(&number)?;
        let (sid, _) = if first { client.listening.pop_first()? } else { client.listening.pop_last()? };
        Some((client.node, client.place, format!("UNSUB {sid}\r\n")))
    }

    /// Bytes for whoever sits there.
    ///
    /// # Errors
    /// If something came that must not.
    pub(crate) fn hear(&mut self, node: usize, place: usize, bytes: &[u8]) -> Result<(), String> {
        let Some((&number, client)) =
            self.clients.iter_mut().find(|(_, client)| client.node == node && client.place == place)
        else {
            return Ok(());
        };
        client.heard.extend_from_slice(bytes);
        while let Some(end) = client.heard.windows(2).position(|pair| pair == b"\r\n") {
            let line = String::from_utf8_lossy(&client.heard[..end]).into_owned();
            let words: Vec<&str> = line.split(' ').collect();
            let ["MSG", subject, sid, size] = words[..] else {
                if line.starts_with("-ERR") {
                    return Err(format!("client {number} was told {line}"));
                }
                client.heard.drain(..end + 2);
                continue;
            };
            let size: usize = size.parse().map_err(|_| format!("no size in {line}"))?;
            let Some(payload) = client.heard.get(end + 2..end + 2 + size) else { return Ok(()) };
            if client.heard.len() < end + 4 + size {
                return Ok(());
            }
            let message: u64 =
                String::from_utf8_lossy(payload).parse().map_err(|_| format!("an odd payload in {line}"))?;
            let sid: u64 = sid.parse().map_err(|_| format!("no sid in {line}"))?;
            client.heard.drain(..end + 4 + size);
            if !self.delivered.insert((message, number, sid)) {
                let from = self.published.get(&message);
                return Err(format!(
                    "message {message} of server {from:?} on {subject} came twice to client {number} of server {node}, \
                     subscription {sid}"
                ));
            }
            let listening = client.listening.get(&sid);
            if let Some(listening) = listening
                && !matches(listening.filter, subject)
            {
                return Err(format!("message {message} on {subject} came to {listening:?}"));
            }
            if let Some(queue) = listening.and_then(|listening| listening.queue)
                && !self.worked.insert((message, queue))
            {
                return Err(format!("message {message} on {subject} came to two members of {queue}"));
            }
            self.probed.push((message, number, sid));
        }
        Ok(())
    }

    /// Whether an order that was heard is bound as whoever sent it, and came from another cluster with something that binds it.
    ///
    /// # Errors
    /// If it is not. What came by a route or from a leaf node bears no rights of single users.
    pub(crate) fn judge_order(&self, heard: Heard, is_leaf: impl Fn(usize) -> bool) -> Result<bool, String> {
        let Some((node, is_bound)) = self.published.get(&heard.message).copied() else { return Ok(false) };
        let is_known = heard.kind == LinkKind::Client || heard.kind == LinkKind::Gateway && !is_leaf(node);
        let expected = is_known && is_bound;
        match heard.is_bound == expected {
            true => Ok(expected && heard.kind == LinkKind::Gateway),
            false => Err(format!("{heard:?} was sent at server {node} by somebody who is bound: {is_bound}")),
        }
    }

    /// What is wrong with how a probe was delivered, if anything is.
    pub(crate) fn judge(&self, message: u64, subject: &str) -> Option<String> {
        let mut groups: BTreeMap<&str, bool> = BTreeMap::new();
        for (number, client) in &self.clients {
            for (sid, listening) in client.listening.iter().filter(|(_, wish)| matches(wish.filter, subject)) {
                let came = self.probed.contains(&(message, *number, *sid));
                match listening.queue {
                    None if !came => {
                        let node = client.node;
                        return Some(format!(
                            "client {number} of server {node} did not get {subject} for {listening:?}"
                        ));
                    }
                    None => {}
                    Some(queue) => *groups.entry(queue).or_default() |= came,
                }
            }
        }
        let idle = groups.into_iter().find(|(_, came)| !came);
        idle.map(|(queue, _)| format!("nobody of {queue} got {subject}"))
    }
}
