//! Stores and the claims protocol, scene by scene.

mod cache;
mod directory;
mod plain;
mod scene;
