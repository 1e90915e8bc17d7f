//! `git daemon`, for git:// addresses.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::isolate;

/// How many ports are tried: somebody may take one between its choice and its use.
const ATTEMPTS: usize = 10;

/// A running `git daemon`.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    address: SocketAddr,
}

impl Daemon {
    /// Serves the repositories in a folder as `git://HOST:PORT/NAME`.
    ///
    /// # Panics
    /// Panics if it does not start.
    #[must_use]
    pub fn serving(folder: &Path) -> Self {
        (0..ATTEMPTS)
            .find_map(|_| Self::start(folder))
            .expect("git daemon finds a free port")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(folder: &Path) -> Option<Self> {
        let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = any.local_addr().expect("the port's number");
        drop(any);
        let mut command = Command::new("git");
        isolate(&mut command, folder);
        let mut child = command
            .arg("daemon")
            .arg(format!("--base-path={}", folder.display()))
            .arg(format!("--port={}", address.port()))
            .args(["--listen=127.0.0.1", "--export-all", "--verbose"])
            .args(["--reuseaddr", "--informative-errors"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("git can be run; scripts/setup installs it");
        let stderr = child.stderr.take().expect("it is piped");
        let daemon = Self { child, address };
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        if !lines.any(|line| line.contains("Ready to rumble")) {
            return None;
        }
        // It goes on to talk, and would stop where nobody listens.
        std::thread::spawn(move || lines.for_each(drop));
        Some(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
