//! HTTP monitoring over snapshots
