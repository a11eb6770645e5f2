//! The trie of filters with wildcards. Its depth is bounded by `MAX_FILTER_TOKENS`.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::tips::Tips;

/// A place in the trie, reached by some tokens.
pub(super) struct Node<T> {
    /// Filters that end here.
    here: Tips<T>,
    /// Filters that end with `>` after this place.
    rest: Tips<T>,
    star: Option<Box<Node<T>>>,
    branches: Branches<T>,
}

/// Literal tokens onward. Most places have one way on.
enum Branches<T> {
    None,
    One(Box<Branch<T>>),
    Many(Box<HashTable<Box<Branch<T>>>>),
}

struct Branch<T> {
    token: Box<[u8]>,
    node: Node<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { here: Tips::None, rest: Tips::None, star: None, branches: Branches::None }
    }
}

/// The first token, and the tokens after it if there are any.
#[inline]
fn cut(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = bytes.splitn(2, |&byte| byte == b'.');
    (parts.next().unwrap_or_default(), parts.next())
}

impl<T> Node<T> {
    /// The place for things under this filter, made if missing.
    pub(super) fn tips_mut(&mut self, filter: &[u8], hasher: &FixedState) -> &mut Tips<T> {
        let (mut node, mut ahead) = (self, Some(filter));
        while let Some(tokens) = ahead {
            let (token, after) = cut(tokens);
            node = match token {
                b">" => return &mut node.rest,
                b"*" => node.star.get_or_insert_default(),
                _ => node.branches.grow(token, hasher),
            };
            ahead = after;
        }
        &mut node.here
    }

    /// Takes one thing out, and on the way back the places it leaves empty.
    pub(super) fn remove(
        &mut self,
        filter: &[u8],
        hasher: &FixedState,
        wanted: &mut impl FnMut(&T) -> bool,
    ) -> Option<T> {
        let (token, after) = cut(filter);
        match token {
            b">" => self.rest.remove(wanted),
            b"*" => {
                let star = self.star.as_mut()?;
                let removed = star.remove_after(after, hasher, wanted)?;
                if star.is_bare() {
                    self.star = None;
                }
                Some(removed)
            }
            _ => {
                let branch = self.branches.find_mut(token, hasher)?;
                let removed = branch.remove_after(after, hasher, wanted)?;
                if branch.is_bare() {
                    self.branches.prune(token, hasher);
                }
                Some(removed)
            }
        }
    }

    fn remove_after(
        &mut self,
        after: Option<&[u8]>,
        hasher: &FixedState,
        wanted: &mut impl FnMut(&T) -> bool,
    ) -> Option<T> {
        match after {
            Some(tokens) => self.remove(tokens, hasher, wanted),
            None => self.here.remove(wanted),
        }
    }

    /// Nothing ends here and nothing goes on from here.
    pub(super) fn is_bare(&self) -> bool {
        self.here.is_empty() && self.rest.is_empty() && self.star.is_none() && matches!(self.branches, Branches::None)
    }

    /// Everything whose filter matches the subject's remaining tokens.
    pub(super) fn matches(&self, ahead: Option<&[u8]>, hasher: &FixedState, found: &mut impl FnMut(&T)) {
        let (mut node, mut ahead) = (self, ahead);
        while let Some(tokens) = ahead {
            node.rest.for_each(found);
            let (token, after) = cut(tokens);
            let branch = node.branches.find(token, hasher);
            node = match (branch, node.star.as_deref()) {
                (Some(branch), Some(star)) => {
                    branch.matches(after, hasher, found);
                    star
                }
                (Some(only), None) | (None, Some(only)) => only,
                (None, None) => return,
            };
            ahead = after;
        }
        node.here.for_each(found);
    }

    /// Everything under exactly the filter's remaining tokens.
    pub(super) fn exact(&self, ahead: Option<&[u8]>, hasher: &FixedState, found: &mut impl FnMut(&T)) {
        let (mut node, mut ahead) = (self, ahead);
        while let Some(tokens) = ahead {
            let (token, after) = cut(tokens);
            let next = match token {
                b">" => return node.rest.for_each(found),
                b"*" => node.star.as_deref(),
                _ => node.branches.find(token, hasher),
            };
            let Some(next) = next else { return };
            (node, ahead) = (next, after);
        }
        node.here.for_each(found);
    }

