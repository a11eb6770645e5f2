//! `bench tenants`: how long a server with ten thousand accounts of ten users takes to be ready, and what it holds then.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::start;
use crate::Failure;

/// Accounts, and users of each.
const ACCOUNTS: usize = 10_000;
const USERS: usize = 10;

/// Starts the servers in turn and tells the medians.
pub(super) fn run(rivals: &[(String, PathBuf)], repeat: usize) -> Result<String, Failure> {
    let folder = std::env::temp_dir().join(format!("bulwark-tenants-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    fs::write(folder.join("tenants.conf"), config()).map_err(|error| error.to_string())?;
    let start = |_: &str, binary: &Path| start::start(binary, &folder, "tenants.conf");
    let medians = start::in_turn(rivals, repeat, start, |server| {
        drop(server);
        Ok(())
    });
    // What is left there is in nobody's way.
    let _ = fs::remove_dir_all(&folder);
    Ok(format!("{ACCOUNTS} accounts with {USERS} users each, median of {repeat} starts in turn\n{}", medians?))
}

fn config() -> String {
    let mut text = "accounts {\n".to_owned();
    for account in 0..ACCOUNTS {
        let _ = writeln!(text, "  A{account:05} {{ users [");
        for user in 0..USERS {
            let _ = writeln!(text, "    {{ user: u{account:05}x{user}, password: p{account:05}x{user} }}");
        }
        text.push_str("  ] }\n");
    }
    text.push_str("}\n");
    text
}
