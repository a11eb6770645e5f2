//! `nats-server explain`: may somebody do something, which rule decides, where it goes from there, and what would have to
//! change.

use std::sync::Arc;

use account::Account;
use auth::{Directory, Outcome, Party, Wish, WrittenLimits};
use jwt::UserClaims;
use subject::Subject;

use super::abroad::{self, View};
use super::streams::{self, Reader};
use super::verdict::{print, print_parties, print_readers};
use super::words::{Word, Words};
use crate::explain::{Answer, Asked, Wanted, judged};

/// What was asked.
#[derive(Default)]
struct Question<'a> {
    file: Option<&'a str>,
    user: Option<&'a str>,
    credentials: Option<&'a str>,
    account: Option<&'a str>,
    stream: Option<&'a str>,
    subjects: Option<&'a str>,
    kept_by: Option<&'a str>,
    asked: Asked<'a>,
    all_users: bool,
    json: bool,
}

/// Answers. Whether the answer is yes: for all users, whether it is for one of them.
pub fn run(words: Words<'_>) -> Result<bool, String> {
    let question = Question::read(words)?;
    let file = question.file.ok_or("explain needs a configuration: -c FILE")?;
    let (loaded, directory) = super::directory(file)?;
    if let Some(stream) = question.stream {
        let keeper = question.kept_by.map(super::settings).transpose()?;
        let view = abroad::view(&loaded.settings, keeper.as_ref())?;
        let readers = question.readers(&directory, &view, stream)?;
        print_readers(&readers, stream, &view.notes, question.json);
        return Ok(!readers.is_empty());
    }
    let wanted = question.wanted()?;
    if let (Some(account), true) = (question.account, question.all_users) {
        let parties = parties(&wanted, &directory, account)?;
        print_parties(&parties, question.json);
        return Ok(parties.iter().any(|party| matches!(party.outcome, Outcome::Allowed { .. })));
    }
    let answers = question.answers(&directory, wanted.wish())?;
    print(&answers, question.json);
    Ok(answers.iter().any(Answer::is_yes))
}

impl<'a> Question<'a> {
    fn read(mut words: Words<'a>) -> Result<Self, String> {
        let mut question = Self::default();
        while let Some(word) = words.next() {
            let Word::Option(name, given) = word else {
                let Word::Plain(text) = word else { continue };
                return Err(format!("explain does not know what to do with {text:?}"));
            };
            match name {
                "json" => question.json = true,
                "all-users" => question.all_users = true,
                "c" | "config" => question.file = Some(words.value(name, given)?),
                "creds" | "jwt" => question.credentials = Some(words.value(name, given)?),
                "account" => question.account = Some(words.value(name, given)?),
                "read-stream" => question.stream = Some(words.value(name, given)?),
                "kept-by" => question.kept_by = Some(words.value(name, given)?),
                "subjects" => question.subjects = Some(words.value(name, given)?),
                "u" | "user" => question.user = Some(words.value(name, given)?),
                "publish" | "pub" => question.asked.publish = Some(words.value(name, given)?),
                "deliver" => question.asked.deliver = Some(words.value(name, given)?),
                "subscribe" | "sub" => question.asked.subscribe = Some(words.value(name, given)?),
                "q" | "queue" => question.asked.queue = Some(words.value(name, given)?),
                _ => return Err(format!("explain has no option --{name}\n{}", super::USAGE)),
            }
        }
        Ok(question)
    }

    fn wanted(&self) -> Result<Wanted<'a>, String> {
        let asked = self.asked;
        if asked.publish.or(asked.deliver).or(asked.subscribe).is_none() {
            return Err("explain needs one of --publish SUBJECT, --subscribe FILTER and --deliver SUBJECT".to_owned());
        }
        Wanted::read(asked)
    }

    fn readers(&self, directory: &Directory, view: &View, stream: &str) -> Result<Vec<Reader>, String> {
        let account = self.account.ok_or("--read-stream needs the stream's account: --account NAME")?;
        let subjects = self.subjects.map(|text| text.parse().map_err(|_| format!("{text:?} is no subject filter")));
        let (home, subjects) = (known(directory, account)?, subjects.transpose()?);
        Ok(streams::readers(directory, &streams::Asked { home, stream, subjects, view }))
    }

    fn answers(&self, directory: &Directory, wish: Wish<'_>) -> Result<Vec<Answer>, String> {
        if let Some(file) = self.credentials {
            return Ok(vec![answer_of_claims(directory, file, wish)?]);
        }
        let mut users: Vec<&str> = match (self.user, self.all_users) {
            (Some(user), false) => vec![user],
            (None, true) => directory.user_names().collect(),
            _ => return Err("explain needs one of --user NAME and --all-users".to_owned()),
        };
        users.sort_unstable();
        users.into_iter().map(|user| answer(directory, user, wish)).collect()
    }
}

fn answer(directory: &Directory, user: &str, wish: Wish<'_>) -> Result<Answer, String> {
    let (account, permissions) = directory.permissions_of(user).ok_or_else(|| unknown(directory, user))?;
    let limits = directory.limits_of(user).unwrap_or_default();
    Ok(judged(directory, account, user, permissions, &limits, wish))
}

/// The same for a user that is signed claims: a JWT, or credentials that hold one.
fn answer_of_claims(directory: &Directory, file: &str, wish: Wish<'_>) -> Result<Answer, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let token = text.lines().map(str::trim).find(|line| line.starts_with("eyJ"));
    let token = token.ok_or_else(|| format!("{file}: there is no JWT in it"))?;
    let claims = UserClaims::decode(token).map_err(|error| format!("{file}: {error}"))?;
    let (account, permissions) = directory.permissions_of_claims(&claims).map_err(|refusal| refusal.to_string())?;
    let limits = WrittenLimits::of_tags(&claims.common.tags).map_err(|fault| fault.to_string())?;
    let user =
        if claims.common.name.is_empty() { claims.common.subject.to_string() } else { claims.common.name.clone() };
    Ok(judged(directory, &account, &user, &permissions, &limits, wish))
}

fn known<'a>(directory: &'a Directory, account: &str) -> Result<&'a Arc<Account>, String> {
    directory.account(account).ok_or_else(|| format!("there is no account {account:?}"))
}

fn unknown(directory: &Directory, user: &str) -> String {
    let mut known: Vec<&str> = directory.user_names().collect();
    known.sort_unstable();
    match known.as_slice() {
        [] => "the configuration names no users: whoever connects may do everything".to_owned(),
        known => format!("there is no user {user:?}; there are {}", known.join(", ")),
    }
}

/// Everybody, wherever it is, who has to do with a subject of this account.
fn parties(wanted: &Wanted<'_>, directory: &Directory, account: &str) -> Result<Vec<Party>, String> {
    let account = known(directory, account)?;
    match wanted {
        Wanted::Publish(subject) => Ok(directory.publishers(account, *subject)),
        Wanted::Subscribe { filter, queue: None } if filter.is_literal() => {
            let subject = Subject::parse(filter.as_bytes()).map_err(|error| error.to_string())?;
            Ok(directory.readers(account, subject))
        }
        Wanted::Deliver { .. } => {
            Err("to whom messages may be sent is asked about users: without --account".to_owned())
        }
        Wanted::Subscribe { .. } => Err("who reads something of an account is asked about one subject".to_owned()),
    }
}
