//! Imports along which a message would come back to where it came from.
//!
//! The imports of all accounts are the nodes of a graph. One leads to another if the exporter of the first is the account
//! of the second and the subjects meet. Every import on a circle is refused, so the answer does not depend on who was
//! defined first. The search visits each import once.

use std::collections::HashMap;

use subject::Filter;

use crate::name::AccountName;

/// One import, as far as circles are concerned.
pub(super) struct Step<'a> {
    /// Who imports.
    pub(super) account: &'a AccountName,
    /// What it is called there.
    pub(super) local: &'a Filter,
    /// From whom.
    pub(super) exporter: &'a AccountName,
    /// What it is called there.
    pub(super) subject: &'a Filter,
}

/// Which of the steps are part of a circle. Tarjan's strongly connected components, without recursion.
pub(super) fn on_circles(steps: &[Step<'_>]) -> Vec<bool> {
    let mut of_account: HashMap<&AccountName, Vec<usize>> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        of_account.entry(step.account).or_default().push(at);
    }
    let next_of = |at: usize| -> Vec<usize> {
        let Some(step) = steps.get(at) else { return Vec::new() };
        let candidates = of_account.get(step.exporter).map(Vec::as_slice).unwrap_or_default();
        let meets = |&&next: &&usize| steps.get(next).is_some_and(|next| step.subject.overlaps(next.local));
        candidates.iter().filter(meets).copied().collect()
    };
    let mut search = Search { index: vec![None; steps.len()], low: vec![0; steps.len()], ..Search::default() };
    search.on_stack = vec![false; steps.len()];
    search.found = vec![false; steps.len()];
    for at in 0..steps.len() {
        search.from(at, &next_of);
    }
    search.found
}

#[derive(Default)]
struct Search {
    index: Vec<Option<usize>>,
    low: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<usize>,
    found: Vec<bool>,
    next: usize,
}

#[allow(clippy::indexing_slicing, reason = "all indices are those of the steps")]
impl Search {
    fn from(&mut self, start: usize, next_of: &dyn Fn(usize) -> Vec<usize>) {
        if self.index[start].is_some() {
            return;
        }
        let mut work = vec![(start, self.enter(start, next_of), 0)];
        while let Some((at, nexts, done)) = work.last_mut() {
            let at = *at;
            if let Some(&next) = nexts.get(*done) {
                *done += 1;
                match self.index[next] {
                    None => {
                        let nexts = self.enter(next, next_of);
                        work.push((next, nexts, 0));
                    }
                    Some(index) if self.on_stack[next] => self.low[at] = self.low[at].min(index),
                    Some(_) => {}
                }
                continue;
            }
            let to_itself = nexts.contains(&at);
            work.pop();
            if let Some((before, ..)) = work.last() {
                self.low[*before] = self.low[*before].min(self.low[at]);
            }
            self.leave(at, to_itself);
        }
    }

    fn enter(&mut self, at: usize, next_of: &dyn Fn(usize) -> Vec<usize>) -> Vec<usize> {
        self.index[at] = Some(self.next);
        self.low[at] = self.next;
        self.next += 1;
        self.stack.push(at);
        self.on_stack[at] = true;
        next_of(at)
    }

    /// All that can be reached from here was seen: if nothing leads further back, a component is complete.
    fn leave(&mut self, at: usize, to_itself: bool) {
        if self.index[at] != Some(self.low[at]) {
            return;
        }
        let begin = self.stack.iter().rposition(|&other| other == at).unwrap_or(0);
        let component = self.stack.split_off(begin);
        let circle = component.len() > 1 || to_itself;
        for member in component {
            self.on_stack[member] = false;
            self.found[member] = circle;
        }
    }
}
