//! Whether streams are well.

use api::monitoring::healthz::HealthError;
use api::monitoring::options::HealthzOptions;
use jetstream::Missing;
use jetstream_host::Desk;

use super::JetStream;

/// Something that is not well, with the status that says so over HTTP.
type Trouble = (u16, HealthError);

impl JetStream {
    /// What is wrong with the streams that are asked about; with all of them, if with none in particular.
    pub fn troubles(&self, wish: &HealthzOptions) -> Vec<Trouble> {
        // Nobody else is to wait for the answer, so it is not asked for under the lock.
        let Some(hand) = self.hand() else { return Vec::new() };
        let wish = wish.clone();
        let found = hand.ask(move |desk, _| examine(desk, &wish));
        found.unwrap_or_else(|| vec![trouble(503, "JETSTREAM", ["", "", ""], "JetStream does not answer".to_owned())])
    }
}

fn examine(desk: &Desk, wish: &HealthzOptions) -> Vec<Trouble> {
    if desk.has_failed() {
        // Nothing is acknowledged, which is what the reference calls switched off.
        return vec![trouble(503, "JETSTREAM", ["", "", ""], "JetStream not enabled (10076)".to_owned())];
    }
    if wish.enabled_only {
        return Vec::new();
    }
    let names @ [account, stream, consumer] = [&wish.account, &wish.stream, &wish.consumer].map(String::as_str);
    let is_meant = |of: &str, name: &str| is_asked(account, of) && (name.is_empty() || is_asked(stream, name));
    let lost = desk.unrecovered().filter(|(of, name)| is_meant(of, name));
    let lost = lost.map(|(of, name)| match name {
        // Without its key nobody knows which streams it has.
        "" => trouble(503, "ACCOUNT", [of, "", ""], format!("JetStream of account '{of}' is out of service")),
        _ => trouble(503, "STREAM", [of, name, ""], format!("JetStream stream '{of} > {name}' could not be recovered")),
    });
    let mut troubles: Vec<Trouble> = lost.collect();
    if account.is_empty() || !troubles.is_empty() {
        return troubles;
    }
    let missing = match desk.tenant(account).map(|tenant| tenant.look_for(stream, consumer)) {
        Some(Ok(())) => return troubles,
        None => trouble(404, "ACCOUNT", [account, "", ""], format!("JetStream account \"{account}\" not found")),
        Some(Err(Missing::Stream)) => {
            let text = format!("JetStream stream \"{stream}\" not found on account \"{account}\"");
            trouble(404, "STREAM", [account, stream, ""], text)
        }
        Some(Err(Missing::Consumer)) => {
            let text =
                format!("JetStream consumer \"{consumer}\" not found for stream \"{stream}\" on account \"{account}\"");
            trouble(404, "CONSUMER", names, text)
        }
    };
    troubles.push(missing);
    troubles
}

/// Whether a name is the one that is asked about; no name is any.
fn is_asked(asked: &str, name: &str) -> bool {
    asked.is_empty() || asked == name
}

fn trouble(status: u16, kind: &'static str, names: [&str; 3], text: String) -> Trouble {
    let [account, stream, consumer] = names.map(|name| (!name.is_empty()).then(|| name.to_owned()));
    (status, HealthError { kind, account, stream, consumer, error: Some(text) })
}
