//! Account JWT resolvers: directory, NATS, URL
