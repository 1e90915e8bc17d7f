//! Readings that nobody waits for any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use btfgen_vmlinux::{Error, ErrorKind, Reader};

use super::packages::{File, ZSTD, deb, tar};
use super::pahole::{KERNEL, fake_pahole, vmlinux_with_dwarf};
use super::util::*;

const TELLS_VERSION: &str = "[ $1 = --version ] && { echo v1.30; exit; }";

/// A reader that unpacks to an empty folder, and the flag that cancels it.
struct Cancellable {
    reader: Reader,
    temp: PathBuf,
    flag: Arc<AtomicBool>,
}

impl Cancellable {
    fn new(folder: &Folder) -> Self {
        let temp = folder.path().join("temp");
        fs::create_dir(&temp).unwrap();
        let flag = Arc::new(AtomicBool::new(false));
        Self {
            reader: Reader::new().temp_dir(&temp).cancel(Arc::clone(&flag)),
            temp,
            flag,
        }
    }

    /// Reads, and sets the flag as soon as `when` says so.
    fn read(&self, path: &Path, when: impl Fn() -> bool + Sync) -> Error {
        let reading = AtomicBool::new(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                while reading.load(Ordering::Relaxed) && !when() {
                    thread::sleep(Duration::from_millis(1));
                }
                self.flag.store(true, Ordering::Relaxed);
            });
            let read = self.reader.read(path);
            reading.store(false, Ordering::Relaxed);
            let error = read.unwrap_err();
            assert_eq!(fs::read_dir(&self.temp).unwrap().count(), 0);
            error
        })
    }
}

/// Check for every type of file that it is read only if the flag is not set.
#[test]
fn before_it_begins() {
    let folder = Folder::new();
    let cancellable = Cancellable::new(&folder);
    let btf = sample_btf(AMD64);
    let kernel = vmlinux(&btf);
    let gzip = through(&["gzip", "-1"], &kernel);
    let member = [File::Plain("boot/vmlinuz-6.1.0", &kernel)];
    let files = [
        bzimage(&gzip, kernel.len(), RELEASE),
        flat(b"ARM\x64", RELEASE, &btf),
        deb("amd64", &member, ZSTD),
        tar(&member),
        gzip,
        kernel,
        btf,
    ];
    for bytes in &files {
        let path = folder.write("x", bytes);
        assert!(cancellable.reader.read(&path).is_ok());
    }
    cancellable.flag.store(true, Ordering::Relaxed);
    for bytes in &files {
        let path = folder.write("x", bytes);
        let error = cancellable.reader.read(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
        assert!(!error.is_machine_fault());
    }
}

/// Check that the flag ends decompressing, searching and skipping, and that there is no other error.
#[test]
fn while_it_reads() {
    let zeros = vec![0; 256 << 20];
    let gzip = through(&["gzip", "-1"], &zeros);
    let xz = through(&["xz", "-0"], &zeros);
    let members = ["a", "b", "c", "d"].map(|path| File::Plain(path, &zeros[..64 << 20]));
    let archive = through(&["gzip", "-1"], &tar(&members));
    drop(zeros);
    let hidden = [b"x", &gzip.repeat(8)[..]].concat();
    for bytes in [gzip.repeat(8), xz.repeat(8), hidden, archive] {
        let folder = Folder::new();
        let cancellable = Cancellable::new(&folder);
        let path = folder.write("x", &bytes);
        let started = Instant::now();
        let error = cancellable.read(&path, || started.elapsed() > Duration::from_millis(20));
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    }
}

/// Check that a pahole that never ends, or does not even tell its version, is killed, and that its files go.
#[test]
fn while_pahole_runs() {
    for script in ["", TELLS_VERSION] {
        let folder = Folder::new();
        let path = vmlinux_with_dwarf(&folder, KERNEL);
        let packed = through(&["gzip", "-1"], &fs::read(&path).unwrap());
        let pid_file = folder.path().join("pid");
        let wait = format!(
            "echo $$ >{0}.new; mv {0}.new {0}; exec sleep 1000",
            pid_file.display()
        );
        let mut cancellable = Cancellable::new(&folder);
        cancellable.reader = cancellable
            .reader
            .pahole(fake_pahole(&folder, &format!("{script}\n{wait}")));
        let error = cancellable.read(&folder.write("packed", &packed), || pid_file.exists());
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
        let pid = fs::read_to_string(&pid_file).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        assert!(!process.exists(), "{} is there", process.display());
    }
}
