//! Who is kept out for a time, by request: `BAN`, `UNBAN`, `BANS`.
//!
//! Bans are kept in memory: they outlive a reload and not a restart. Who is to stay out for good is taken out of the
//! configuration or revoked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::monitoring::{BanDetail, Banlist};
use api::system::{Body, BodyFault};
use auth::{Ban, Banned, Bans};
use broker::Hub;
use moment::Timestamp;

/// The longest ban: a year. A slip of the finger ends some day.
const BAN_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Characters of a reason that are kept.
const REASON_MAX: usize = 200;

/// Keeps somebody out. What is in force afterwards.
pub(super) fn ban(hub: &Hub, body: &[u8], now: Timestamp) -> Result<Result<Banlist, String>, BodyFault> {
    let body = Body::parse(body, "BanReq")?;
    let (seconds, reason) = (body.uint("seconds")?, body.text("reason")?);
    let who = match who(&body)? {
        Ok(who) => who,
        Err(fault) => return Ok(Err(fault)),
    };
    if !(1..=BAN_MAX.as_secs()).contains(&seconds) {
        return Ok(Err(format!("\"seconds\" says how long, from 1 to {}", BAN_MAX.as_secs())));
    }
    let system = hub.directory().accounts().system().name.to_string();
    if who == Banned::Account(system) {
        return Ok(Err("the system account is not banned: nobody could take that back".to_owned()));
    }
    let (until, refused) = (now + Duration::from_secs(seconds), AtomicU64::new(0));
    let ban = Ban { who, until, since: now, reason: reason.chars().take(REASON_MAX).collect(), refused };
    Ok(match hub.ban(ban, now) {
        Ok(closed) => Ok(Banlist { closed, ..list(hub, now) }),
        Err(_) => Err(format!("there are {} bans already", auth::BANS_MAX)),
    })
}

/// Lets somebody in again. What is in force afterwards.
pub(super) fn unban(hub: &Hub, body: &[u8], now: Timestamp) -> Result<Result<Banlist, String>, BodyFault> {
    let who = who(&Body::parse(body, "BanReq")?)?;
    Ok(who.and_then(|who| match hub.unban(&who, now) {
        true => Ok(list(hub, now)),
        false => Err(format!("{who} is not banned")),
    }))
}

/// Who is kept out.
pub(super) fn list(hub: &Hub, now: Timestamp) -> Banlist {
    Banlist { closed: 0, bans: details(&hub.bans(), now) }
}

/// The bans in force, as documents show them.
pub fn details(bans: &Bans, now: Timestamp) -> Vec<BanDetail> {
    bans.in_force(now).map(|ban| detail(ban)).collect()
}

fn detail(ban: &Ban) -> BanDetail {
    let shown = BanDetail {
        since: ban.since.to_string(),
        until: ban.until.to_string(),
        reason: ban.reason.clone(),
        refused: ban.refused.load(Ordering::Relaxed),
        ..BanDetail::default()
    };
    match &ban.who {
        Banned::Network(network) => BanDetail { address: Some(network.to_string()), ..shown },
        Banned::User { account, user } => BanDetail { account: account.clone(), user: Some(user.clone()), ..shown },
        Banned::Account(account) => BanDetail { account: Some(account.clone()), ..shown },
    }
}

/// Whom a request is about: an address, a user, a user of an account, or an account.
fn who(body: &Body) -> Result<Result<Banned, String>, BodyFault> {
    let text = |name| body.text(name).map(|text| Some(text).filter(|text| !text.is_empty()));
    Ok(match (text("address")?, text("account")?, text("user")?) {
        (Some(address), None, None) => {
            Banned::network(&address).map_err(|_| format!("{address:?} is no address and no network"))
        }
        (None, account, Some(user)) => Ok(Banned::User { account, user }),
        (None, Some(account), None) => Ok(Banned::Account(account)),
        _ => {
            Err("a ban is about one \"address\", one \"account\", or one \"user\", perhaps of an \"account\""
                .to_owned())
        }
    })
}
