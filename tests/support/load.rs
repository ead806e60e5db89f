// SPDX-License-Identifier: GPL-3.0-only
//! Pieces of work of any size, for counting and for measuring: how the world looks before, and what is desired. The
//! names are those of the floor program (`bench/floor.c`).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};

use super::sandbox::Sandbox;

/// A directory of the snap's own data; nothing below it needs a mimic.
pub const PLACE: &str = "/var/snap/acorn/common/many";
/// A read-only directory; nothing can be made in it without a mimic.
pub const WIDE: &str = "/opt/spare";
/// What a layout shows in that directory.
pub const SOURCE: &str = "/var/snap/acorn/common/a";
/// What the record says before anything is mounted.
pub const ROOTFS: &str = "tmpfs / tmpfs x-snapd.origin=rootfs 0 0\n";

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// So many binds on directories that are there.
    Binds(usize),
    /// So many binds on directories that have to be made, and are removed in the end.
    MadeBinds(usize),
    /// A new name in a read-only directory with so many children, every other a directory.
    Mimic(usize),
}
use Load::{Binds, MadeBinds, Mimic};

impl Load {
    /// Makes the world ready for it, in the snap's namespace.
    pub fn furnish(self) {
        match self {
            Binds(count) | MadeBinds(count) => {
                fs::create_dir_all(PLACE).expect("make the place");
                tmpfs(PLACE);
                for (side, wanted) in [("s", true), ("t", matches!(self, Binds(_)))] {
                    // Two file systems, as snaps are: a bind within one costs the kernel a look at every mount in it.
                    fs::create_dir(format!("{PLACE}/{side}")).expect("make a side");
                    tmpfs(&format!("{PLACE}/{side}"));
                    for path in (0..count).filter(|_| wanted).map(|k| format!("{PLACE}/{side}/{k:05}")) {
                        fs::create_dir(&path).expect("make a directory");
                        // The original would remove an empty one in the end.
                        fs::write(format!("{path}/v"), side).expect("write a file");
                    }
                }
            }
            Mimic(count) => {
                tmpfs(WIDE);
                for k in 0..count {
                    let path = format!("{WIDE}/{k:05}");
                    match k % 2 {
                        0 => fs::create_dir(path).expect("make a directory"),
                        _ => fs::write(path, "").expect("make a file"),
                    }
                }
                mount_remount(WIDE, MountFlags::RDONLY, "mode=0755").expect("make it read-only");
            }
        }
    }

    /// Takes the place away again.
    pub fn clear(self) {
        let place = if let Mimic(_) = self { WIDE } else { PLACE };
        unmount(place, UnmountFlags::DETACH).expect("unmount the place");
    }

    /// The desired profile.
    pub fn desired(self) -> String {
        match self {
            Binds(count) | MadeBinds(count) => {
                (0..count).map(|k| format!("{PLACE}/s/{k:05} {PLACE}/t/{k:05} none bind,rw 0 0\n")).collect()
            }
            Mimic(_) => format!("{SOURCE} {WIDE}/fresh none rbind,rw,x-snapd.origin=layout 0 0\n"),
        }
    }

    /// How many mounts there are when it is done.
    pub fn mounts(self) -> usize {
        match self {
            Binds(count) | MadeBinds(count) => count,
            Mimic(count) => count + 2,
        }
    }

    /// Arguments for the floor: the calls that ours makes for connecting and disconnecting.
    pub fn calls(self) -> Option<[Vec<String>; 2]> {
        let words = |verb: &str, n: usize| vec![verb.to_string(), PLACE.to_string(), n.to_string()];
        match self {
            Binds(n) => Some(["walk", "leave"].map(|verb| words(verb, n))),
            MadeBinds(_) | Mimic(_) => None,
        }
    }

    /// Arguments for the floor: what connecting and disconnecting is at least.
    pub fn floor(self) -> [Vec<String>; 2] {
        let words = |line: String| line.split(' ').map(String::from).collect();
        match self {
            Binds(n) => [format!("connect {PLACE} {n}"), format!("disconnect {PLACE} {n}")],
            MadeBinds(n) => [format!("make {PLACE} {n}"), format!("remove {PLACE} {n}")],
            Mimic(_) => [format!("mimic {WIDE} {SOURCE}"), format!("detach {WIDE}")],
        }
        .map(words)
    }
}

/// Lets the snap have had nothing mounted yet.
pub fn forget(sandbox: &Sandbox) {
    fs::write(sandbox.record(), ROOTFS).expect("write the record");
    let _ = fs::remove_file(sandbox.record().with_extension("fstab.made"));
}

/// Mounts that have nothing to do with the snap, as on a host with many containers. They go when this is dropped.
pub struct Unrelated(&'static str);

impl Unrelated {
    pub fn mount(place: &'static str, count: usize) -> Unrelated {
        tmpfs(place);
        let source = format!("{place}/source");
        fs::create_dir(&source).expect("make a source");
        tmpfs(&source);
        for path in (0..count).map(|k| format!("{place}/{k:05}")) {
            fs::create_dir(&path).expect("make a directory");
            mount_bind(&source, &path).expect("mount it");
        }
        Unrelated(place)
    }
}

impl Drop for Unrelated {
    fn drop(&mut self) {
        unmount(self.0, UnmountFlags::DETACH).expect("unmount the place");
    }
}

/// How many lines the mount table has.
pub fn mounts() -> usize {
    fs::read_to_string("/proc/thread-self/mountinfo").expect("read the mount table").lines().count()
}

/// The names of the system calls of a command, each as often as it is made. Threads and children count.
pub fn calls(command: &[String]) -> Vec<String> {
    // Each line is "PID NAME(…". A call that another thread interrupts has a second line, "PID <... NAME resumed>".
    let name = |line: &str| Some(line.split_whitespace().nth(1)?.split_once('(')?.0.to_string());
    transcript(command).lines().filter_map(name).collect()
}

/// The system calls of a command, a line each, by strace(1).
pub fn transcript(command: &[String]) -> String {
    let transcript = tempfile::NamedTempFile::new_in("/run").expect("a file for the transcript");
    let path: &Path = transcript.path();
    let done = Command::new("strace")
        .args(["-f", "-qq", "-s", "200", "-o"])
        .arg(path)
        .args(command)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .expect("strace");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {}\n{said}", done.status);
    let text = fs::read_to_string(path).expect("read the transcript");
    if std::env::var_os("STORIES_SHOW").is_some() {
        println!("{command:?}\n{text}");
    }
    text
}

/// Mounts an empty tmpfs.
pub fn tmpfs(at: &str) {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), c"mode=0755").expect("mount a tmpfs");
}
