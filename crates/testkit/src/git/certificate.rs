//! A certificate that nobody trusts by himself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A self-signed certificate for 127.0.0.1 and btfs.invalid.
#[derive(Debug)]
pub struct Certificate {
    path: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// Has `openssl` make one in a folder; `None` if that is not installed.
    ///
    /// # Panics
    /// Panics if it refuses.
    #[must_use]
    pub fn new(folder: &Path) -> Option<Self> {
        let certificate = Self {
            path: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
        };
        let output = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", "/CN=btfs.invalid"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:btfs.invalid"])
            .arg("-keyout")
            .arg(&certificate.key)
            .arg("-out")
            .arg(&certificate.path)
            .output()
            .ok()?;
        assert!(
            output.status.success(),
            "openssl: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(certificate)
    }

    /// The certificate's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn pem(&self) -> (Vec<u8>, Vec<u8>) {
        let read = |path| fs::read(path).expect("what openssl has written");
        (read(&self.path), read(&self.key))
    }
}
