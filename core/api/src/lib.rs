//! JSON of the JetStream API, system services and monitoring; the error table
