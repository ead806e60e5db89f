// SPDX-License-Identifier: GPL-3.0-only
//! From a path to a descriptor, following no symbolic link anywhere.
#![forbid(unsafe_code)]

use crate::kernel::file::{self, Open};
use crate::kernel::{Errno, Fd, Result};
use crate::text::path;
use core::cell::Cell;

/// Opens paths; remembers when the kernel cannot do it in one call (openat2(2), Linux 5.6).
pub struct Walker {
    by_steps: Cell<bool>,
}

impl Walker {
    /// One that has not yet asked.
    pub const fn new() -> Self {
        Walker { by_steps: Cell::new(false) }
    }

    /// The object at an absolute path, `O_PATH`. A link in directory position is `ENOTDIR`; a link as the last
    /// component is opened itself.
    pub fn open(&self, path: &[u8]) -> Result<Fd> {
        self.open_as(path, Open::PATH)
    }

    /// The same, and it has to be a directory.
    pub fn open_directory(&self, path: &[u8]) -> Result<Fd> {
        self.open_as(path, Open::PATH_DIR)
    }

    /// The directory of a path's last component; nothing when that is missing, or is none.
    pub fn open_parent(&self, path: &[u8]) -> Result<Option<Fd>> {
        match self.open_directory(path::parent(path)) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            done => done.map(Some),
        }
    }

    fn open_as(&self, path: &[u8], how: Open) -> Result<Fd> {
        if !self.by_steps.get() {
            match file::open_no_symlinks(path, how) {
                // A filter may answer EPERM for a call it does not know.
                Err(Errno::ENOSYS | Errno::EPERM) => self.by_steps.set(true),
                Err(Errno::ELOOP) => return Err(Errno::ENOTDIR),
                done => return done,
            }
        }
        let mut here = file::open(b"/", Open::PATH_DIR, 0)?;
        let mut components = path::components(path).peekable();
        while let Some(name) = components.next() {
            let how = if components.peek().is_some() { Open::PATH_DIR } else { how };
            here = file::open_at(&here, name, how, 0)?;
        }
        Ok(here)
    }
}

impl Default for Walker {
    fn default() -> Self {
        Self::new()
    }
}
