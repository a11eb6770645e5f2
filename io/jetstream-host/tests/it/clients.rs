//! What people use works with the library they use.

use crate::front::Front;
use async_nats::jetstream::{self, consumer, kv, object_store, stream};
use bulwark_jetstream_host::DeskSettings;
use futures::{StreamExt, TryStreamExt};
use std::time::Duration;
use tokio::io::AsyncReadExt;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn front(dir: &std::path::Path) -> Front {
    let sealing =
        store::Sealing { cipher: store::Cipher::ChaChaPoly, key: Some("the key".into()), ..store::Sealing::default() };
    Front::start(dir, DeskSettings { sealing, ..DeskSettings::default() }, crate::house::account("$G"))
}

async fn context(front: &Front) -> jetstream::Context {
    jetstream::new(async_nats::connect(&front.url).await.expect("the front is up"))
}

fn orders() -> stream::Config {
    stream::Config {
        name: "ORDERS".into(),
        subjects: vec!["orders.>".into()],
        allow_direct: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn streams_and_consumers() -> Outcome {
    let dir = tempfile::tempdir()?;
    {
        let front = front(dir.path());
        front.play(fill_and_consume(context(&front).await)).await?;
    }
    let front = front(dir.path());
    front.play(go_on_after_a_restart(context(&front).await)).await
}

async fn fill_and_consume(js: jetstream::Context) -> Outcome {
    let stream = js.create_stream(orders()).await?;
    for n in 0..100 {
        let ack = js.publish(format!("orders.{}", n % 3), format!("order {n}").into()).await?.await?;
        assert_eq!((ack.stream.as_str(), ack.sequence, ack.duplicate), ("ORDERS", n + 1, false));
    }
    let config = consumer::pull::Config { durable_name: Some("work".into()), ..Default::default() };
    let consumer = stream.create_consumer(config).await?;
    let mut batch = consumer.fetch().max_messages(40).messages().await?;
    let mut seen = 0;
    while let Some(message) = batch.next().await {
        let message = message?;
        seen += 1;
        assert_eq!(message.payload, format!("order {}", seen - 1));
        message.double_ack().await?;
    }
    assert_eq!(seen, 40);
    let raw = stream.get_raw_message(7).await?;
    assert_eq!(raw.payload, "order 6");
    let direct = stream.direct_get_last_for_subject("orders.1").await?;
    assert_eq!(direct.payload, "order 97");
    stream.delete_message(50).await?;
    stream.purge().filter("orders.2").await?;
    Ok(())
}

async fn go_on_after_a_restart(js: jetstream::Context) -> Outcome {
    let mut stream = js.get_stream("ORDERS").await?;
    let state = stream.info().await?.state.clone();
    assert_eq!((state.messages, state.last_sequence), (66, 100), "33 purged, 1 deleted");
    let consumer: consumer::PullConsumer = stream.get_consumer("work").await?;
    let mut messages = consumer.messages().await?;
    let next = messages.next().await.expect("there is more")?;
    assert_eq!(next.info()?.stream_sequence, 41, "what was confirmed does not come again");
    Ok(())
}

#[tokio::test]
async fn ordered_and_pushed_consumers() -> Outcome {
    let dir = tempfile::tempdir()?;
    let front = front(dir.path());
    front.play(play_ordered_and_pushed_consumers(context(&front).await)).await
}

async fn play_ordered_and_pushed_consumers(js: jetstream::Context) -> Outcome {
    let stream = js.create_stream(orders()).await?;
    let acks: Vec<_> =
        futures::future::try_join_all((0..2000).map(|n| js.publish("orders.x", format!("{n}").into()))).await?;
    futures::future::try_join_all(acks.into_iter().map(IntoFuture::into_future)).await?;

    let config = consumer::push::OrderedConfig { deliver_subject: "deliver.ordered".into(), ..Default::default() };
    let ordered = stream.create_consumer(config).await?;
    let mut messages = ordered.messages().await?.take(2000);
    let mut n = 0;
    while let Some(message) = messages.next().await {
        n += 1;
        assert_eq!(message?.info()?.stream_sequence, n);
    }
    assert_eq!(n, 2000);

    let config = consumer::pull::OrderedConfig::default();
    let pulled = stream.create_consumer(config).await?;
    let all: Vec<_> = pulled.messages().await?.take(2000).try_collect().await?;
    assert_eq!(all.len(), 2000);

    let config = consumer::push::Config {
        deliver_subject: "deliver.push".into(),
        durable_name: Some("push".into()),
        ack_policy: consumer::AckPolicy::Explicit,
        ..Default::default()
    };
    let pushed = stream.create_consumer(config).await?;
    let mut messages = pushed.messages().await?;
    for _ in 0..10 {
        messages.next().await.expect("pushed")?.ack().await?;
    }
    Ok(())
}

#[tokio::test]
async fn key_value_buckets() -> Outcome {
    let dir = tempfile::tempdir()?;
    let front = front(dir.path());
    front.play(play_key_value_buckets(context(&front).await)).await
}

async fn play_key_value_buckets(js: jetstream::Context) -> Outcome {
    let bucket = js.create_key_value(kv::Config { bucket: "b".into(), history: 5, ..Default::default() }).await?;
    let mut watch = bucket.watch("a.>").await?;
    assert_eq!(bucket.put("a.one", "1".into()).await?, 1);
    assert_eq!(bucket.put("a.one", "2".into()).await?, 2);
    assert_eq!(bucket.create("a.two", "x".into()).await?, 3);
    assert!(bucket.create("a.two", "y".into()).await.is_err(), "it is there already");
    assert!(bucket.update("a.one", "3".into(), 1).await.is_err(), "somebody was faster");
    assert_eq!(bucket.update("a.one", "3".into(), 2).await?, 4);
    assert_eq!(bucket.get("a.one").await?.as_deref(), Some(&b"3"[..]));
    assert_eq!(bucket.get("none").await?, None);
    let history: Vec<_> = bucket.history("a.one").await?.try_collect().await?;
    assert_eq!(history.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [1, 2, 4]);
    bucket.delete("a.two").await?;
    assert_eq!(bucket.get("a.two").await?, None);
    bucket.purge("a.one").await?;
    let mut keys: Vec<String> = bucket.keys().await?.try_collect().await?;
    keys.sort();
    assert_eq!(keys, Vec::<String>::new());
    bucket.put("b.key", "z".into()).await?;
    let keys: Vec<String> = bucket.keys().await?.try_collect().await?;
    assert_eq!(keys, ["b.key"]);
    let mut seen = Vec::new();
    for _ in 0..6 {
        let entry = watch.next().await.expect("watched")?;
        seen.push((entry.key, entry.operation));
    }
    use kv::Operation::{Delete, Purge, Put};
    let expected =
        [("a.one", Put), ("a.one", Put), ("a.two", Put), ("a.one", Put), ("a.two", Delete), ("a.one", Purge)];
    assert_eq!(seen, expected.map(|(key, operation)| (key.to_owned(), operation)));
    let mut again = js.get_key_value("b").await?.stream;
    assert_eq!(again.info().await?.state.subjects_count, 3);
    js.delete_key_value("b").await?;
    Ok(())
}

#[tokio::test]
async fn object_stores() -> Outcome {
    let dir = tempfile::tempdir()?;
    let front = front(dir.path());
    front.play(play_object_stores(context(&front).await)).await
}

async fn play_object_stores(js: jetstream::Context) -> Outcome {
    let config = object_store::Config { bucket: "files".into(), ..Default::default() };
    let bucket = js.create_object_store(config).await?;
    let body: Vec<u8> = (0..500_000_u32).map(|n| (n % 251) as u8).collect();
    let info = bucket.put("big", &mut body.as_slice()).await?;
    assert_eq!((info.size, info.chunks), (body.len(), 4));
    let mut read = Vec::new();
    bucket.get("big").await?.read_to_end(&mut read).await?;
    assert!(read == body);
    bucket.put("big", &mut &b"small now"[..]).await?;
    let mut read = Vec::new();
    bucket.get("big").await?.read_to_end(&mut read).await?;
    assert_eq!(read, b"small now");
    let names: Vec<String> = bucket.list().await?.map_ok(|info| info.name).try_collect().await?;
    assert_eq!(names, ["big"]);
    bucket.delete("big").await?;
    assert!(bucket.get("big").await.is_err());
    Ok(())
}

#[tokio::test]
async fn duplicates_and_expectations() -> Outcome {
    let dir = tempfile::tempdir()?;
    let front = front(dir.path());
    front.play(play_duplicates_and_expectations(context(&front).await)).await
}

async fn play_duplicates_and_expectations(js: jetstream::Context) -> Outcome {
    js.create_stream(orders()).await?;
    let publish = |id: &str| jetstream::message::PublishMessage::build().message_id(id).payload("x".into());
    assert!(!js.send_publish("orders.a", publish("1")).await?.await?.duplicate);
    assert!(js.send_publish("orders.a", publish("1")).await?.await?.duplicate);
    let wrong = jetstream::message::PublishMessage::build().expected_last_sequence(9).payload("x".into());
    let error = js.send_publish("orders.a", wrong).await?.await.expect_err("the last sequence is 1");
    assert_eq!(error.kind(), jetstream::context::PublishErrorKind::WrongLastSequence);
    let info = js.query_account().await?;
    assert_eq!((info.streams, info.consumers), (1, 0));
    let names: Vec<String> = js.stream_names().try_collect().await?;
    assert_eq!(names, ["ORDERS"]);
    tokio::time::timeout(Duration::from_secs(5), js.delete_stream("ORDERS")).await??;
    Ok(())
}
