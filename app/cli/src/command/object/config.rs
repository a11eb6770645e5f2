//! `nats object add` and `edit`.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::kv::check_bucket;
use crate::command::object::{Bucket, info, stream_of};
use crate::command::stream::config::{metadata, nanos, strip_server_metadata, tristate};
use crate::parse::{duration, signed_size};

tristate!(Compress, "compress", "no-compress", "Compress files");

/// How a bucket should be.
#[derive(Args, Debug)]
struct BucketFlags {
    /// How long files stay
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// Copies in a cluster
    #[arg(long)]
    replicas: Option<u8>,
    /// Most bytes
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_hyphen_values = true)]
    max_bucket_size: Option<i64>,
    /// What the bucket is for
    #[arg(long)]
    description: Option<String>,
    /// Place the bucket on servers with this tag, may be given several times
    #[arg(long, alias = "tag")]
    tags: Vec<String>,
    /// Place the bucket in this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Metadata, may be given several times
    #[arg(long, value_name = "K=V", value_parser = metadata)]
    metadata: Vec<(String, String)>,
    #[command(flatten)]
    compress: Compress,
}

/// Create a bucket
#[derive(Args, Debug)]
pub(crate) struct Add {
    /// Name of the bucket
    bucket: String,
    /// Where files are stored
    #[arg(long, default_value = "file")]
    storage: Storage,
    #[command(flatten)]
    flags: BucketFlags,
}

/// Change the configuration of a bucket
#[derive(Args, Debug)]
pub(crate) struct Edit {
    /// The bucket
    bucket: String,
    #[command(flatten)]
    flags: BucketFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Storage {
    #[value(alias = "f")]
    File,
    #[value(alias = "m")]
    Memory,
}

impl Add {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        check_bucket(&self.bucket)?;
        let mut config = fresh(&self.bucket);
        config.insert("storage".to_owned(), if self.storage == Storage::Memory { "memory" } else { "file" }.into());
        self.flags.apply(&mut config);
        let made = api.call(&format!("STREAM.CREATE.{}", stream_of(&self.bucket)), config.into()).await?;
        info::bucket_page(&self.bucket, &made).print();
        Ok(())
    }
}

impl Edit {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let mut config = bucket.info.dig("config").as_object().cloned().unwrap_or_default();
        strip_server_metadata(&mut config);
        self.flags.apply(&mut config);
        let changed = api.call(&format!("STREAM.UPDATE.{}", bucket.stream()), config.into()).await?;
        info::bucket_page(&self.bucket, &changed).print();
        Ok(())
    }
}

/// A bucket that nothing was said about.
fn fresh(bucket: &str) -> Map<String, Value> {
    let Value::Object(config) = json!({
        "name": stream_of(bucket),
        "subjects": [format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": -1,
        "discard": "new",
        "num_replicas": 1,
        "allow_rollup_hdrs": true,
        "allow_direct": true,
    }) else {
        unreachable!("an object was written")
    };
    config
}

impl BucketFlags {
    fn apply(&self, config: &mut Map<String, Value>) {
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                config.insert(key.to_owned(), value);
            }
        };
        set("max_age", self.ttl.map(nanos));
        set("num_replicas", self.replicas.map(Value::from));
        set("max_bytes", self.max_bucket_size.map(|limit| if limit <= 0 { -1 } else { limit }.into()));
        set("description", self.description.clone().map(Value::from));
        set("compression", self.compress.given().map(|on| if on { "s2" } else { "none" }.into()));
        if self.cluster.is_some() || !self.tags.is_empty() {
            let cluster = self.cluster.clone().unwrap_or_default();
            set("placement", Some(json!({"cluster": cluster, "tags": self.tags})));
        }
        if !self.metadata.is_empty() {
            let metadata: Map<_, _> = self.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            set("metadata", Some(metadata.into()));
        }
    }
}
