//! How many messages come in a second, drawn for each subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use futures::StreamExt;

use crate::command::live::{Plot, check, decimal, every_second, paint};
use crate::invocation::Invocation;

/// More do not fit a screen.
const MOST: usize = 4;

pub(super) async fn run(subjects: &[String], queue: Option<&str>, invocation: &Invocation) -> Result<()> {
    check()?;
    if subjects.len() > MOST {
        bail!("maximum {MOST} subject patterns may be graphed");
    }
    let link = invocation.connect().await?;
    let mut counts = Vec::new();
    let mut plots = Vec::new();
    for subject in subjects {
        let mut messages = match queue.filter(|queue| !queue.is_empty()) {
            Some(queue) => link.client.queue_subscribe(subject.clone(), queue.to_owned()).await?,
            None => link.client.subscribe(subject.clone()).await?,
        };
        let count = Arc::new(AtomicU64::new(0));
        counts.push(Arc::clone(&count));
        plots.push(Plot::new(format!("{subject} / second"), decimal));
        tokio::spawn(async move {
            while messages.next().await.is_some() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let drawing = every_second(async || {
        for (plot, count) in plots.iter_mut().zip(&counts) {
            plot.push(count.swap(0, Ordering::Relaxed) as f64);
        }
        paint("", &plots)
    });
    link.unless_fault(drawing).await
}
