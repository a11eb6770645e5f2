//! Memory that is free goes back to the system.
//!
//! This room does not choose an allocator, counts nothing and frees nothing: it asks the one that is there to let go of pages in
//! which nothing is left. The allocator of glibc keeps them, above all below something that still lives; after a large
//! configuration has become a directory, that is most of what the process has.
//!
//! Elsewhere than with glibc it does nothing: other allocators give pages back by themselves.

/// Has the allocator give back what is free. Takes about a millisecond for each ten megabytes, so it is for the end of a start
/// and of a reload, not for traffic.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "the allocator has no safe door; see docs/adr/0031")]
    {
        // SAFETY: the function has no preconditions: it takes the allocator's own locks, may be called by any thread at any
        // time, and touches no memory that is in use.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident_bytes() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[test]
    fn what_is_free_below_something_that_lives_goes_back() {
        let mut pieces: Vec<Box<[u8]>> = (0..200_000).map(|_| vec![1; 200].into()).collect();
        // The last one lives, and with it everything below stays the allocator's.
        let last = pieces.pop().unwrap();
        let full = resident_bytes();
        drop(pieces);
        give_back();
        let after = resident_bytes();
        assert!(full - after > 20 << 20, "{full} bytes before, {after} after");
        assert_eq!(last.len(), 200);
    }
}
