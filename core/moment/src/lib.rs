//! Time as values: timestamps, instants, durations, deadlines
