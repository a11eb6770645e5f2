//! Colour schemes: contexts can be told apart by the colour of their tables.

use std::sync::OnceLock;

use console::Color;

/// The names of all schemes.
pub(crate) const SCHEMES: [&str; 8] = ["blue", "cyan", "double", "green", "magenta", "red", "rounded", "yellow"];

/// How tables are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
    #[default]
    Rounded,
    Double,
    Coloured(Color),
}

static CHOSEN: OnceLock<Scheme> = OnceLock::new();

impl Scheme {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "rounded" => Self::Rounded,
            "double" => Self::Double,
            "yellow" => Self::Coloured(Color::Yellow),
            "blue" => Self::Coloured(Color::Blue),
            "cyan" => Self::Coloured(Color::Cyan),
            "green" => Self::Coloured(Color::Green),
            "magenta" => Self::Coloured(Color::Magenta),
            "red" => Self::Coloured(Color::Red),
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rounded => "rounded",
            Self::Double => "double",
            Self::Coloured(Color::Yellow) => "yellow",
            Self::Coloured(Color::Blue) => "blue",
            Self::Coloured(Color::Cyan) => "cyan",
            Self::Coloured(Color::Green) => "green",
            Self::Coloured(Color::Magenta) => "magenta",
            Self::Coloured(_) => "red",
        }
    }

    /// The scheme of this run: one process shows one context.
    pub(crate) fn choose(self) {
        let _ = CHOSEN.set(self);
    }

    pub(crate) fn chosen() -> Self {
        CHOSEN.get().copied().unwrap_or_default()
    }

    /// Paints the drawn parts of columns and tables.
    pub(crate) fn ink(self, text: &str) -> String {
        match self {
            Self::Coloured(colour) => paint(text, colour),
            _ => text.to_owned(),
        }
    }
}

/// Colours a text on a terminal and leaves it alone elsewhere.
pub(crate) fn paint(text: &str, colour: Color) -> String {
    console::style(text).fg(colour).to_string()
}
