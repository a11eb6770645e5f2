//! Opening the store for the desk: what was found goes to the port.

use crate::desk::DeskSettings;
use crate::shelf::Shelving;
use crate::{Port, Report};
use std::sync::Arc;
use store::{Destroyed, Disk, Entropy, Root, StoreError, open_store};

/// The store directory and the shelves in it, and whether the store was made just now.
pub(crate) fn open_shelves(
    disk: &Arc<dyn Disk>,
    entropy: &Arc<dyn Entropy>,
    settings: &DeskSettings,
    port: &dyn Port,
) -> Result<(Root, Shelving, bool), StoreError> {
    let opened = open_store(disk.clone(), entropy.clone(), &settings.sealing)?;
    opened.findings.iter().for_each(|finding| port.report(Report::Finding(finding.to_string())));
    let newest = opened.root.stream_ids()?.last().map_or(0, |id| id.0);
    for Destroyed { account, streams, .. } in opened.destroyed {
        port.report(Report::KeyDestroyed { account, streams });
    }
    let kept = (opened.meta, opened.keyring);
    let shelving = Shelving::new(opened.root.context(), kept, settings.files, settings.bounds, newest);
    Ok((opened.root, shelving, opened.is_new))
}
