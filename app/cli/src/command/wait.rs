//! Waiting for a person to press Ctrl-C, or for the system to ask us to end.

use tokio::signal::unix::{SignalKind, signal};

/// Begins to listen at once; the future resolves when the process is asked to end.
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()];
    // Without handlers the signals end the process by themselves.
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    std::future::poll_fn(move |context| {
        let is_asked = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if is_asked { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
}
