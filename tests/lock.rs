// SPDX-License-Identifier: GPL-3.0-only
//! The lock of a snap against real files and real holders.
#![allow(missing_docs)]

use snap_update_ns::error::Error;
use snap_update_ns::namespace::lock::{self, Held};
use snap_update_ns::text::Out;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sun-lock-{}-{test}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Dir(dir)
    }

    fn lock_dir(&self) -> String {
        self.0.join("run/lock").to_str().unwrap().to_owned()
    }

    fn file(&self) -> String {
        self.lock_dir() + "/acorn.lock"
    }

    /// The lock directory made as snap-confine makes it.
    fn made(self) -> Self {
        fs::create_dir_all(self.lock_dir()).unwrap();
        self
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn acquire(dir: &Dir, from_snap_confine: bool) -> Result<Held, String> {
    lock::acquire(dir.file().as_bytes(), from_snap_confine).map_err(sentence)
}

fn sentence(error: Error<'_>) -> String {
    struct Text(Vec<u8>);
    impl Out for Text {
        fn put(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }
    let mut text = Text(Vec::new());
    error.write(b"acorn", &mut text);
    String::from_utf8(text.0).unwrap()
}

/// Another program that holds the lock.
struct Holder(Child);

impl Holder {
    fn new(dir: &Dir, how: &str) -> Self {
        use std::io::Read;
        let script = "echo; exec cat";
        let mut child = Command::new("flock")
            .args([how, &dir.file(), "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Holder(child)
    }

    fn release(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Whether another program could take the lock now.
fn is_free(dir: &Dir) -> bool {
    Command::new("flock").args(["-n", &dir.file(), "true"]).status().unwrap().success()
}

#[test]
fn missing_directories_are_made_for_their_owner_only_and_the_lock_ends_with_its_guard() {
    let dir = Dir::new("new");
    let held = acquire(&dir, false).unwrap();
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(dir.0.join("run").to_str().unwrap()), 0o700);
    assert_eq!(mode(&dir.lock_dir()), 0o700);
    assert_eq!(mode(&dir.file()), 0o600);
    assert!(!is_free(&dir));
    drop(held);
    assert!(is_free(&dir));
    assert!(fs::exists(dir.file()).unwrap());
}

#[test]
fn a_lock_that_somebody_else_holds_is_waited_for() {
    let dir = Dir::new("wait").made();
    let holder = Holder::new(&dir, "-x");
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _held = acquire(&dir, false).unwrap();
            tell.send("locked").unwrap();
        });
        thread::sleep(std::time::Duration::from_millis(100));
        assert!(told.try_recv().is_err());
        holder.release();
        assert_eq!(told.recv().unwrap(), "locked");
    });
}

#[test]
fn started_by_snap_confine_any_lock_of_somebody_else_is_enough() {
    for how in ["-x", "-s"] {
        let dir = Dir::new(&format!("held{how}")).made();
        let _holder = Holder::new(&dir, how);
        drop(acquire(&dir, true).unwrap());
    }
}

#[test]
fn started_by_snap_confine_a_lock_that_nobody_holds_is_an_error_and_not_kept() {
    let dir = Dir::new("free").made();
    let error = acquire(&dir, true).unwrap_err();
    assert_eq!(error, "mount namespace of snap \"acorn\" is not locked but --from-snap-confine was used");
    assert!(is_free(&dir));
}

#[test]
fn whatever_is_in_the_place_of_the_lock_file_is_named_and_never_waited_for() {
    let dir = Dir::new("kinds").made();
    let file = dir.file();
    let error = |why: &str| {
        let error = acquire(&dir, false).unwrap_err();
        let what = "cannot open lock file for mount namespace of snap \"acorn\"";
        assert_eq!(error, format!("{what}: open {file}: {why}"));
    };
    symlink("elsewhere", &file).unwrap();
    error("too many levels of symbolic links");
    assert!(!dir.0.join("run/lock/elsewhere").exists());
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    error("is a directory");
    fs::remove_dir(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    // That can be locked as a file can.
    assert!(acquire(&dir, false).is_ok());
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named() {
    let what = "cannot open lock file for mount namespace of snap \"acorn\": cannot create lock directory";
    let dir = Dir::new("notdir");
    fs::create_dir(dir.0.join("run")).unwrap();
    fs::write(dir.lock_dir(), "").unwrap();
    let error = acquire(&dir, false).unwrap_err();
    assert_eq!(error, format!("{what}: mkdir {}: not a directory", dir.lock_dir()));
    let dir = Dir::new("notparent");
    fs::write(dir.0.join("run"), "").unwrap();
    let error = acquire(&dir, false).unwrap_err();
    assert_eq!(error, format!("{what}: mkdir {}: not a directory", dir.lock_dir()));
}

#[test]
fn a_directory_that_is_there_already_is_left_as_it_is() {
    let dir = Dir::new("there").made();
    fs::set_permissions(dir.lock_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let before = fs::metadata(dir.lock_dir()).unwrap().ino();
    drop(acquire(&dir, false).unwrap());
    let after = fs::metadata(dir.lock_dir()).unwrap();
    assert_eq!((after.ino(), after.permissions().mode() & 0o7777), (before, 0o755));
}
