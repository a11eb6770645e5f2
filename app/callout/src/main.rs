//! Reads the command line of `nats-callout`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Decides logins for NATS servers: OpenID Connect, LDAP, static file
#[derive(Parser)]
#[command(name = "nats-callout", version)]
struct Arguments {
    /// Configuration file
    #[arg(long, short = 'c', value_name = "FILE")]
    config: PathBuf,
    /// Test the configuration and exit
    #[arg(long, short = 't')]
    test: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(error.into())),
    };
    if arguments.test {
        let _inside = runtime.enter();
        let checked = bulwark_callout::check(&arguments.config);
        if checked.is_ok() {
            eprintln!("nats-callout: configuration file {} is valid", arguments.config.display());
        }
        return ended(checked);
    }
    let served = runtime.block_on(bulwark_callout::run(&arguments.config));
    runtime.shutdown_background();
    ended(served)
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nats-callout: {error:#}");
            ExitCode::FAILURE
        }
    }
}
