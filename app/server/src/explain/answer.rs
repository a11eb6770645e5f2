//! One answer, in words and as JSON.

use auth::{Explanation, Outcome, Remedy};
use serde_json::{Value, json};

/// What comes of a wish, and what would have to change.
pub struct Answer {
    pub explained: Explanation,
    pub remedies: Vec<Remedy>,
    /// What mappings and imports make of it.
    pub ways: Vec<String>,
    /// Limits that bear on it.
    pub bounds: Vec<String>,
    /// A limit that lets nothing through at all.
    pub barred: Option<String>,
}

impl Answer {
    /// Whether at least something of the wish is granted.
    pub fn is_yes(&self) -> bool {
        self.barred.is_none() && matches!(self.explained.outcome, Outcome::Allowed { .. })
    }

    /// The same for whoever it is about: nothing of where rules are written, nor of other accounts.
    #[must_use]
    pub fn for_oneself(self) -> Self {
        let hidden = |remedy: Remedy| remedy.without_places();
        let remedies = self.remedies.into_iter().map(hidden).collect();
        let outcome = self.explained.outcome.without_places();
        Self { explained: Explanation { outcome, ..self.explained }, remedies, ways: Vec::new(), ..self }
    }

    /// `allowed`, `filtered` or `denied`.
    pub fn word(&self) -> &'static str {
        if self.barred.is_some() { "denied" } else { word(&self.explained.outcome) }
    }

    /// Why, in one sentence.
    pub fn why(&self) -> String {
        self.barred.clone().unwrap_or_else(|| why(&self.explained.outcome))
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let Explanation { account, user, wish, .. } = &self.explained;
        let remedies: Vec<String> = self.remedies.iter().map(Remedy::to_string).collect();
        json!({
            "account": account.to_string(),
            "user": user,
            "wish": wish,
            "verdict": self.word(),
            "why": self.why(),
            "ways": self.ways,
            "limits": self.bounds,
            "to_change": remedies,
        })
    }
}

/// `allowed`, `filtered` or `denied`.
pub fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Denied(_) => "denied",
        Outcome::Allowed { withheld, .. } if withheld.is_empty() => "allowed",
        Outcome::Allowed { .. } => "filtered",
    }
}

/// Why, in one sentence, without the word.
pub fn why(outcome: &Outcome) -> String {
    let text = outcome.to_string();
    text.split_once(": ").map_or(text.clone(), |(_, why)| why.to_owned())
}
