//! The only room that names rustls: configs, pinning, peer facts, reload
