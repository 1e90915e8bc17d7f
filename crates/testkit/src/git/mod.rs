//! Repositories of kernels, and the servers that fetches ask: git's own daemon, git's CGI behind a web server, and a relay
//! in front of either that counts what goes through, and fails as networks do.
//!
//! All of them listen on this machine only, at ports that are free, and end with their value.

mod certificate;
mod daemon;
mod http;
mod relay;
mod repository;

use std::process::Command;

pub use self::certificate::Certificate;
pub use self::daemon::Daemon;
pub use self::http::{HttpServer, LOGIN};
pub use self::relay::Relay;
pub use self::repository::{Repository, kernel_file};

/// How long anything may take that is waited for: much more than it does, so that a test that hangs ends.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Beginnings and ends of the variables that git, libgit2, OpenSSL and ssh look at.
const BEGINNINGS: [&str; 6] = ["GIT_", "SSL_", "SSH_", "XDG_", "BTFGEN_HUB", "BTFHUB_"];
const ENDS: [&str; 2] = ["_proxy", "_PROXY"];

/// Hides the user's configuration from a command: the command's home is this folder.
pub fn isolate<'c>(command: &'c mut Command, home: &std::path::Path) -> &'c mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if BEGINNINGS.iter().any(|b| text.starts_with(b)) || ENDS.iter().any(|e| text.ends_with(e))
        {
            command.env_remove(&name);
        }
    }
    command
        .env("HOME", home)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
}
