// SPDX-License-Identifier: GPL-3.0-only
//! A process of the snap, in a control group of its own: is it frozen?
//!
//! The group is one below another that stands for the root of the tree in this process's mount namespace, so that tests
//! that run at the same time freeze processes of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags};

/// The layouts of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A tree for the freezer alone, and one group for each snap.
    One,
    /// One tree, and a group for each running program.
    Two,
}

const ONE: &str = "/sys/fs/cgroup/freezer";
const TWO: &str = "/sys/fs/cgroup";

/// The process and its group.
pub struct Freezer {
    version: Version,
    /// What has to be unmounted afterwards.
    mounted: Vec<&'static str>,
    top: PathBuf,
    group: PathBuf,
    child: Child,
}

impl Freezer {
    /// The first version where it is, or the second; or the second in any case. To be called in a mount namespace that is
    /// ours alone.
    pub fn new(instance: &str, second: bool) -> io::Result<Freezer> {
        let version = if !second && Path::new(ONE).exists() { Version::One } else { Version::Two };
        let mut mounted = Vec::new();
        let (tree, name) = match version {
            Version::One => (ONE, format!("snap.{instance}")),
            Version::Two => (TWO, format!("snap.{instance}.app.scope")),
        };
        if version == Version::Two && !Path::new("/sys/fs/cgroup/cgroup.procs").exists() {
            rustix::mount::mount("cgroup2", TWO, "cgroup2", MountFlags::empty(), None)?;
            mounted.push(TWO);
        }
        let top = Path::new(tree).join(format!("crash-test.{}", std::process::id()));
        let child = Command::new("sleep").arg("100000").spawn()?;
        let mut freezer = Freezer { version, mounted, group: Path::new(tree).join(&name), top, child };
        let group = freezer.top.join(&name);
        fs::create_dir_all(&group)?;
        fs::write(group.join("cgroup.procs"), freezer.child.id().to_string())?;
        rustix::mount::mount_bind(&freezer.top, tree)?;
        freezer.mounted.push(tree);
        Ok(freezer)
    }

    fn file(&self) -> PathBuf {
        self.group.join(match self.version {
            Version::One => "freezer.state",
            Version::Two => "cgroup.freeze",
        })
    }

    fn word(&self) -> &'static str {
        match self.version {
            Version::One => "THAWED",
            Version::Two => "0",
        }
    }

    /// Whether the process can run.
    pub fn is_thawed(&self) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|state| state.trim() == self.word())
    }

    /// How long it takes until the process can run, or that long; what has to be done meanwhile is done.
    pub fn thaws_within(&self, patience: Duration, meanwhile: &mut dyn FnMut()) -> Duration {
        let start = Instant::now();
        while !self.is_thawed() && start.elapsed() < patience {
            meanwhile();
            std::thread::sleep(Duration::from_micros(200));
        }
        start.elapsed()
    }

    /// Lets it run.
    pub fn thaw(&self) {
        if !self.is_thawed() {
            fs::write(self.file(), self.word()).expect("thaw");
        }
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = fs::write(self.file(), self.word());
        let _ = self.child.kill().and_then(|()| self.child.wait());
        let mut mounted = self.mounted.iter().rev();
        // First what hides the group.
        if let Some(tree) = mounted.next() {
            let _ = rustix::mount::unmount(*tree, UnmountFlags::DETACH);
        }
        let group = self.top.join(self.group.file_name().unwrap_or_default());
        for _ in 0..500 {
            if fs::remove_dir(&group).is_ok() || !group.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = fs::remove_dir(&self.top);
        for tree in mounted {
            let _ = rustix::mount::unmount(*tree, UnmountFlags::DETACH);
        }
    }
}
