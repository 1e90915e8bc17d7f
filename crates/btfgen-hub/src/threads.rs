//! Runs work on all processors, or on the caller's thread if no other thread can be started.

use rayon::ThreadPoolBuilder;

/// Runs work on a pool of `threads` threads; 0 means one for each processor, and 1 the caller's.
///
/// A limit of processes or of memory may forbid threads. Then the caller's thread does the work: it takes longer, but the
/// result is the same.
pub fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let alone = || {
        let one = ThreadPoolBuilder::new().num_threads(1);
        one.use_current_thread().build()
    };
    let pool = match threads {
        1 => alone(),
        _ => {
            let several = ThreadPoolBuilder::new().num_threads(threads).build();
            several.or_else(|_| alone())
        }
    };
    match pool {
        Ok(pool) => {
            // Wait until all threads run: a thread that starts when the work has taken the last memory ends the process.
            pool.broadcast(|_| ());
            pool.install(work)
        }
        // The caller is itself a thread of a pool, so it does the work.
        Err(_) => work(),
    }
}
