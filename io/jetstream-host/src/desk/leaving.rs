//! Files that nothing needs any more go some at a time: a stream may leave thousands behind.

use super::{Desk, Outcome};
use jetstream::Tenant;
use store::{StoreError, StreamId, stream_dir};

/// Files that are removed in one round.
const FILES_AT_ONCE: usize = 16;

impl Desk {
    /// Removes files of streams that are gone, if it is durable that they are, and then those that streams left behind.
    pub(super) fn remove_discarded(&mut self, outcome: &Outcome) {
        if outcome.meta_failed {
            return;
        }
        let mut left = FILES_AT_ONCE;
        while left > 0
            && let Some(id) = self.shelving.discarded.pop()
        {
            match self.remove_files(StreamId(id), &mut left) {
                Ok(true) => drop(self.shelving.forget_gone(id)),
                Ok(false) => self.shelving.discarded.push(id),
                // They are found again at the next start.
                Err(_) => {}
            }
        }
        self.remove_leaving(left);
    }

    /// Removes the files of a stream, some at a time. Whether they are gone.
    fn remove_files(&self, id: StreamId, left: &mut usize) -> Result<bool, StoreError> {
        let dir = stream_dir(id);
        let names = self.disk.list(&dir).unwrap_or_default();
        let most = std::mem::replace(left, left.saturating_sub(names.len() + 1));
        if names.len() <= FILES_AT_ONCE {
            return self.root.remove_stream(id).map(|()| true);
        }
        // A directory among them goes with the rest, at the end.
        let removed = names.iter().filter(|name| self.disk.remove(&format!("{dir}/{name}")).is_ok());
        match removed.take(most).count() {
            0 => self.root.remove_stream(id).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Removes files that streams left behind which go on.
    fn remove_leaving(&mut self, mut left: usize) {
        self.is_leaving = false;
        for stream in self.tenants.values_mut().filter(|tenant| tenant.is_awake()).flat_map(Tenant::streams_mut) {
            if stream.log.is_leaving() {
                left -= stream.log.remove_leaving(left).min(left);
                self.is_leaving |= stream.log.is_leaving();
            }
        }
    }
}
