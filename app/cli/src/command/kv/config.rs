//! `nats kv add` and `edit`.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::command::api::Api;
use crate::command::dig::Dig;
use crate::command::kv::{Bucket, STREAM_PREFIX, check_bucket, info, stream_of};
use crate::command::stream::config::{metadata, nanos, strip_server_metadata, tristate};
use crate::parse::{duration, signed_size};

/// How long duplicates are recognised, unless values live shorter.
const DUPLICATES: Duration = Duration::from_secs(120);

tristate!(Compress, "compress", "no-compress", "Compress values");

/// How a bucket should be.
#[derive(Args, Debug)]
struct BucketFlags {
    /// What the bucket is for
    #[arg(long)]
    description: Option<String>,
    /// How many values of each key are kept
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "VALUES")]
    history: Option<u8>,
    /// How long values stay
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// Let keys have a time to live of their own, and keep marks of those that ended for so long
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    marker_ttl: Option<Duration>,
    /// Copies in a cluster
    #[arg(long)]
    replicas: Option<u8>,
    /// Largest value
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_hyphen_values = true)]
    max_value_size: Option<i64>,
    /// Most bytes
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_hyphen_values = true)]
    max_bucket_size: Option<i64>,
    /// Place the bucket on servers with this tag, may be given several times
    #[arg(long, alias = "tag")]
    tags: Vec<String>,
    /// Place the bucket in this cluster
    #[arg(long)]
    cluster: Option<String>,
    #[command(flatten)]
    compress: Compress,
    /// Metadata, may be given several times
    #[arg(long, value_name = "K=V", value_parser = metadata)]
    metadata: Vec<(String, String)>,
    /// Publish values of this subject again
    #[arg(long, value_name = "SOURCE")]
    republish_source: Option<String>,
    /// Where values are published again
    #[arg(long, value_name = "DEST")]
    republish_destination: Option<String>,
    /// Publish only the headers again
    #[arg(long)]
    republish_headers: bool,
    /// Take in values of this bucket, may be given several times
    #[arg(long, value_name = "BUCKET")]
    source: Vec<String>,
}

/// Create a bucket
#[derive(Args, Debug)]
pub(crate) struct Add {
    /// Name of the bucket
    bucket: String,
    /// Where values are stored
    #[arg(long, default_value = "file")]
    storage: Storage,
    /// Copy this bucket
    #[arg(long, value_name = "BUCKET")]
    mirror: Option<String>,
    /// The domain of the bucket that is copied
    #[arg(long, value_name = "DOMAIN", requires = "mirror")]
    mirror_domain: Option<String>,
    #[command(flatten)]
    flags: BucketFlags,
}

/// Change the configuration of a bucket
#[derive(Args, Debug)]
pub(crate) struct Edit {
    /// The bucket
    bucket: String,
    /// Do not copy another bucket any longer
    #[arg(long)]
    no_mirror: bool,
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
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        check_bucket(&self.bucket)?;
        let stream = stream_of(&self.bucket);
        let mut config = fresh(&self.bucket);
        config.insert("storage".to_owned(), if self.storage == Storage::Memory { "memory" } else { "file" }.into());
        self.flags.apply(&mut config, &self.bucket)?;
        let ttl = self.flags.ttl.unwrap_or_default();
        let duplicates = if ttl.is_zero() { DUPLICATES } else { DUPLICATES.min(ttl) };
        config.insert("duplicate_window".to_owned(), nanos(duplicates));
        if let Some(origin) = &self.mirror {
            if !self.flags.source.is_empty() {
                bail!("a bucket cannot both copy a bucket and take in values of others");
            }
            let mut mirror = json!({"name": with_prefix(origin)});
            if let Some(domain) = &self.mirror_domain {
                mirror["external"] = json!({"api": format!("$JS.{domain}.API"), "deliver": ""});
            }
            config.insert("mirror".to_owned(), mirror);
            config.insert("mirror_direct".to_owned(), true.into());
            config.remove("subjects");
            config.remove("duplicate_window");
        }
        let made = api.call(&format!("STREAM.CREATE.{stream}"), config.into()).await?;
        info::page(&self.bucket, &made).print();
        Ok(())
    }
}

impl Edit {
    pub(crate) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let mut config = bucket.info.dig("config").as_object().cloned().unwrap_or_default();
        strip_server_metadata(&mut config);
        self.flags.apply(&mut config, &self.bucket)?;
        if self.no_mirror {
            config.remove("mirror");
            config.insert("mirror_direct".to_owned(), false.into());
            config.insert("subjects".to_owned(), json!([format!("$KV.{}.>", self.bucket)]));
        }
        let changed = api.call(&format!("STREAM.UPDATE.{}", bucket.stream()), config.into()).await?;
        info::page(&self.bucket, &changed).print();
        Ok(())
    }
}

/// A bucket that nothing was said about.
fn fresh(bucket: &str) -> Map<String, Value> {
    let Value::Object(config) = json!({
        "name": stream_of(bucket),
        "subjects": [format!("$KV.{bucket}.>")],
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_msgs_per_subject": 1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": -1,
        "discard": "new",
        "num_replicas": 1,
        "allow_rollup_hdrs": true,
        "deny_delete": true,
        "allow_direct": true,
    }) else {
        unreachable!("an object was written")
    };
    config
}

fn with_prefix(bucket: &str) -> String {
    if bucket.starts_with(STREAM_PREFIX) { bucket.to_owned() } else { stream_of(bucket) }
}

impl BucketFlags {
    fn apply(&self, config: &mut Map<String, Value>, bucket: &str) -> Result<()> {
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                config.insert(key.to_owned(), value);
            }
        };
        let unlimited = |limit: i64| if limit <= 0 { -1 } else { limit }.into();
        set("description", self.description.clone().map(Value::from));
        set("max_msgs_per_subject", self.history.map(Value::from));
        set("max_age", self.ttl.map(nanos));
        set("num_replicas", self.replicas.map(Value::from));
        set("max_msg_size", self.max_value_size.map(unlimited));
        set("max_bytes", self.max_bucket_size.map(unlimited));
        set("compression", self.compress.given().map(|on| if on { "s2" } else { "none" }.into()));
        set("allow_msg_ttl", self.marker_ttl.map(|_| true.into()));
        set("subject_delete_marker_ttl", self.marker_ttl.map(nanos));
        if self.cluster.is_some() || !self.tags.is_empty() {
            let cluster = self.cluster.clone().unwrap_or_default();
            set("placement", Some(json!({"cluster": cluster, "tags": self.tags})));
        }
        if !self.metadata.is_empty() {
            let metadata: Map<_, _> = self.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            set("metadata", Some(metadata.into()));
        }
        if let Some(destination) = &self.republish_destination {
            let source = self.republish_source.clone().unwrap_or_default();
            let republish = json!({"src": source, "dest": destination, "headers_only": self.republish_headers});
            set("republish", Some(republish));
        }
        if !self.source.is_empty() {
            let mut sources = config.get("sources").and_then(Value::as_array).cloned().unwrap_or_default();
            sources.extend(self.source.iter().map(|source| source_of(source, bucket)));
            config.insert("sources".to_owned(), sources.into());
        }
        Ok(())
    }
}

/// Keys of another bucket become keys of this one.
fn source_of(source: &str, bucket: &str) -> Value {
    let stream = with_prefix(source);
    let name = stream.trim_start_matches(STREAM_PREFIX).to_owned();
    json!({
        "name": stream,
        "subject_transforms": [{"src": format!("$KV.{name}.>"), "dest": format!("$KV.{bucket}.>")}],
    })
}
