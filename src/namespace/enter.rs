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
use crate::kernel::{self, Fd, process};

/// Looks for a mount namespace behind `path`; false when there is none. Never waits, whatever the path leads to, not even
/// for the other end of a fifo (L37). If it `joins` that, every path is resolved in the snap's namespace from here on; to be
/// called with the lock held then.
#[inline(never)]
pub fn find<'t>(path: &[u8], joins: bool) -> Result<'t, bool> {
    let mut says = says!("cannot open mount namespace file: %e");
    let found = file::open(path, Open::READ).and_then(|file| {
        if !joins {
            return look_at(&file);
        }
        says = says!("cannot switch mount namespace: %e");
        match process::join_mount_namespace(&file) {
            // Where the kernel cannot tell kinds of namespaces apart, setns(2) does.
            Err(Errno::EINVAL) if process::is_mount_namespace(&file) != Some(true) => Err(Errno::ENOENT),
            done => done,
        }
    });
    match found {
        Ok(()) => Ok(true),
        // That there is none is no error. `ENXIO` says so of a socket.
        Err(Errno::ENOENT | Errno::ENXIO) => Ok(false),
        Err(errno) => Err(Error::call(says, b"", errno)),
    }
}

/// `ENOENT` for what is no mount namespace. Linux before 4.11 cannot say which kind of namespace it is, and no other file can;
/// setns(2) then does.
fn look_at(file: &Fd) -> kernel::Result<()> {
    let is_one = match process::is_mount_namespace(file) {
        Some(is_one) => is_one,
        None => file::magic(file)? == FileSystem::NSFS,
    };
    if is_one { Ok(()) } else { Err(Errno::ENOENT) }
}
