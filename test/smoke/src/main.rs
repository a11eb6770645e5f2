//! async-nats against a server with smoke.conf: `smoke URL`; with a credentials file: `smoke URL admitted|refused FILE`.
//! Ends with 1 at the first surprise.

mod creds;
mod streams;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, RequestErrorKind, Subscriber};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The key of the published example.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
/// The longest a scene may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [url] => play(url).await,
        [url, "admitted", file] => creds::admitted(url, file).await,
        [url, "refused", file] => creds::refused(url, file).await,
        _ => Err("smoke URL [admitted|refused FILE]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn play(url: &str) -> Outcome {
    scene("a wrong password is refused", wrong_password(url)).await?;
    scene("messages arrive in order", order(url)).await?;
    scene("a request is answered", request(url)).await?;
    scene("nobody answers", nobody(url)).await?;
    scene("a queue group shares", queue(url)).await?;
    scene("headers are carried", headers(url)).await?;
    scene("violations are seen", violations(url)).await?;
    scene("an unsubscription counts", unsubscribe(url)).await?;
    scene("a key signs in", key(url)).await?;
    scene("a stream keeps and consumers read", streams::stream_and_consumers(url)).await?;
    scene("a bucket of keys remembers", streams::keys(url)).await?;
    scene("a bucket of objects carries megabytes", streams::objects(url)).await?;
    println!("rust: 12 scenes");
    Ok(())
}

async fn scene(name: &str, scene: impl Future<Output = Outcome>) -> Outcome {
    timeout(PATIENCE, scene)
        .await
        .map_err(|_| format!("{name}: takes too long"))?
        .map_err(|error| format!("{name}: {error}"))?;
    println!("  rust: {name}");
    Ok(())
}

fn check(fact: bool, what: &str) -> Outcome {
    if fact { Ok(()) } else { Err(what.into()) }
}

fn user(name: &str, password: &str) -> ConnectOptions {
    ConnectOptions::with_user_and_password(name.into(), password.into()).max_reconnects(0)
}

async fn worker(url: &str) -> Result<Client, async_nats::ConnectError> {
    user("worker", "w0rker").connect(url).await
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

async fn wrong_password(url: &str) -> Outcome {
    let error = user("worker", "wrong").connect(url).await.err().ok_or("a wrong password logged in")?;
    check(error.to_string().contains("authorization"), &error.to_string())
}

async fn order(url: &str) -> Outcome {
    let (one, other) = (worker(url).await?, worker(url).await?);
    let mut subscription = one.subscribe("flow.*").await?;
    round_trip(&one).await?;
    for number in 0..100 {
        other.publish(format!("flow.{number}"), number.to_string().into()).await?;
    }
    other.flush().await?;
    for number in 0..100 {
        let message = subscription.next().await.ok_or("the subscription ended")?;
        check(text(&message) == number.to_string(), "out of order")?;
    }
    Ok(())
}

async fn request(url: &str) -> Outcome {
    let (one, other) = (worker(url).await?, worker(url).await?);
    let service = one.subscribe("svc.echo").await?;
    round_trip(&one).await?;
    tokio::spawn(echo(one, service));
    let reply = other.request("svc.echo", "hello".into()).await?;
    check(text(&reply) == "you said hello", "another answer")
}

/// Answers each request with what it said.
async fn echo(one: Client, mut service: Subscriber) {
    while let Some(message) = service.next().await {
        if let Some(reply) = message.reply.clone() {
            let answer = format!("you said {}", text(&message));
            let _ = one.publish(reply, answer.into()).await;
        }
    }
}

async fn nobody(url: &str) -> Outcome {
    let error = worker(url).await?.request("svc.nobody", "hello".into()).await.err().ok_or("somebody answered")?;
    check(error.kind() == RequestErrorKind::NoResponders, &error.to_string())
}

async fn queue(url: &str) -> Outcome {
    let (one, other, sender) = (worker(url).await?, worker(url).await?, worker(url).await?);
    let first = one.queue_subscribe("job", "crew".into()).await?;
    let second = other.queue_subscribe("job", "crew".into()).await?;
    round_trip(&one).await?;
    round_trip(&other).await?;
    for number in 0..200_u32 {
        sender.publish("job", number.to_string().into()).await?;
    }
    round_trip(&sender).await?;
    one.drain().await?;
    other.drain().await?;
    let first = numbers(first).await;
    let second = numbers(second).await;
    check(!first.is_empty() && !second.is_empty(), "one member got all")?;
    let mut all = [first, second].concat();
    all.sort_unstable();
    check(all == (0..200).collect::<Vec<_>>(), "lost or doubled")
}

async fn numbers(subscription: Subscriber) -> Vec<u32> {
    let numbers = subscription.map(|message| text(&message).parse().unwrap_or(u32::MAX));
    numbers.collect().await
}

async fn headers(url: &str) -> Outcome {
    let one = worker(url).await?;
    let mut subscription = one.subscribe("head").await?;
    let mut lines = HeaderMap::new();
    lines.append("A", "Apple");
    lines.append("Number", "1");
    lines.append("Number", "2");
    one.publish_with_headers("head", lines.clone(), "body".into()).await?;
    let message = subscription.next().await.ok_or("the subscription ended")?;
    check(message.headers.as_ref() == Some(&lines) && text(&message) == "body", "another message")
}

async fn violations(url: &str) -> Outcome {
    let (events, mut seen) = mpsc::unbounded_channel();
    let note = move |event: Event| {
        let events = events.clone();
        async move { drop(events.send(event.to_string())) }
    };
    let clerk = user("clerk", "cl3rk").event_callback(note).connect(url).await?;
    let boss = worker(url).await?;
    clerk.publish("billing.x", "nope".into()).await?;
    until(&mut seen, "permissions violation for publish to \"billing.x\"").await?;
    let _refused = clerk.subscribe("orders.>").await?;
    until(&mut seen, "permissions violation for subscription to \"orders.>\"").await?;
    let mut wide = clerk.subscribe("events.>").await?;
    round_trip(&clerk).await?;
    boss.publish("events.audit.x", "secret".into()).await?;
    boss.publish("events.open", "open".into()).await?;
    boss.flush().await?;
    let message = wide.next().await.ok_or("the subscription ended")?;
    check(message.subject.as_str() == "events.open", "the denied message came")
}

/// A flush only says that bytes were written; an answer says that they were understood.
async fn round_trip(client: &Client) -> Outcome {
    let inbox = client.new_inbox();
    let mut own = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, "".into()).await?;
    own.next().await.map(drop).ok_or("the subscription ended".into())
}

async fn until(seen: &mut mpsc::UnboundedReceiver<String>, text: &str) -> Outcome {
    while let Some(event) = seen.recv().await {
        if event.to_lowercase().contains(text) {
            return Ok(());
        }
    }
    Err(format!("never heard {text}").into())
}

async fn unsubscribe(url: &str) -> Outcome {
    let one = worker(url).await?;
    let mut subscription = one.subscribe("count").await?;
    subscription.unsubscribe_after(3).await?;
    for number in 0..10 {
        one.publish("count", number.to_string().into()).await?;
    }
    one.flush().await?;
    let heard: Vec<String> = subscription.map(|message| text(&message)).collect().await;
    check(heard == ["0", "1", "2"], "another number of messages")
}

async fn key(url: &str) -> Outcome {
    let one = ConnectOptions::with_nkey(SEED.into()).connect(url).await?;
    round_trip(&one).await
}
