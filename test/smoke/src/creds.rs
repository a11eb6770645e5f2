//! A credentials file, as `nats auth` writes it.

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, jetstream};
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{Outcome, check, echo, round_trip, scene, text, until};

/// The scenes of somebody who is admitted.
pub(crate) async fn admitted(url: &str, file: &str) -> Outcome {
    scene("the server knows who came", identity(url, file)).await?;
    scene("the role decides", role(url, file)).await?;
    scene("a request is answered", request(url, file)).await?;
    scene("a stream keeps", stream(url, file)).await?;
    scene("nobody comes without credentials", nobody(url)).await
}

/// The scenes of somebody who is not.
pub(crate) async fn refused(url: &str, file: &str) -> Outcome {
    scene("the credentials are refused", refusal(url, file)).await
}

async fn joe(url: &str, file: &str) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    Ok(ConnectOptions::with_credentials_file(file).await?.max_reconnects(0).connect(url).await?)
}

async fn identity(url: &str, file: &str) -> Outcome {
    let one = joe(url, file).await?;
    let answer = one.request("$SYS.REQ.USER.INFO", "".into()).await?;
    let info: Value = serde_json::from_slice(&answer.payload)?;
    let data = &info["data"];
    check(data["user_name"] == "joe" && data["account_name"] == "shop", &info.to_string())
}

async fn role(url: &str, file: &str) -> Outcome {
    let (events, mut seen) = mpsc::unbounded_channel();
    let note = move |event: Event| {
        let events = events.clone();
        async move { drop(events.send(event.to_string())) }
    };
    let options = ConnectOptions::with_credentials_file(file).await?.max_reconnects(0).event_callback(note);
    let one = options.connect(url).await?;
    let mut own = one.subscribe("orders.joe.>").await?;
    one.publish("orders.sue.new", "not mine".into()).await?;
    one.publish("orders.joe.new", "mine".into()).await?;
    let message = own.next().await.ok_or("the subscription ended")?;
    check(message.subject.as_str() == "orders.joe.new" && text(&message) == "mine", "another message")?;
    until(&mut seen, "permissions violation for publish to \"orders.sue.new\"").await?;
    let _refused = one.subscribe("orders.>").await?;
    until(&mut seen, "permissions violation for subscription to \"orders.>\"").await
}

async fn request(url: &str, file: &str) -> Outcome {
    let (one, other) = (joe(url, file).await?, joe(url, file).await?);
    let service = one.subscribe("orders.joe.echo").await?;
    round_trip(&one).await?;
    tokio::spawn(echo(one, service));
    let reply = other.request("orders.joe.echo", "hello".into()).await?;
    check(text(&reply) == "you said hello", "another answer")
}

async fn stream(url: &str, file: &str) -> Outcome {
    let js = jetstream::new(joe(url, file).await?);
    let subjects = vec!["orders.joe.rust".into()];
    let config = jetstream::stream::Config { name: "RUST".into(), subjects, ..Default::default() };
    let stream = js.create_stream(config).await?;
    check(js.publish("orders.joe.rust", "x".into()).await?.await?.sequence == 1, "another sequence")?;
    check(stream.get_raw_message(1).await?.payload == "x", "another message")?;
    js.delete_stream("RUST").await?;
    Ok(())
}

async fn nobody(url: &str) -> Outcome {
    is_refusal(ConnectOptions::new().max_reconnects(0).connect(url).await)
}

async fn refusal(url: &str, file: &str) -> Outcome {
    is_refusal(ConnectOptions::with_credentials_file(file).await?.max_reconnects(0).connect(url).await)
}

fn is_refusal(login: Result<Client, ConnectError>) -> Outcome {
    let error = login.err().ok_or("the server let somebody in whom it should not know")?;
    check(error.kind() == ConnectErrorKind::AuthorizationViolation, &error.to_string())
}
