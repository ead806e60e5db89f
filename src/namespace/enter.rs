// SPDX-License-Identifier: GPL-3.0-only
//! The file that keeps a snap's mount namespace alive, `/run/snapd/ns/N.mnt`: a bind mount of nsfs.
//!
//! When a snap never ran there is no such file; when its namespace was thrown away, an ordinary empty one may be
//! left. Both mean that there is nothing to update, which is a success. The file is looked at first, so that
//! nothing is locked or created for a snap without a namespace, and opened again under the lock: the namespace
//! that was there before may have been replaced while we waited.
#![forbid(unsafe_code)]

use crate::error::{Errno, Error, Result, says};
use crate::kernel::file::{self, FileSystem, Open};
use crate::kernel::process;

/// Looks for a namespace behind `path`; false when there is none. Never waits, whatever the path leads to, not even for the
/// other end of a fifo (L37). If it `joins` that, every path is resolved in the snap's namespace from here on, and false also
/// tells that it is one of another kind; to be called with the lock held then.
#[inline(never)]
pub fn find<'t>(path: &[u8], joins: bool) -> Result<'t, bool> {
    let mut says = says!("cannot open mount namespace file: %e");
    let found = file::open(path, Open::READ).and_then(|file| {
        if joins {
            says = says!("cannot switch mount namespace: %e");
            return process::join_mount_namespace(&file);
        }
        if file::magic(&file)? == FileSystem::NSFS { Ok(()) } else { Err(Errno::ENOENT) }
    });
    match found {
        Ok(()) => Ok(true),
        // That there is none is no error. `ENXIO` says so of a socket, and setns(2) by `EINVAL` of what is no mount namespace.
        Err(Errno::ENOENT | Errno::ENXIO | Errno::EINVAL) => Ok(false),
        Err(errno) => Err(Error::call(says, b"", errno)),
    }
}
