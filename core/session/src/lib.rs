//! The client connection as a state machine: handshake and active
