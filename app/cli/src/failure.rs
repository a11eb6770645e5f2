//! How a command ends when it does not end well.

use std::fmt;
use std::process::ExitCode;

/// An end with a code of its own, after everything there is to say has been said.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) u8);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Ended {}

/// An error and what can be done about it: the text stands alone on the first line, the advice below it.
#[derive(Debug)]
pub(crate) struct Advised {
    pub(crate) text: String,
    pub(crate) advice: String,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Advised {}

/// An error that comes with advice.
pub(crate) fn advise(text: impl Into<String>, advice: impl Into<String>) -> anyhow::Error {
    Advised { text: text.into(), advice: advice.into() }.into()
}

/// Prints why a command failed and gives the code to exit with.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(Ended(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    eprintln!("nats: error: {error:#}");
    if let Some(advised) = error.downcast_ref::<Advised>() {
        eprintln!("\nhint: {}", advised.advice);
    }
    ExitCode::FAILURE
}
