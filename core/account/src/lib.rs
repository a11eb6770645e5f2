//! Accounts compiled: names, limits, exports, imports, mappings
