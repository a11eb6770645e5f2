use account::AccountIds;
use auth::{Directory, Permissions};

use super::*;
use crate::chance::Secure;
use crate::login::{LoginDesk, LoginJob};
use crate::{ClientSettings, NobodyWatches};

struct Nobody;

impl LoginDesk for Nobody {
    fn submit(&self, job: LoginJob) -> Result<(), LoginJob> {
        Err(job)
    }
}

impl Secure for Nobody {
    fn fill(&self, _: &mut [u8]) {}
}

fn plans() -> (Plans, Arc<AccountState>) {
    let directory = Directory::build(&auth::settings::Settings::default(), &mut AccountIds::default()).unwrap();
    let (settings, watcher) = (ClientSettings::default(), Arc::new(NobodyWatches));
    let hub = Hub::new(Arc::new([]), directory, settings, watcher, Arc::new(Nobody), Arc::new(Nobody), 1);
    let account = hub.account_named(account::GLOBAL).unwrap();
    (Plans::new(hub, 1), account)
}

fn kept(plans: &Plans) -> usize {
    plans.places.iter().filter(|place| place.plan.is_some()).count()
}

#[test]
fn a_subject_is_kept_when_it_comes_again_and_a_marked_reply_never_is() {
    let (mut plans, account) = plans();
    let rights = Permissions::everything();
    let mut ask = |subject: &[u8]| {
        let plan = plans.get(Route(1), &account, Whence::HERE, subject, |named| crate::publish::judge(&rights, named));
        drop(plan);
        kept(&plans)
    };
    for _ in 0..4 {
        assert_eq!(ask(b"_GR_.abcdef.ghijkl.inbox"), 0);
        assert_eq!(ask(b"$GR.abcd.inbox"), 0);
    }
    assert_eq!((ask(b"orders"), ask(b"orders"), ask(b"orders")), (0, 1, 1));
    assert_eq!(ask(b"_GR_.short"), 1);
    assert_eq!(ask(b"_GR_.short"), 2, "what is no mark is a subject like any other");
}
