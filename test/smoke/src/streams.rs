//! Streams, buckets of keys and of objects.

use async_nats::jetstream::{self, consumer, kv, message::PublishMessage, object_store, stream};
use futures::{StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;

use crate::{Outcome, check, worker};

async fn context(url: &str) -> Result<jetstream::Context, async_nats::ConnectError> {
    worker(url).await.map(jetstream::new)
}

/// A stream keeps, consumers of every kind read.
pub(crate) async fn stream_and_consumers(url: &str) -> Outcome {
    let js = context(url).await?;
    let subjects = vec!["rust.>".into()];
    let config = stream::Config { name: "RUST".into(), subjects, allow_direct: true, ..stream::Config::default() };
    let stream = js.create_stream(config).await?;
    for number in 1..=100 {
        let ack = js.publish("rust.order", number.to_string().into()).await?.await?;
        check(ack.sequence == number && !ack.duplicate, "another sequence")?;
    }
    let once = || PublishMessage::build().message_id("one").payload("x".into());
    js.send_publish("rust.once", once()).await?.await?;
    check(js.send_publish("rust.once", once()).await?.await?.duplicate, "a duplicate was stored")?;

    let config = consumer::pull::Config { durable_name: Some("reader".into()), ..consumer::pull::Config::default() };
    let reader = stream.create_consumer(config).await?;
    let mut messages = reader.fetch().max_messages(60).messages().await?;
    let mut read = 0;
    while let Some(message) = messages.next().await {
        read += 1;
        message?.double_ack().await?;
    }
    check(read == 60, "another number of messages")?;
    let ordered = stream.create_consumer(consumer::pull::OrderedConfig::default()).await?;
    let all: Vec<_> = ordered.messages().await?.take(101).try_collect().await?;
    check(all.len() == 101, "not all came in order")?;
    check(stream.direct_get_last_for_subject("rust.order").await?.payload == "100", "another last message")?;
    check(stream.purge().filter("rust.order").await?.purged == 100, "another number was purged")?;
    js.delete_stream("RUST").await?;
    Ok(())
}

/// A bucket of keys remembers.
pub(crate) async fn keys(url: &str) -> Outcome {
    let js = context(url).await?;
    let config = kv::Config { bucket: "rust-keys".into(), history: 5, ..kv::Config::default() };
    let bucket = js.create_key_value(config).await?;
    let mut watch = bucket.watch_all().await?;
    let first = bucket.create("a.b", "1".into()).await?;
    let second = bucket.update("a.b", "2".into(), first).await?;
    check(bucket.update("a.b", "3".into(), first).await.is_err(), "an old revision was taken")?;
    check(bucket.get("a.b").await?.as_deref() == Some(b"2"), "another value")?;
    bucket.delete("a.b").await?;
    let history: Vec<_> = bucket.history("a.b").await?.try_collect().await?;
    check(history.len() == 3, "another history")?;
    for revision in [first, second, second + 1] {
        let entry = watch.next().await.ok_or("the watch ended")??;
        check(entry.revision == revision, "another revision was seen")?;
    }
    js.delete_key_value("rust-keys").await?;
    Ok(())
}

/// A bucket of objects carries megabytes.
pub(crate) async fn objects(url: &str) -> Outcome {
    let js = context(url).await?;
    let config = object_store::Config { bucket: "rust-things".into(), ..object_store::Config::default() };
    let things = js.create_object_store(config).await?;
    let thing: Vec<u8> = (0..2_000_000_u32).map(|place| (place % 251) as u8).collect();
    things.put("a thing", &mut thing.as_slice()).await?;
    let mut read = Vec::new();
    things.get("a thing").await?.read_to_end(&mut read).await?;
    check(read == thing, "another object came back")?;
    things.delete("a thing").await?;
    check(things.get("a thing").await.is_err(), "a deleted object was given")?;
    js.delete_object_store("rust-things").await?;
    Ok(())
}
