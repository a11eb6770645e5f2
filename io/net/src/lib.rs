//! Listeners, worker event loops and byte layers
