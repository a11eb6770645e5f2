//! The `nats` binary: everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    bulwark_cli::run(std::env::args_os())
}
