//! `/healthz` and `/metrics` over HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::Client;
use async_nats::connection::State;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::Metrics;

const MAX_CONNECTIONS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Listens, and answers in the background. Gives the address.
pub(crate) async fn start(listen: SocketAddr, client: Client, metrics: Arc<Metrics>) -> Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("could not listen on {listen}"))?;
    let address = listener.local_addr()?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (client, metrics) = (client.clone(), Arc::clone(&metrics));
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(move |request| {
                    let answer = answer(&request, &client, &metrics);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                // Whoever holds a connection open gives its place back after a while.
                let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            });
        }
    });
    Ok(address)
}

fn answer(request: &Request<Incoming>, client: &Client, metrics: &Metrics) -> Response<Full<Bytes>> {
    let is_connected = client.connection_state() == State::Connected;
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") if is_connected => {
            reply(StatusCode::OK, "application/json", "{\"status\":\"ok\"}".to_owned())
        }
        (&Method::GET, "/healthz") => {
            let text = "{\"status\":\"unavailable\",\"error\":\"not connected to a server\"}";
            reply(StatusCode::SERVICE_UNAVAILABLE, "application/json", text.to_owned())
        }
        (&Method::GET, "/metrics") => reply(StatusCode::OK, "text/plain; version=0.0.4", metrics.text(is_connected)),
        _ => reply(StatusCode::NOT_FOUND, "text/plain", "try /healthz or /metrics\n".to_owned()),
    }
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
