//! Who goes to whom: the part of a server that makes connections, without threads.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker::{ClusterNews, LinkDesk, LinkEnd, RemoteId, WantedRoute};

/// Connections to each server of the cluster.
pub(crate) const POOL_SIZE: usize = 3;

/// Between attempts.
const AGAIN: Duration = Duration::from_secs(1);

/// A server to which this one goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// One of the cluster.
    Route { node: usize, server_id: Option<String> },
    /// Any server of another cluster.
    Gateway { cluster: String, nodes: Vec<usize> },
    /// Any server of the hub's cluster.
    Leaf { nodes: Vec<usize> },
}

struct Remote {
    way: Way,
    parked_for: Option<String>,
}

#[derive(Default)]
struct State {
    remotes: BTreeMap<u64, Remote>,
    next: u64,
    dials: Vec<(RemoteId, Duration)>,
}

/// Hears of connections, and wants others.
#[derive(Default)]
pub(crate) struct Desk(Mutex<State>);

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes there from now on.
    pub(crate) fn add(&self, way: Way) {
        add(&mut self.state(), way);
    }

    /// Connections that are wanted since it was last asked, and after how long.
    pub(crate) fn dials(&self) -> Vec<(RemoteId, Duration)> {
        std::mem::take(&mut self.state().dials)
    }

    /// Where this one leads.
    pub(crate) fn way(&self, remote: RemoteId) -> Option<Way> {
        self.state().remotes.get(&remote.0).map(|known| known.way.clone())
    }

    /// It could not be reached.
    pub(crate) fn failed(&self, remote: RemoteId) {
        self.state().dials.push((remote, AGAIN));
    }
}

fn add(state: &mut State, way: Way) {
    state.next += 1;
    let id = state.next;
    state.remotes.insert(id, Remote { way, parked_for: None });
    state.dials.push((RemoteId(id), Duration::ZERO));
}

/// The number in `10.0.0.7:6222` and in `nats-route://10.0.0.7:6222/`.
pub(crate) fn node_of(url: &str) -> Option<usize> {
    let (_, rest) = url.split_once("10.0.0.")?;
    rest.split([':', '/']).next()?.parse().ok()
}

impl LinkDesk for Desk {
    fn ready(&self, remote: RemoteId) -> bool {
        self.state().remotes.contains_key(&remote.0)
    }

    fn wanted(&self, route: WantedRoute) {
        let mut state = self.state();
        let routes = |state: &State, to: usize| {
            state
                .remotes
                .values()
                .filter(|remote| matches!(&remote.way, Way::Route { node, .. } if *node == to))
                .count()
        };
        match route {
            WantedRoute::Like(like, None) => {
                let Some(way) = state.remotes.get(&like.0).map(|remote| remote.way.clone()) else { return };
                let Way::Route { node, .. } = &way else { return };
                if routes(&state, *node) < POOL_SIZE {
                    add(&mut state, way);
                }
            }
            WantedRoute::Like(..) => {}
            WantedRoute::Server { server_id, url } => {
                let Some(node) = node_of(&url) else { return };
                if routes(&state, node) == 0 {
                    add(&mut state, Way::Route { node, server_id: Some(server_id) });
                }
            }
        }
    }

    fn heard_of(&self, news: ClusterNews) {
        let mut state = self.state();
        let heard: Vec<usize> = news.urls.iter().filter_map(|url| node_of(url)).collect();
        for remote in state.remotes.values_mut() {
            if let Way::Gateway { cluster, nodes } = &mut remote.way
                && *cluster == news.name
            {
                nodes.extend(heard);
                nodes.sort_unstable();
                nodes.dedup();
                return;
            }
        }
        add(&mut state, Way::Gateway { cluster: news.name, nodes: heard });
    }

    // Leaf nodes of the simulation know every server of their hub's cluster.
    fn heard_of_hubs(&self, _: RemoteId, _: Vec<String>) {}

    fn clusters(&self) -> Vec<(String, Vec<String>)> {
        let state = self.state();
        let clusters = state.remotes.values().filter_map(|remote| match &remote.way {
            Way::Gateway { cluster, nodes } => {
                Some((cluster.clone(), nodes.iter().map(|node| format!("10.0.0.{node}:7222")).collect()))
            }
            Way::Route { .. } | Way::Leaf { .. } => None,
        });
        clusters.collect()
    }

    fn lost(&self, server_id: &str) {
        let mut state = self.state();
        let State { remotes, dials, .. } = &mut *state;
        for (id, remote) in remotes {
            if remote.parked_for.as_deref() == Some(server_id) {
                remote.parked_for = None;
                dials.push((RemoteId(*id), AGAIN));
            }
        }
    }

    fn ended(&self, remote: RemoteId, end: LinkEnd) {
        let mut state = self.state();
        let Some(known) = state.remotes.get_mut(&remote.0) else { return };
        if end.duplicate_of.is_some() {
            known.parked_for = end.duplicate_of;
            return;
        }
        state.dials.push((remote, end.delay.unwrap_or(AGAIN)));
    }
}