    /// Everything whose filter covers the filter's remaining tokens. `*` is covered by wildcards only, `>` by `>` only.
    pub(super) fn covering(&self, ahead: Option<&[u8]>, hasher: &FixedState, found: &mut impl FnMut(&T)) {
        let Some(tokens) = ahead else {
            return self.here.for_each(found);
        };
        self.rest.for_each(found);
        let (token, after) = cut(tokens);
        if token == b">" {
            return;
        }
        if let Some(star) = &self.star {
            star.covering(after, hasher, found);
        }
        // No branch is called `*`, so a wildcard finds none here.
        if let Some(branch) = self.branches.find(token, hasher) {
            branch.covering(after, hasher, found);
        }
    }

    /// Everything whose filter overlaps the filter's remaining tokens.
    pub(super) fn overlaps(&self, ahead: Option<&[u8]>, hasher: &FixedState, found: &mut impl FnMut(&T)) {
        let Some(tokens) = ahead else {
            return self.here.for_each(found);
        };
        let (token, after) = cut(tokens);
        if token == b">" {
            return self.for_each_below(found);
        }
        self.rest.for_each(found);
        if let Some(star) = &self.star {
            star.overlaps(after, hasher, found);
        }
        if token == b"*" {
            self.branches.for_each(&mut |branch| branch.overlaps(after, hasher, found));
        } else if let Some(branch) = self.branches.find(token, hasher) {
            branch.overlaps(after, hasher, found);
        }
    }

    /// Everything kept here and further on.
    pub(super) fn for_each(&self, found: &mut impl FnMut(&T)) {
        self.here.for_each(found);
        self.for_each_below(found);
    }

    /// Everything that needs at least one more token.
    fn for_each_below(&self, found: &mut impl FnMut(&T)) {
        self.rest.for_each(found);
        if let Some(star) = &self.star {
            star.for_each(found);
        }
        self.branches.for_each(&mut |branch| branch.for_each(found));
    }
}

impl<T> Branches<T> {
    #[inline]
    fn find(&self, token: &[u8], hasher: &FixedState) -> Option<&Node<T>> {
        match self {
            Self::None => None,
            Self::One(only) => (*only.token == *token).then_some(&only.node),
            Self::Many(all) => {
                all.find(hasher.hash_one(token), |branch| *branch.token == *token).map(|branch| &branch.node)
            }
        }
    }

    fn find_mut(&mut self, token: &[u8], hasher: &FixedState) -> Option<&mut Node<T>> {
        match self {
            Self::None => None,
            Self::One(only) => (*only.token == *token).then_some(&mut only.node),
            Self::Many(all) => {
                all.find_mut(hasher.hash_one(token), |branch| *branch.token == *token).map(|branch| &mut branch.node)
            }
        }
    }

    /// The branch of this token, made if missing.
    fn grow(&mut self, token: &[u8], hasher: &FixedState) -> &mut Node<T> {
        if self.find(token, hasher).is_none() {
            let branch = Box::new(Branch { token: token.into(), node: Node::default() });
            *self = match std::mem::replace(self, Self::None) {
                Self::None => Self::One(branch),
                Self::One(first) => Self::Many(Box::new(table_of([first, branch], hasher))),
                Self::Many(mut all) => {
                    put(&mut all, branch, hasher);
                    Self::Many(all)
                }
            };
        }
        self.find_mut(token, hasher).expect("the branch was found or has just been made")
    }

    /// Removes the branch of this token.
    fn prune(&mut self, token: &[u8], hasher: &FixedState) {
        match self {
            Self::One(only) if *only.token == *token => *self = Self::None,
            Self::Many(all) => {
                if let Ok(found) = all.find_entry(hasher.hash_one(token), |branch| *branch.token == *token) {
                    found.remove();
                }
                if all.len() == 1 {
                    let last = all.drain().next();
                    *self = last.map_or(Self::None, Self::One);
                }
            }
            _ => {}
        }
    }

    fn for_each<'a>(&'a self, found: &mut dyn FnMut(&'a Node<T>)) {
        match self {
            Self::None => {}
            Self::One(only) => found(&only.node),
            Self::Many(all) => all.iter().for_each(|branch| found(&branch.node)),
        }
    }
}

fn table_of<T>(branches: [Box<Branch<T>>; 2], hasher: &FixedState) -> HashTable<Box<Branch<T>>> {
    let mut table = HashTable::new();
    branches.into_iter().for_each(|branch| put(&mut table, branch, hasher));
    table
}

fn put<T>(table: &mut HashTable<Box<Branch<T>>>, branch: Box<Branch<T>>, hasher: &FixedState) {
    table.insert_unique(hasher.hash_one(&*branch.token), branch, |kept| hasher.hash_one(&*kept.token));
}
