//! One login from what was shown to what is granted.

use std::sync::Arc;

use anyhow::{Result, bail};

use crate::metrics::Metrics;
use crate::provider::{Identity, Provider, Shown, Verdict};
use crate::rules::{Grant, Rules};
use crate::settings::Settings;

/// Providers in their order, and the rules.
pub(crate) struct Decider {
    providers: Vec<Provider>,
    rules: Rules,
}

/// How a login ends.
#[derive(Debug)]
pub(crate) enum Decision {
    /// In, with this.
    Admit(Box<Identity>, Box<Grant>),
    /// Out; the text is for the server's log.
    Refuse(String),
    /// Out, because something we depend on is away.
    Unable(String),
}

impl Decider {
    pub(crate) fn new(settings: &Settings, metrics: Arc<Metrics>) -> Result<Self> {
        let mut providers: Vec<Provider> = Vec::new();
        for settings in &settings.providers {
            let provider = Provider::new(settings, &metrics)?;
            if providers.iter().any(|other| other.name() == provider.name()) {
                bail!("two providers are called {:?}: give one of them another name", provider.name());
            }
            providers.push(provider);
        }
        Ok(Self { providers, rules: Rules::new(&settings.rules)? })
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &str> {
        self.rules.accounts()
    }

    /// The first provider that takes the credentials for its own decides who it is; nobody after it is asked.
    pub(crate) async fn decide(&self, shown: &Shown) -> Decision {
        for provider in &self.providers {
            match provider.judge(shown).await {
                Verdict::NotMine => {}
                Verdict::Wrong(why) => return Decision::Refuse(why),
                Verdict::Away(error) => return Decision::Unable(format!("{error:#}")),
                Verdict::Known(identity) => {
                    return match self.rules.grant(&identity) {
                        Ok(grant) => Decision::Admit(identity, grant.into()),
                        Err(why) => Decision::Refuse(why),
                    };
                }
            }
        }
        Decision::Refuse("no provider knows these credentials".to_owned())
    }
}
