//! The store's Disk on real files
