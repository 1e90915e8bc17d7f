//! Work on all processors, or on the caller's thread where no other can be started.

use rayon::ThreadPoolBuilder;

/// Runs work on a pool of so many threads; 0 is one for each processor.
///
/// A limit of processes or of memory may forbid threads. The work is then done by the caller's thread: later, but the same.
pub fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .or_else(|_| {
            ThreadPoolBuilder::new()
                .num_threads(1)
                .use_current_thread()
                .build()
        });
    match pool {
        Ok(pool) => pool.install(work),
        // The caller is a thread of a pool, which does the work as well.
        Err(_) => work(),
    }
}
