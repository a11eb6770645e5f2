//! Memory that is free goes back to the system.
//!
//! This room does not choose an allocator, counts nothing and frees nothing: it asks the one that is there to let go of pages in
//! which nothing is left. The allocator of glibc keeps them, above all below something that still lives; after a large
//! configuration has become a directory, that is most of what the process has.
//!
//! And it asks the same one to have memory ready for a thread that is going to need much of it.
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

/// Blocks that memory is made ready by. Larger ones would be given memory of their own.
const BLOCK_BYTES: usize = 120 << 10;

/// What a thread's part of the allocator can be at most before another part is begun, less a little.
const READY_MAX_BYTES: usize = 48 << 20;

/// Has the allocator make so many bytes ready for this thread, where that is many. It takes no memory before it is used. Memory of
/// a thread that is not the first one grows by a page at a time otherwise, each with a call to the system.
pub fn make_ready(bytes: usize) {
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        let blocks = bytes.min(READY_MAX_BYTES) / BLOCK_BYTES;
        let blocks = (0..blocks).map(|_| std::hint::black_box(Vec::<u8>::with_capacity(BLOCK_BYTES)));
        drop(blocks.collect::<Vec<_>>());
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

    #[test]
    fn what_is_made_ready_takes_no_memory_yet() {
        let thread = std::thread::spawn(|| {
            let before = resident_bytes();
            make_ready(40 << 20);
            resident_bytes().saturating_sub(before)
        });
        let taken = thread.join().unwrap();
        assert!(taken < 8 << 20, "{taken} bytes");
    }
}
