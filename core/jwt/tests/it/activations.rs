use bulwark_jwt::chain::{Activation, ActivationRefusal, activate};
use bulwark_jwt::testing::{Chain, NOW, TestAccount};
use bulwark_jwt::{ActivationClaims, Export, Import, Revoked, Sharing};
use moment::Timestamp;

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + seconds)
}

struct Scene {
    chain: Chain,
    exporter: TestAccount,
    importer: TestAccount,
    export: Export,
}

impl Scene {
    fn new() -> Self {
        let chain = Chain::new("acme");
        let export = Export { token_req: true, ..Export::new(Sharing::Stream, "prices.>") };
        let exporter = chain.account("market").with(|claims| claims.exports.push(export.clone()));
        Self { importer: chain.account("shop"), exporter, export, chain }
    }

    fn activation(&self) -> ActivationClaims {
        self.exporter.activation(self.importer.key.public(), &self.export)
    }

    fn judge_import(&self, import: &Import, now: Timestamp) -> Result<Activation, ActivationRefusal> {
        let exporter = self.exporter.trusted(&self.chain);
        activate(&self.chain.trust(), &exporter, &self.importer.key.public(), import, &self.export, now)
    }

    fn judge(&self, activation: &ActivationClaims) -> Result<Activation, ActivationRefusal> {
        self.judge_import(&self.exporter.import_of(&self.export, Some(activation)), NOW)
    }
}

#[test]
fn an_export_that_wants_an_activation_lets_nobody_in_without() {
    let scene = Scene::new();
    let bare = scene.exporter.import_of(&scene.export, None);
    assert_eq!(scene.judge_import(&bare, NOW), Err(ActivationRefusal::Missing));
    assert_eq!(scene.judge(&scene.activation()), Ok(Activation { expires: None }));
    let open = Scene { export: Export { token_req: false, ..scene.export.clone() }, ..Scene::new() };
    assert_eq!(open.judge_import(&bare, NOW), Ok(Activation { expires: None }));
}

/// CVE-2021-3127: a token of one importer, for one subject, of one exporter is of no use to another.
#[test]
fn cve_2021_3127_an_activation_is_bound_on_all_four_sides() {
    let scene = Scene::new();
    let stranger = scene.chain.account("stranger");

    let mut other = scene.activation();
    other.common.subject = stranger.key.public();
    assert_eq!(scene.judge(&other), Err(ActivationRefusal::Importer(stranger.key.public())));

    let mut other = scene.activation();
    other.import_subject = "news.>".into();
    assert_eq!(scene.judge(&other), Err(ActivationRefusal::Subject("news.>".into())));

    let mut other = scene.activation();
    other.sharing = Sharing::Service;
    assert_eq!(scene.judge(&other), Err(ActivationRefusal::Sharing));

    let forged = scene.activation().encode(&stranger.key, NOW.as_secs()).expect("signed");
    let import = Import { token: forged, ..scene.exporter.import_of(&scene.export, None) };
    assert_eq!(scene.judge_import(&import, NOW), Err(ActivationRefusal::Exporter(stranger.key.public())));

    let mut posing = scene.activation();
    posing.issuer_account = Some(scene.exporter.key.public());
    let forged = posing.encode(&stranger.key, NOW.as_secs()).expect("signed");
    let import = Import { token: forged, ..scene.exporter.import_of(&scene.export, None) };
    assert_eq!(scene.judge_import(&import, NOW), Err(ActivationRefusal::Issuer(stranger.key.public())));
}

#[test]
fn an_import_may_be_narrower_than_its_activation_and_never_wider() {
    let scene = Scene::new();
    let whole = scene.exporter.import_of(&scene.export, Some(&scene.activation()));
    let narrow = Import { subject: "prices.eu".into(), ..whole.clone() };
    assert!(scene.judge_import(&narrow, NOW).is_ok());
    let wide = Import { subject: ">".into(), ..whole };
    assert!(matches!(scene.judge_import(&wide, NOW), Err(ActivationRefusal::Subject(_))));
}

#[test]
fn a_signing_key_of_the_exporter_may_activate() {
    let scene = Scene::new();
    let mut claims = scene.activation();
    claims.issuer_account = Some(scene.exporter.key.public());
    let token = claims.encode(&scene.exporter.signing, NOW.as_secs()).expect("signed");
    let import = Import { token, ..scene.exporter.import_of(&scene.export, None) };
    assert!(scene.judge_import(&import, NOW).is_ok());
}

#[test]
fn an_activation_ends_and_is_revoked() {
    let mut scene = Scene::new();
    let mut claims = scene.activation();
    claims.common.expires = later(10).as_secs();
    let import = scene.exporter.import_of(&scene.export, Some(&claims));
    assert_eq!(scene.judge_import(&import, later(9)), Ok(Activation { expires: Some(later(10)) }));
    assert_eq!(scene.judge_import(&import, later(10)), Err(ActivationRefusal::Expired));

    let importer = Revoked::Key(scene.importer.key.public());
    scene.export.revocations.revoke(importer, NOW.as_secs() - 1);
    assert!(scene.judge_import(&import, NOW).is_ok(), "issued after the revocation");
    scene.export.revocations.revoke(importer, NOW.as_secs());
    assert_eq!(scene.judge_import(&import, NOW), Err(ActivationRefusal::Revoked));
}

#[test]
fn a_revocation_of_all_activations_counts() {
    let mut scene = Scene::new();
    scene.export.revocations.revoke(Revoked::All, NOW.as_secs());
    assert_eq!(scene.judge(&scene.activation()), Err(ActivationRefusal::Revoked));
}

#[test]
fn garbage_is_no_activation() {
    let scene = Scene::new();
    let import = Import { token: "a.b.c".into(), ..scene.exporter.import_of(&scene.export, None) };
    assert!(matches!(scene.judge_import(&import, NOW), Err(ActivationRefusal::Token(_))));
    let user = scene.exporter.user("joe").token();
    let import = Import { token: user, ..import };
    assert!(matches!(scene.judge_import(&import, NOW), Err(ActivationRefusal::Token(_))), "a user's token is none");
}
