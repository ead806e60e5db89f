// SPDX-License-Identifier: GPL-3.0-only
//! A process of the snap, in a control group of its own: is it frozen?
//!
//! The group is one below another that stands for the root of the freezer's tree in this process's mount namespace,
//! so that tests that run at the same time freeze processes of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

const TREE: &str = "/sys/fs/cgroup/freezer";

/// The process and its group.
pub struct Freezer {
    top: PathBuf,
    group: PathBuf,
    child: Child,
}

impl Freezer {
    /// Makes the group, as one of version 1; and binds it in the mount namespace, which is ours alone.
    pub fn new(instance: &str) -> io::Result<Freezer> {
        let top = Path::new(TREE).join(format!("crash-test.{}", std::process::id()));
        let child = Command::new("sleep").arg("100000").spawn()?;
        let freezer = Freezer { group: Path::new(TREE).join(format!("snap.{instance}")), top, child };
        let group = freezer.top.join(format!("snap.{instance}"));
        fs::create_dir_all(&group)?;
        fs::write(group.join("cgroup.procs"), freezer.child.id().to_string())?;
        rustix::mount::mount_bind(&freezer.top, TREE)?;
        Ok(freezer)
    }

    /// Whether the process can run.
    pub fn is_thawed(&self) -> bool {
        fs::read_to_string(self.group.join("freezer.state")).is_ok_and(|state| state.trim() == "THAWED")
    }

    /// Lets it run.
    pub fn thaw(&self) {
        if !self.is_thawed() {
            fs::write(self.group.join("freezer.state"), "THAWED").expect("thaw");
        }
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = fs::write(self.group.join("freezer.state"), "THAWED");
        let _ = self.child.kill().and_then(|()| self.child.wait());
        let _ = rustix::mount::unmount(TREE, rustix::mount::UnmountFlags::DETACH);
        let group = self.top.join(self.group.file_name().unwrap_or_default());
        for _ in 0..500 {
            if fs::remove_dir(&group).is_ok() || !group.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = fs::remove_dir(&self.top);
    }
}
