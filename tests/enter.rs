// SPDX-License-Identifier: GPL-3.0-only
//! Looking at and joining real mount namespaces, kept alive by bind mounts as snap-confine keeps them. Needs root;
//! says so and passes without. Every test works in a mount namespace of its own thread.
#![allow(missing_docs)]

use snap_update_ns::error::Error;
use snap_update_ns::namespace::enter;
use snap_update_ns::text::Out;
use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Says aloud, past the test runner's catching of output, that a test was not made.
fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

fn mount(source: &str, target: &Path, kind: &str, flags: libc::c_ulong) {
    let c = |text: &str| CString::new(text).unwrap();
    let (source, target, kind) = (c(source), c(target.to_str().unwrap()), c(kind));
    // SAFETY: all strings end in NUL and outlive the call; there is no data.
    let done =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, core::ptr::null()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// A directory on a tmpfs that only this thread's mount namespace has; nothing when we are not root.
fn private_directory(test: &str) -> Option<PathBuf> {
    stay_on_one_processor();
    // SAFETY: no memory is passed.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        skip("needs root to make mount namespaces");
        return None;
    }
    mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE);
    let dir = std::env::temp_dir().join(format!("sun-enter-{}-{test}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    mount("tmpfs", &dir, "tmpfs", 0);
    Some(dir)
}

/// A mount can only keep a namespace that is younger than the one it is made in. On Linux 6.18 the mount was
/// refused now and then, `EINVAL`, though it was younger, and never when both were made on one processor.
fn stay_on_one_processor() {
    // SAFETY: all zero bits are an empty set, the set is passed with its size, and no other memory is.
    unsafe {
        let mut set: libc::cpu_set_t = core::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap(), &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set), 0);
    }
}

fn remove(dir: &Path) {
    let path = CString::new(dir.to_str().unwrap()).unwrap();
    // SAFETY: the path ends in NUL and outlives the call.
    unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    let _ = fs::remove_dir(dir);
}

/// A process in namespaces of its own.
struct Other(Child);

impl Other {
    fn new(unshare: &str, script: &str) -> Self {
        let mut child = Command::new("unshare")
            .args([unshare, "sh", "-ec", &format!("{script}\necho\nexec cat")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Other(child)
    }

    fn keep(&self, kind: &str, at: &Path) {
        fs::write(at, "").unwrap();
        mount(&format!("/proc/{}/ns/{kind}", self.0.id()), at, "", libc::MS_BIND);
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
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

fn find(path: &Path, joins: bool) -> Result<bool, String> {
    enter::find(path.to_str().unwrap().as_bytes(), joins).map_err(sentence)
}

fn look(path: &Path) -> Result<bool, String> {
    find(path, false)
}

fn join(path: &Path) -> Result<bool, String> {
    find(path, true)
}

#[test]
fn what_is_no_mount_namespace_is_none_and_nothing_is_joined() {
    let Some(dir) = private_directory("none") else { return };
    let other = Other::new("-u", "");
    let at = |name: &str| dir.join(name);
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("directory")).unwrap();
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    other.keep("uts", &at("uts"));
    for name in ["missing", "file", "directory", "fifo", "uts"] {
        // Of which kind a namespace is shows when it is joined.
        assert_eq!(look(&at(name)), Ok(name == "uts"), "{name}");
        assert_eq!(join(&at(name)), Ok(false), "{name}");
    }
    assert!(at("file").exists(), "still in the test's own namespace");
    remove(&dir);
}

#[test]
fn a_link_and_what_cannot_be_reached_are_errors_with_the_reason() {
    let Some(dir) = private_directory("errors") else { return };
    symlink("missing", dir.join("link")).unwrap();
    fs::write(dir.join("file"), "").unwrap();
    let error = |why: &str| Err(format!("cannot open mount namespace file: {why}"));
    for ask in [look, join] {
        assert_eq!(ask(&dir.join("link")), error("too many levels of symbolic links"));
        assert_eq!(ask(&dir.join("file/below")), error("not a directory"));
        assert_eq!(ask(&dir.join("n".repeat(300))), error("file name too long"));
    }
    remove(&dir);
}

#[test]
fn a_mount_namespace_is_found_and_joined() {
    let Some(dir) = private_directory("join") else { return };
    let inside = dir.join("inside");
    fs::create_dir(&inside).unwrap();
    let other = Other::new("-m", &format!("mount -t tmpfs tmpfs {0}; : > {0}/marker", inside.display()));
    let kept = dir.join("acorn.mnt");
    other.keep("mnt", &kept);
    assert_eq!(look(&kept), Ok(true));
    assert!(!inside.join("marker").exists(), "looking changes nothing");
    assert_eq!(join(&kept), Ok(true));
    assert!(inside.join("marker").exists());
    drop(other);
    remove(&dir);
}
