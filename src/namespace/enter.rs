// SPDX-License-Identifier: GPL-3.0-only
//! The file that keeps a snap's mount namespace alive, `/run/snapd/ns/N.mnt`: a bind mount of nsfs.
//!
//! When a snap never ran there is no such file; when its namespace was thrown away, an ordinary empty one may be
//! left. Both mean that there is nothing to update, which is a success. The file is looked at first, so that
//! nothing is locked or created for a snap without a namespace, and opened again under the lock: the namespace
//! that was there before may have been replaced while we waited.
#![forbid(unsafe_code)]

use crate::error::{Errno, Error, Result};
use crate::kernel::file::{self, FileSystem, FileType, Open};
use crate::kernel::{self, Fd, process};

/// Whether there is a mount namespace behind `path`. Never waits, whatever the path leads to.
pub fn look<'t>(path: &[u8]) -> Result<'t, bool> {
    outcome(OPENING, open(path).map(drop))
}

/// Joins the mount namespace behind `path`; false when there is none, and then nothing has changed. Every path
/// is resolved in the snap's namespace from here on. To be called with the lock held.
pub fn join<'t>(path: &[u8]) -> Result<'t, bool> {
    match open(path) {
        Ok(namespace) => {
            outcome("cannot switch mount namespace: %e", process::join_mount_namespace(&namespace))
        }
        Err(errno) => outcome(OPENING, Err(errno)),
    }
}

const OPENING: &str = "cannot open mount namespace file: %e";

/// Whether it was done; that there is no namespace is no error. `EINVAL` says so of one of another kind, on a kernel
/// that does not tell kinds apart.
#[inline(never)]
fn outcome<'t>(says: &'static str, done: kernel::Result<()>) -> Result<'t, bool> {
    match done {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT | Errno::EINVAL) => Ok(false),
        Err(errno) => Err(Error::call(says, b"", errno)),
    }
}

/// Opens a mount namespace's file; `ENOENT` where there is none, also in the place of any other file.
#[inline(never)]
fn open(path: &[u8]) -> kernel::Result<Fd> {
    // The object is first only named: opening a fifo or a device already does something to it. Then the path is
    // opened again, so it is asked again what it is; without waiting, should it be a fifo by now.
    let mut how = Open::PATH;
    loop {
        let file = file::open(path, how, 0)?;
        if file::stat(&file)?.kind == FileType::Symlink {
            return Err(Errno::ELOOP);
        }
        if file::file_system(&file)?.magic != FileSystem::NSFS {
            return Err(Errno::ENOENT);
        }
        if how == Open::READ {
            // Linux before 4.11 cannot say which kind of namespace it is; setns(2) then does.
            let is_other = process::is_mount_namespace(&file) == Ok(false);
            return if is_other { Err(Errno::ENOENT) } else { Ok(file) };
        }
        how = Open::READ;
    }
}
