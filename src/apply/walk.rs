// SPDX-License-Identifier: GPL-3.0-only
//! From a path to a descriptor, following no symbolic link anywhere.
#![forbid(unsafe_code)]

use crate::kernel::file::{self, Open};
use crate::kernel::{Errno, Fd, Result};
use crate::text::path;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether this kernel, or a filter in front of it, does not open a path in one call (openat2(2), Linux 5.6).
static BY_STEPS: AtomicBool = AtomicBool::new(false);

/// The object at an absolute path, `O_PATH`. A link in directory position is `ENOTDIR`; a link as the last
/// component is opened itself.
pub fn open(path: &[u8]) -> Result<Fd> {
    open_as(path, Open::PATH)
}

/// The same, and it has to be a directory.
pub fn open_directory(path: &[u8]) -> Result<Fd> {
    open_as(path, Open::PATH_DIR)
}

/// The directory of a path's last component; nothing when that is missing, or is none.
#[inline(never)]
pub fn open_parent(path: &[u8]) -> Result<Option<Fd>> {
    match open_directory(path::parent(path)) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        done => done.map(Some),
    }
}

#[inline(never)]
fn open_as(path: &[u8], how: Open) -> Result<Fd> {
    if !BY_STEPS.load(Ordering::Relaxed) {
        match file::open_no_symlinks(path, how) {
            // A filter may answer EPERM for a call it does not know.
            Err(Errno::ENOSYS | Errno::EPERM) => BY_STEPS.store(true, Ordering::Relaxed),
            Err(Errno::ELOOP) => return Err(Errno::ENOTDIR),
            done => return done,
        }
    }
    let mut here = file::open(b"/", Open::PATH_DIR, 0)?;
    let mut last: &[u8] = b".";
    for name in path::components(path) {
        here = file::open_at(&here, last, Open::PATH_DIR, 0)?;
        last = name;
    }
    file::open_at(&here, last, how, 0)
}
