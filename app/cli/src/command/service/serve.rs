//! `nats service serve`: a service that echoes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow};
use async_nats::HeaderMap;
use async_nats::service::{Request, ServiceExt};
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::json;

use crate::command::sender::append;
use crate::command::wait::interrupted;
use crate::invocation::Invocation;
use crate::link::{Link, without_password};
use crate::parse::pair;
use crate::show::{Columns, local_time, log};

/// Run a service that echoes
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Name of the service
    name: String,
    /// Add a header to replies, may be given several times
    #[arg(long = "header", short = 'H', value_name = "K:V", value_parser = header)]
    headers: Vec<(String, String)>,
}

fn header(text: &str) -> Result<(String, String), String> {
    pair(text, if text.contains(':') { ':' } else { '=' }).ok_or_else(|| "expected K:V".to_owned())
}

impl Serve {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let stop = interrupted();
        let link = invocation.connect().await?;
        let seen = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&seen);
        let service = link
            .client
            .service_builder()
            .description(format!("NATS CLI Demo Service ({})", self.name))
            .stats_handler(move |_, _| json!({"total_payload": counted.load(Ordering::Relaxed)}))
            .start(&self.name, "1.0.0")
            .await
            .map_err(|error| anyhow!("{error}"))?;
        let group = service.group(&self.name);
        let mut requests =
            group.endpoint_builder().name("echo").add("echo").await.map_err(|error| anyhow!("{error}"))?;
        link.client.flush().await?;
        self.announce(&link);
        let answer = async {
            while let Some(request) = requests.next().await {
                seen.fetch_add(request.message.payload.len() as u64, Ordering::Relaxed);
                self.echo(&link, &request).await?;
            }
            Ok(())
        };
        tokio::select! {
            ended = link.unless_fault(answer) => ended,
            () = stop => Ok(()),
        }
    }

    fn announce(&self, link: &Link) {
        let (name, place) = (&self.name, without_password(link.server.as_url_str()));
        let pid = std::process::id();
        let mut page = Columns::new(format!("NATS CLI Service {name} handler {pid} waiting for requests on {place}"));
        page.section("Listening Subjects").row(&format!("{name}.echo"), "Echo Service");
        if !self.headers.is_empty() {
            page.section("Custom Response Headers");
            for (key, value) in &self.headers {
                page.row(key, value);
            }
        }
        page.section("Requests Log").print();
    }

    async fn echo(&self, link: &Link, request: &Request) -> Result<()> {
        log!("Handling request on subject {}", request.message.subject);
        let mut headers = HeaderMap::new();
        let facts = [
            ("ConnectedUrl", without_password(link.server.as_url_str())),
            ("Handler", std::process::id().to_string()),
            ("Subject", request.message.subject.to_string()),
            ("Timestamp", local_time(Timestamp::now())),
        ];
        for (name, value) in facts {
            append(&mut headers, name, &value)?;
        }
        if let Some(cluster) = link.client.server_info().cluster {
            append(&mut headers, "ConnectedCluster", &cluster)?;
        }
        for (name, value) in &self.headers {
            append(&mut headers, name, value)?;
        }
        for (name, values) in request.message.headers.iter().flat_map(HeaderMap::iter) {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
        let body = request.message.payload.clone();
        request.respond_with_headers(Ok(body), headers).await.map_err(|error| anyhow!("{error}"))
    }
}
