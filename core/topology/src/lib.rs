//! Routes, gateways and leaf nodes: handshakes and interest exchange
