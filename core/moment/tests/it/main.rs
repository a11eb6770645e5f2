//! Time as values: the scenes.
mod deadlines;
mod go_duration;
mod timestamp;
