//! What a server is told to do: read its configuration again, close a connection, send a client elsewhere, destroy the key of
//! an account.

use std::sync::mpsc;
use std::time::Duration;

use api::monitoring::Banlist;
use api::system::answer::KeyDestroyed;
use api::system::{Answer, Body, BodyFault, ServerCommand};
use broker::{Hub, Note, Step};
use moment::Timestamp;
use wire::CloseReason;

use super::bans;

/// How long a worker has to say whether a client was told.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// What the server can be told from here.
pub trait Control: Send + Sync {
    /// Reads the configuration again and goes on with it: all of it, or nothing.
    ///
    /// # Errors
    /// With the text for whoever asked.
    fn reload(&self) -> Result<(), String>;

    /// Destroys the key that an account has of its own, with everything that it seals. How many streams went.
    ///
    /// # Errors
    /// With the text for whoever asked.
    fn destroy_key(&self, account: &str) -> Result<u64, String>;
}

/// Carries a command out.
///
/// # Errors
/// If its body cannot be read.
pub(super) fn obey(
    command: ServerCommand,
    body: &[u8],
    hub: &Hub,
    control: &dyn Control,
    now: Timestamp,
) -> Result<Result<Answer, String>, BodyFault> {
    let done = |done: Result<(), String>| done.map(|()| Answer::Done);
    let listed = |listed: Result<Banlist, String>| listed.map(|list| Answer::document(&list));
    Ok(match command {
        ServerCommand::Reload => done(control.reload()),
        ServerCommand::Kick => done(kick(hub, connection_id(body)?)),
        ServerCommand::LameDuck => done(send_away(hub, connection_id(body)?)),
        ServerCommand::Ban => listed(bans::ban(hub, body, now)?),
        ServerCommand::Unban => listed(bans::unban(hub, body, now)?),
        ServerCommand::Bans => listed(Ok(bans::list(hub, now))),
        ServerCommand::DestroyKey => {
            let account = Body::parse(body, "DestroyKeyReq")?.text("account")?;
            destroy_key(control, &account)
        }
    })
}

fn destroy_key(control: &dyn Control, account: &str) -> Result<Answer, String> {
    if account.is_empty() {
        return Err("\"account\" says whose key is destroyed".to_owned());
    }
    let streams = control.destroy_key(account)?;
    Ok(Answer::document(&KeyDestroyed { account, streams }))
}

/// What was asked for, for the trail: the fields of the body that commands read, and no others.
pub(super) fn shown(command: ServerCommand, body: &[u8]) -> String {
    let mut shown = command.token().to_ascii_lowercase();
    let Ok(body) = Body::parse(body, "") else { return shown };
    for name in ["cid", "seconds"] {
        if let Some(number) = body.uint(name).ok().filter(|number| *number > 0) {
            shown += &format!(" {name} {number}");
        }
    }
    for name in ["address", "account", "user", "reason"] {
        if let Some(text) = body.text(name).ok().filter(|text| !text.is_empty()) {
            shown += &format!(" {name} {text:?}");
        }
    }
    shown
}

fn connection_id(body: &[u8]) -> Result<u64, BodyFault> {
    if body.is_empty() {
        return Body::parse(b"{", "KickClientReq").and_then(|body| body.uint("cid"));
    }
    Body::parse(body, "KickClientReq")?.uint("cid")
}

fn kick(hub: &Hub, id: u64) -> Result<(), String> {
    let known = hub.connection(id).ok_or("no such client or leafnode id")?;
    hub.tell(known.link.key, Note::Close(known.link.key, CloseReason::Kicked));
    Ok(())
}

fn send_away(hub: &Hub, id: u64) -> Result<(), String> {
    let key = hub.connection(id).ok_or("no such client id")?.link.key;
    let (answer, answered) = mpsc::channel();
    let tell = move |hands: &mut broker::Hands<'_>| {
        // Nobody waits any more when the time was up.
        let _ = answer.send(hands.say_lame_duck());
        Step::Continue
    };
    hub.tell(key, Note::Do(key, Box::new(tell)));
    match answered.recv_timeout(ANSWER_TIME_MAX) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err("client does not support Lame Duck Mode or is not ready to receive the notification".to_owned())
        }
        Err(_) => Err("no such client id".to_owned()),
    }
}
