// SPDX-License-Identifier: GPL-3.0-only
//! The file that keeps a snap's mount namespace alive, `/run/snapd/ns/N.mnt`: a bind mount of nsfs.
//!
//! When a snap never ran there is no such file; when its namespace was thrown away, an ordinary empty one may be
//! left. Both mean that there is nothing to update, which is a success. The file is looked at first, so that
//! nothing is locked or created for a snap without a namespace, and opened again under the lock: the namespace
//! that was there before may have been replaced while we waited.
#![forbid(unsafe_code)]

use crate::error::{Errno, Error, Result, Says, says};
use crate::kernel::file::{self, FileSystem, Open};
use crate::kernel::{self, Fd, process};

/// Whether there is a mount namespace behind `path`. Never waits, whatever the path leads to.
pub fn look<'t>(path: &[u8]) -> Result<'t, bool> {
    outcome(OPENING, open(path).and_then(|file| look_at(&file)))
}

/// Joins the mount namespace behind `path`; false when there is none, and then nothing has changed. Every path
/// is resolved in the snap's namespace from here on. To be called with the lock held.
pub fn join<'t>(path: &[u8]) -> Result<'t, bool> {
    let mut says = OPENING;
    let done = open(path).and_then(|file| {
        says = says!("cannot switch mount namespace: %e");
        match process::join_mount_namespace(&file) {
            // Where the kernel cannot tell kinds of namespaces apart, setns(2) does.
            Err(Errno::EINVAL) if process::is_mount_namespace(&file) != Some(true) => Err(Errno::ENOENT),
            done => done,
        }
    });
    outcome(says, done)
}

const OPENING: Says = says!("cannot open mount namespace file: %e");

/// Whether it was done; that there is no namespace is no error. `ENXIO` says so of a socket.
#[inline(never)]
fn outcome<'t>(says: Says, done: kernel::Result<()>) -> Result<'t, bool> {
    match done {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT | Errno::ENXIO) => Ok(false),
        Err(errno) => Err(Error::call(says, b"", errno)),
    }
}

/// Opens it without waiting for the other end of a fifo (L37).
fn open(path: &[u8]) -> kernel::Result<Fd> {
    file::open(path, Open::READ)
}

/// `ENOENT` for what is no mount namespace. Linux before 4.11 cannot say which kind of namespace it is, and no other file can;
/// setns(2) then does.
fn look_at(file: &Fd) -> kernel::Result<()> {
    let is_one = match process::is_mount_namespace(file) {
        Some(is_one) => is_one,
        None => file::file_system(file)?.magic == FileSystem::NSFS,
    };
    if is_one { Ok(()) } else { Err(Errno::ENOENT) }
}
