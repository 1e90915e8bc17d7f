//! A relay in front of a server: it counts the bytes, and fails on request.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::PATIENCE;

/// What is passed on at a time.
const PIECE: usize = 4096;

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    /// Whether clients name a host first (RFC 9110, CONNECT).
    is_proxy: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that went to clients.
    sent: u64,
    /// What happens when so many have been.
    limit: Option<(u64, Limit)>,
    /// Connections that wait at the limit.
    held: usize,
    connections: usize,
    ended: bool,
    /// All that are open, so that they can be closed.
    streams: Vec<TcpStream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Cut,
    Hold,
}

impl Relay {
    /// A relay to this server.
    ///
    /// # Panics
    /// Panics if there is no port.
    #[must_use]
    pub fn before(target: SocketAddr) -> Self {
        Self::start(target, false)
    }

    /// A proxy for HTTPS that connects every host name to this server.
    ///
    /// # Panics
    /// Panics if there is no port.
    #[must_use]
    pub fn proxy_to(target: SocketAddr) -> Self {
        Self::start(target, true)
    }

    fn start(target: SocketAddr, is_proxy: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let shared = Arc::new(Shared {
            target,
            is_proxy,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let address = listener.local_addr().expect("the port's number");
        let accepting = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.state().ended {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // Ignore clients that close the connection.
                thread::spawn(move || drop(shared.connect(client)));
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that went to clients so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.state().sent
    }

    /// Connections that were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// From so many more bytes on all connections end, and new ones at once.
    pub fn cut_after(&self, bytes: u64) {
        self.limit(bytes, Limit::Cut);
    }

    /// From so many more bytes on nothing comes any more, and nothing ends.
    pub fn hold_after(&self, bytes: u64) {
        self.limit(bytes, Limit::Hold);
    }

    /// Has everything go through again, also what was held.
    pub fn heal(&self) {
        self.shared.state().limit = None;
        self.shared.changed.notify_all();
    }

    /// Waits until something is held.
    ///
    /// # Panics
    /// Panics if nothing is for very long.
    pub fn wait_until_held(&self) {
        let end = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while state.held == 0 {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nothing came to the relay's limit");
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn limit(&self, bytes: u64, limit: Limit) {
        let mut state = self.shared.state();
        state.limit = Some((state.sent + bytes, limit));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.ended = true;
            for stream in state.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        // Has it look up from waiting for one.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: Arc<Self>, mut client: TcpStream) -> std::io::Result<()> {
        self.state().connections += 1;
        if self.is_proxy {
            accept_tunnel(&mut client)?;
        }
        let mut server = TcpStream::connect(self.target)?;
        {
            let mut state = self.state();
            state.streams.push(client.try_clone()?);
            state.streams.push(server.try_clone()?);
        }
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        let upwards = thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let mut piece = [0; PIECE];
        while let Ok(n @ 1..) = server.read(&mut piece) {
            if !self.pass(&piece[..n], &mut client) {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        let _ = upwards.join();
        Ok(())
    }

    /// Sends a piece to a client; false when the connection ends with it.
    fn pass(&self, mut piece: &[u8], client: &mut TcpStream) -> bool {
        while !piece.is_empty() {
            let Some(allowed) = self.allow(piece.len()) else {
                return false;
            };
            if client.write_all(&piece[..allowed]).is_err() {
                return false;
            }
            piece = &piece[allowed..];
        }
        true
    }

    /// How much of a piece may go on, when some of it may; `None` when nothing ever will.
    fn allow(&self, bytes: usize) -> Option<usize> {
        let mut state = self.state();
        loop {
            if state.ended {
                return None;
            }
            let left = match state.limit {
                None => u64::MAX,
                Some((limit, _)) => limit.saturating_sub(state.sent),
            };
            if left > 0 {
                let allowed = bytes.min(usize::try_from(left).unwrap_or(usize::MAX));
                state.sent += allowed as u64;
                return Some(allowed);
            }
            if matches!(state.limit, Some((_, Limit::Cut))) {
                return None;
            }
            state.held += 1;
            self.changed.notify_all();
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.held -= 1;
        }
    }
}

/// Answers `CONNECT HOST:PORT`.
fn accept_tunnel(client: &mut TcpStream) -> std::io::Result<()> {
    let head = BufReader::new(client.try_clone()?).lines();
    for line in head {
        if line?.is_empty() {
            break;
        }
    }
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
}
