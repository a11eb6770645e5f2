//! Blocks, records, index, sealing and recovery over a Disk trait
