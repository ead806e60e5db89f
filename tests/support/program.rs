// SPDX-License-Identifier: GPL-3.0-only
//! The two programs, and how they are started: by descriptor, as snap-confine does it, so that neither needs to be
//! visible in the namespace that it works on.

use std::env;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The program under test.
    Ours,
    /// Debian's.
    Original,
}

/// An opened program; its descriptor survives exec(2), because an emulator opens it by name.
pub struct Program {
    /// Which of the two.
    pub which: Which,
    elf: OwnedFd,
    runner: Option<OwnedFd>,
}

impl Program {
    /// Opens one of the two, or says what is missing and how to get it.
    pub fn find(which: Which) -> Result<Program, String> {
        let path = path(which);
        let elf = open(&path).map_err(|why| match which {
            Which::Ours => format!("{}: {why} (scripts/build makes it)", path.display()),
            Which::Original => format!("{}: {why} (scripts/fetch-original fetches it)", path.display()),
        })?;
        let runner = match env::var_os("SNAP_UPDATE_NS_RUNNER").filter(|_| which == Which::Ours) {
            None => None,
            Some(runner) => Some(open(Path::new(&runner)).map_err(|why| format!("{runner:?}: {why}"))?),
        };
        Ok(Program { which, elf, runner })
    }

    /// What to execute, and the argument that goes before all others.
    pub fn command(&self) -> (String, Option<String>) {
        let elf = link(&self.elf);
        match &self.runner {
            None => (elf, None),
            Some(runner) => (link(runner), Some(elf)),
        }
    }
}

/// Where one of the two lies.
pub fn path(which: Which) -> PathBuf {
    let original = || {
        env::var_os("SNAP_UPDATE_NS_ORIGINAL")
            .map_or_else(|| target().join("original/usr/lib/snapd/snap-update-ns"), PathBuf::from)
    };
    match which {
        Which::Original => original(),
        Which::Ours => match env::var_os("SNAP_UPDATE_NS") {
            Some(name) if name == "original" => original(),
            Some(name) => PathBuf::from(name),
            None => {
                Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/x86_64-unknown-linux-musl/snap-update-ns")
            }
        },
    }
}

/// Whether the original stands in for ours.
pub fn is_rehearsal() -> bool {
    env::var_os("SNAP_UPDATE_NS").is_some_and(|name| name == "original")
}

/// Whether ours runs in an emulator.
pub fn is_emulated() -> bool {
    env::var_os("SNAP_UPDATE_NS_RUNNER").is_some()
}

/// The directory where builds and their by-products go.
pub fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target)
}

fn open(path: &Path) -> std::io::Result<OwnedFd> {
    let file = OwnedFd::from(File::open(path)?);
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
    Ok(file)
}

fn link(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
