//! `nats object del` and `seal`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::command::api::Api;
use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::object::{Bucket, info};
use crate::show::{ibytes, outln};

/// Delete a file, or the bucket
#[derive(Args, Debug)]
pub(crate) struct Del {
    /// The bucket
    bucket: String,
    /// The file; without one, the whole bucket is deleted
    file: Option<String>,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

/// Forbid all changes of a bucket, forever
#[derive(Args, Debug)]
pub(crate) struct Seal {
    /// The bucket
    bucket: String,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Del {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let bucket = Bucket::open(api, &self.bucket).await?;
        let Some(file) = &self.file else { return self.bucket(&bucket).await };
        let mut record = bucket.file(file).await?;
        let size = ibytes(record.whole("size"));
        if !confirmed(self.force, &format!("Delete {size} byte file {} > {file}?", self.bucket))? {
            outln!("Skipping delete");
            return Ok(());
        }
        let id = record.text("nuid").to_owned();
        for key in ["size", "chunks"] {
            record[key] = 0.into();
        }
        record["digest"] = "".into();
        record["deleted"] = true.into();
        bucket.write_record(&record).await?;
        if !id.is_empty() {
            bucket.remove_chunks(&id).await?;
        }
        outln!("Removed {} > {file}", self.bucket);
        info::bucket_page(&self.bucket, &api.stream(&bucket.stream()).await?).print();
        Ok(())
    }

    async fn bucket(&self, bucket: &Bucket<'_>) -> Result<()> {
        if !confirmed(self.force, &format!("Delete bucket {} and all its files?", self.bucket))? {
            outln!("Skipping delete");
            return Ok(());
        }
        bucket.api.call(&format!("STREAM.DELETE.{}", bucket.stream()), Value::Null).await.map(drop)
    }
}

impl Seal {
    pub(super) async fn run(&self, api: &Api<'_>) -> Result<()> {
        let question = format!("Really seal Bucket {}, sealed buckets can not be unsealed or modified", self.bucket);
        if !confirmed(self.force, &question)? {
            return Ok(());
        }
        let bucket = Bucket::open(api, &self.bucket).await?;
        let mut config = bucket.info.dig("config").clone();
        config["sealed"] = true.into();
        let sealed = api.call(&format!("STREAM.UPDATE.{}", bucket.stream()), config).await?;
        outln!("{} has been sealed", self.bucket);
        info::bucket_page(&self.bucket, &sealed).print();
        Ok(())
    }
}
