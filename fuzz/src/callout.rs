//! What a callout service answers: bytes from outside that decide who comes in.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use account::AccountIds;
use auth::settings::{AccountSettings, CalloutSettings, Place, Settings, UserSettings};
use auth::{
    Asked, Attempt, CalloutServer, Chance, ClientFacts, ConnectionKind, Directory, Verdict, authenticate, conclude,
};
use jwt::UtcOnly;
use jwt::testing::{NOW, key, resign};
use nkeys::{Role, Secret, XKey};

struct Scene {
    directory: Directory,
    attempt: Attempt,
    server: CalloutServer,
    asked: Asked,
}

/// Questions in the clear, and sealed ones.
static SCENES: LazyLock<[Scene; 2]> = LazyLock::new(|| [None, Some(xkey(2).public().to_string())].map(scene));

fn xkey(byte: u8) -> XKey {
    XKey::from_raw_seed(Secret::new([byte; 32]))
}

fn scene(sealed_for: Option<String>) -> Scene {
    let mut settings = Settings::default();
    let service = UserSettings { user: Some("auth".into()), password: Some("auth".into()), ..UserSettings::default() };
    let account = |name: &str, users| AccountSettings { name: name.into(), users, ..AccountSettings::default() };
    settings.accounts = vec![account("AUTH", vec![service]), account("OPEN", Vec::new())];
    settings.authorization.defined = true;
    settings.authorization.auth_callout = Some(CalloutSettings {
        issuer: key(Role::Account, "issuer").public().to_string(),
        account: Some("AUTH".into()),
        auth_users: vec!["auth".into()],
        xkey: sealed_for,
        allowed_accounts: Vec::new(),
        origin: Place::default(),
    });
    let directory = Directory::build(&settings, &mut AccountIds::default()).expect("the settings are sound");
    let attempt = Attempt::silent(ConnectionKind::Standard);
    let Verdict::AskCallout(question) = authenticate(&directory, &attempt, NOW) else {
        panic!("the service is asked about strangers")
    };
    let identity = jwt::callout::ServerIdentity::default();
    let server = CalloutServer { key: key(Role::Server, "n1"), xkey: xkey(1), identity, zones: Arc::new(UtcOnly) };
    let chance = Chance { user: Secret::new([3; 32]), nonce: [4; 24] };
    let request = question.ask(&attempt, &server, &ClientFacts::default(), chance, NOW, Duration::from_secs(2));
    Scene { asked: request.expect("the question is written").asked, directory, attempt, server }
}

/// An answer as it comes: nothing that was not signed lets anybody in. And an answer that the right key signed, whose
/// claims are these bytes: `@` is the issuer, `#` the user that was asked about, `%` the server; what follows the first
/// blank line are the claims of the user.
pub(crate) fn answer(bytes: &[u8]) {
    for scene in SCENES.iter() {
        let Scene { directory, attempt, server, asked } = scene;
        let verdict = conclude(directory, attempt, asked, server, Some(bytes), NOW);
        assert!(!matches!(verdict, Verdict::Admit(_)), "nobody signed this");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let scene = &SCENES[0];
    if let Verdict::Admit(admission) = signed(scene, text) {
        assert!(scene.directory.account(admission.account.name.as_str()).is_some(), "in an account that is there");
        assert!(admission.expires.is_none_or(|expires| expires > NOW), "not after its time");
    }
}

fn signed(scene: &Scene, text: &str) -> Verdict {
    let issuer = key(Role::Account, "issuer");
    let user = nkeys::KeyPair::from_raw_seed(Role::User, Secret::new([3; 32])).public();
    let filled = text
        .replace('@', &issuer.public().to_string())
        .replace('#', &user.to_string())
        .replace('%', &scene.server.key.public().to_string());
    let (answer, claims) = filled.split_once("\n\n").unwrap_or((&filled, "{}"));
    let answer = answer.replace("JWT", &resign(&issuer, claims));
    let answer = resign(&issuer, &answer);
    let Scene { directory, attempt, server, asked } = scene;
    conclude(directory, attempt, asked, server, Some(answer.as_bytes()), NOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_has_an_answer_that_lets_somebody_in() {
        let text = include_str!("../corpus/auth_callout/admitted");
        assert!(matches!(signed(&SCENES[0], text), Verdict::Admit(_)));
        assert!(matches!(signed(&SCENES[0], "{}"), Verdict::Refuse(_)));
    }
}
