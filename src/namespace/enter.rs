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
use crate::kernel::{Fd, process};

const CANNOT_OPEN: &str = "cannot open mount namespace file: %e";
const CANNOT_SWITCH: &str = "cannot switch mount namespace: %e";

/// Whether there is a mount namespace behind `path`. Never waits, whatever the path leads to.
pub fn look<'t>(path: &[u8]) -> Result<'t, bool> {
    find(path).map(|found| found.is_some())
}

/// Joins the mount namespace behind `path`; false when there is none, and then nothing has changed. Every path
/// is resolved in the snap's namespace from here on. To be called with the lock held.
pub fn join<'t>(path: &[u8]) -> Result<'t, bool> {
    let Some(namespace) = find(path)? else { return Ok(false) };
    match process::join_mount_namespace(&namespace) {
        Ok(()) => Ok(true),
        // A namespace of another kind, on a kernel that does not tell kinds apart.
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(Error::call(CANNOT_SWITCH, b"", errno)),
    }
}

/// Opens a mount namespace's file, and nothing else.
fn find<'t>(path: &[u8]) -> Result<'t, Option<Fd>> {
    let cannot_open = |errno| Error::call(CANNOT_OPEN, b"", errno);
    // The object is first only named: opening a fifo or a device already does something to it.
    let named = match file::open(path, Open::PATH, 0) {
        Ok(named) => named,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(cannot_open(errno)),
    };
    if file::stat(&named).map_err(cannot_open)?.kind == FileType::Symlink {
        return Err(cannot_open(Errno::ELOOP));
    }
    if !is_nsfs(&named).map_err(cannot_open)? {
        return Ok(None);
    }
    // This opens the path again, so it is asked again what it is; without waiting, should it be a fifo by now.
    let opened = match file::open(path, Open::READ, 0) {
        Ok(opened) => opened,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(cannot_open(errno)),
    };
    if !is_nsfs(&opened).map_err(cannot_open)? {
        return Ok(None);
    }
    // Linux before 4.11 cannot say which kind of namespace it is; setns(2) then does.
    let other_kind = process::is_mount_namespace(&opened) == Ok(false);
    Ok((!other_kind).then_some(opened))
}

fn is_nsfs(fd: &Fd) -> core::result::Result<bool, Errno> {
    Ok(file::file_system(fd)?.magic == FileSystem::NSFS)
}
