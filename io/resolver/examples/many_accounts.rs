//! Fills a directory with accounts and measures how long it takes to open: `many_accounts <dir> <count>`.

use std::time::Instant;

use bulwark_resolver::{DirectorySettings, Resolver, Settings, Store};
use jwt::testing::{Chain, NOW};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("a directory")?;
    let count: usize = arguments.next().ok_or("a count")?.parse()?;
    let settings = DirectorySettings::at(&path);
    let mut directory = bulwark_resolver::Directory::full(&settings, NOW)?;
    let chain = Chain::new("acme");
    println!("operator: {}", chain.token());
    for at in directory.accounts(NOW).len()..count {
        let account = chain.account(&format!("account-{at}"));
        std::fs::write(format!("{path}/{}.jwt", account.key.public()), account.token())?;
    }
    directory.reload(NOW)?;
    drop(directory);
    let started = Instant::now();
    let resolver = Resolver::open(&Settings::Full(settings), NOW)?;
    println!("opened {count} accounts in {:?}", started.elapsed());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status.lines().filter(|line| line.starts_with("VmRSS")).for_each(|line| println!("{line}"));
    }
    drop(resolver);
    Ok(())
}
