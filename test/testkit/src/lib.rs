//! Virtual clock, conversation, fixtures
