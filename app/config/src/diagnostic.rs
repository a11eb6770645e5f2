//! What is said about a configuration: one line each, with place and remedy.

use std::fmt;

use conf::Place;

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it is written; absent when it concerns the configuration as a whole.
    pub place: Option<Place>,
    /// The sentence that operators and their scripts know.
    pub text: String,
    /// What to do about it, where the sentence does not say.
    pub remedy: Option<String>,
}

impl Diagnostic {
    /// Something about a place.
    pub fn at(place: &Place, text: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), text: text.into(), remedy: None }
    }

    /// Something about the whole.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { place: None, text: text.into(), remedy: None }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            // A flag has a name and no line.
            Some(place) if place.line == 0 => write!(f, "{}: ", place.file)?,
            Some(place) => write!(f, "{place}: ")?,
            None => {}
        }
        f.write_str(&self.text)?;
        match &self.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

/// Why the server does not start. Warnings come first, then errors; each on a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// What is odd.
    pub warnings: Vec<Diagnostic>,
    /// What is wrong.
    pub errors: Vec<Diagnostic>,
    /// The command line itself is wrong: the usage text follows on standard output, and the exit code is 0, as scripts
    /// around the reference server expect.
    pub is_usage: bool,
}

impl Diagnostics {
    /// A single error.
    pub fn error(error: Diagnostic) -> Self {
        Self { errors: vec![error], ..Self::default() }
    }

    /// What the process ends with.
    pub const fn exit_code(&self) -> i32 {
        if self.is_usage { 0 } else { 1 }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.warnings.iter().chain(&self.errors).try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl std::error::Error for Diagnostics {}
