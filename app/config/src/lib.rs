//! Configuration tree to every room's settings, one file per block, and the diff for reload
