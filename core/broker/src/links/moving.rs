//! Accounts that get a route of their own while routes stand, or lose it. The connections of the pool stay: each end tells
//! nothing of the account there any more, forgets what the other one wanted in it, and says so.

use std::sync::Arc;

use topology::Info;
use wire::CloseReason;

use crate::connection::{Connection, Step};
use crate::engine::Engine;
use crate::hub::Hub;
use crate::link::LinkKind;
use crate::links::registry::{ActiveRoute, Moved};
use crate::links::route::{Route, RouteActive, Stage};
use crate::links::settings::{RouteSettings, WantedRoute};
use crate::links::{Said, ServerLink};
use crate::mailbox::Note;
use crate::worker::Hands;

impl Hub {
    /// These accounts have a route of their own from now on, and no others.
    pub fn dedicate_routes(&self, accounts: &[String]) {
        for moved in self.links.dedicate(None, |_| accounts.to_vec()) {
            self.carry_out(&moved, true);
        }
        // Another server may have told of a move before; whoever made the routes of the pool makes this one, too.
        for known in self.links.all() {
            if let (LinkKind::Route, Some(remote), "") = (known.link.kind, known.remote, &*known.remote_account) {
                for account in accounts {
                    self.links.wanted(WantedRoute::Like(remote, Some(account.clone())));
                }
            }
        }
    }

    fn carry_out(&self, moved: &Moved, is_told: bool) {
        let Moved { route, carried, leave, come, ends } = moved;
        let (link, key) = (&route.peer.link, route.peer.link.key);
        if *ends {
            return link.post(key.worker, Note::Close(key, CloseReason::RouteRemoved));
        }
        for account in leave {
            if let Some(state) = self.account_named(account) {
                state.forget_link(link);
            }
            let told = (is_told && carried.contains(account)).then(|| request(route, account));
            let account = account.clone();
            let act = move |hands: &mut Hands<'_>| {
                hands.account_leaves(account.as_bytes(), told.as_ref());
                Step::Continue
            };
            link.post(key.worker, Note::Do(key, Box::new(act)));
        }
        for account in come {
            if let Some(state) = self.account_named(account) {
                route.attach(&state);
            }
        }
    }
}

/// Tells the far end of a move. It sends back what stands here, so the name of the account is a good name for the request.
fn request(route: &ActiveRoute, account: &str) -> Info {
    Info {
        route_pool_size: i64::from(route.pool_size),
        route_account: account.to_owned(),
        route_acc_add_reqid: account.to_owned(),
        ..Info::default()
    }
}

impl Engine {
    /// The far end gives an account a route of its own. This one takes it when it comes; an account that is not here moves
    /// nowhere.
    pub(crate) fn route_told_of_move(
        &mut self,
        connection: &Connection,
        active: &mut RouteActive,
        account: &str,
        answer: &Info,
    ) {
        if self.hub.account_named(account).is_some() {
            let settings = self.hub.links.settings.load_full();
            if let Some(routes) = settings.routes.as_ref().filter(|routes| routes.rules.pool_size.is_some()) {
                let mut routes = RouteSettings::clone(routes);
                if !routes.rules.dedicated.iter().any(|known| known == account) {
                    routes.rules.dedicated.push(account.to_owned());
                    let routes = Some(Arc::new(routes));
                    self.hub.set_links(crate::LinkSettings { routes, ..(*settings).clone() });
                }
                let more = |known: &[String]| {
                    let new = Some(account.to_owned()).filter(|new| !known.contains(new));
                    known.iter().cloned().chain(new).collect()
                };
                for moved in self.hub.links.dedicate(Some(&active.server_id), more) {
                    self.hub.carry_out(&moved, false);
                }
            }
        }
        self.forget_wants(active, account.as_bytes());
        self.say_info(&connection.link, answer);
    }

    /// The far end has heard of a move: what it wanted until then is forgotten.
    pub(crate) fn route_told_of_moved(&mut self, active: &mut RouteActive, account: &str) {
        let settings = self.hub.links.settings.load();
        let moves = |routes: &Arc<RouteSettings>| routes.rules.dedicated.iter().any(|known| known == account);
        if active.account.is_none() && settings.routes.as_ref().is_some_and(moves) {
            self.forget_wants(active, account.as_bytes());
        }
    }

    /// An account is no longer carried by this connection.
    pub(crate) fn account_leaves(&mut self, connection: &mut Connection, account: &[u8], told: Option<&Info>) {
        self.with_link(connection, |engine, connection, server| {
            if let ServerLink::Route(Route { stage: Stage::Active(active), .. }) = server {
                engine.forget_wants(active, account);
                if let Some(info) = told {
                    engine.say_info(&connection.link, info);
                }
            }
            Said::Done
        });
    }

    fn forget_wants(&mut self, active: &mut RouteActive, account: &[u8]) {
        if let Some(wants) = active.wants.forget(account) {
            self.link_wants_nothing(&wants);
        }
    }
}
