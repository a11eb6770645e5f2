//! Runs jetstream and store on their threads
