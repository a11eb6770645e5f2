//! The listener: one thread, a bounded number of visitors, and a bound for what each may send and how long it may stay.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tls::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::answer::Answer;
use crate::observatory::Observatory;
use crate::pages::House;
use crate::settings::{MonitorError, MonitorSettings};

/// Visitors at once. One more is turned away without a word.
pub const CONNECTIONS_MAX: usize = 64;

/// The longest head of a request.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// How long a visitor may take to ask, the first time and between two questions.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a visitor may stay, so that nobody keeps a place by reading slowly.
pub const VISIT_TIME_MAX: Duration = Duration::from_secs(60);

/// Pages that are made at once, each on a thread of its own; the others wait.
pub const PAGES_AT_ONCE_MAX: usize = 2;

/// A pause after the system could not accept, for instance because there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The TLS of the port. A reload may put another in its place; visits that have begun go on with theirs.
pub type SharedTls = Arc<RwLock<Arc<ServerTls>>>;

/// The running monitor. Stops when dropped.
pub struct Monitor {
    address: SocketAddr,
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Monitor {
    /// Listens, and answers on a thread of its own.
    ///
    /// # Errors
    /// If the port cannot be had, or the system gives no thread.
    pub fn start(
        settings: MonitorSettings,
        observatory: Arc<Observatory>,
        tls: Option<SharedTls>,
    ) -> Result<Self, MonitorError> {
        let failed = |error| MonitorError::Listen { at: format!("{}:{}", settings.host, settings.port), error };
        let socket = bind(&settings.host, settings.port).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let house = Arc::new(House::new(observatory, settings, address.port(), tls.is_some()));
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(PAGES_AT_ONCE_MAX)
            .build()
            .map_err(MonitorError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("monitor".to_owned());
        let run = move || runtime.block_on(receive(socket, house, tls, stopped));
        let thread = thread.spawn(run).map_err(MonitorError::Thread)?;
        Ok(Self { address, running: Mutex::new(Some((stop, thread))) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening; visitors are cut off. Returns when the thread has ended.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            // Either may have ended by itself.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `0.0.0.0` means every address of the host, IPv6 included where there is any, as for clients.
fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    if matches!(host, "" | "0.0.0.0") {
        return TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)));
    }
    TcpListener::bind((host.trim_start_matches('[').trim_end_matches(']'), port))
}

async fn receive(socket: TcpListener, house: Arc<House>, tls: Option<SharedTls>, mut stopped: oneshot::Receiver<()>) {
    let listening = socket.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(socket));
    let Ok(listener) = listening else {
        return house.observatory.facts.warn("monitoring: the listener cannot be used");
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if let Ok(place) = places.clone().try_acquire_owned() {
            let (house, tls) = (house.clone(), tls.clone());
            tokio::spawn(async move {
                // What goes wrong with a visitor concerns nobody else.
                let _ = timeout(VISIT_TIME_MAX, serve(stream, Visited { house, from: from.ip() }, tls)).await;
                drop(place);
            });
        }
    }
}

/// A page is made beside the thread that listens: it may be long, or wait for workers.
async fn answer(visited: Visited, request: hyper::Request<hyper::body::Incoming>) -> hyper::Response<Full<Bytes>> {
    let (uri, shown) = (request.uri().clone(), request.headers().get(AUTHORIZATION).cloned());
    let Visited { house, from } = visited;
    let made = tokio::task::spawn_blocking(move || house.answer(&uri, shown.as_ref(), from)).await;
    made.unwrap_or_else(|_| crate::router::spoken(Answer::broken(), false))
}

/// The house, and where its visitor comes from.
#[derive(Clone)]
struct Visited {
    house: Arc<House>,
    from: IpAddr,
}

async fn serve(stream: TcpStream, visited: Visited, tls: Option<SharedTls>) {
    let Some(tls) = tls else { return converse(stream, visited).await };
    let tls = tls.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Ok(stream) = tls.accept_stream(stream).await {
        converse(stream, visited).await;
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, visited: Visited) {
    let service = service_fn(move |request| {
        let visited = visited.clone();
        async move { Ok::<_, Infallible>(answer(visited, request).await) }
    });
    let visit = http1::Builder::new()
        .timer(TokioTimer::new())
        // Some readers compare the names of headers as they are usually written.
        .title_case_headers(true)
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let _ = visit.await;
}
