//! JetStream on a disk that forgets, driven by hand.

mod account_keys;
mod backups;
mod clients;
mod crash;
mod features;
mod front;
mod hostile;
mod house;
mod odd;
mod readers;
mod scenes;
mod script;
mod syncing;
mod transcript;
mod turns;
mod upkeep;
mod varying;
