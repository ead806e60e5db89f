// SPDX-License-Identifier: GPL-3.0-only
//! The lock of a snap, `/run/snapd/lock/N.lock`: whoever holds it may build, change or throw away the snap's
//! mount namespace.
//!
//! snap-confine and snap-discard-ns take the same flock(2). When snap-confine starts us it holds the lock on our
//! behalf, and we only make sure that it does: a lock held by somebody else is all that can be seen, and enough.
#![forbid(unsafe_code)]

use crate::error::{Error, Result, Within};
use crate::kernel::file::{self, FileType, Open};
use crate::kernel::{Errno, Fd, process};
use crate::text::path;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The lock is held, by us or for us. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Held {
    _file: Fd,
}

/// Takes the lock of the snap, however long that takes; or, started by snap-confine, makes sure that it is
/// taken. `directory` and its missing parents are created; `path` is a file in it.
pub fn acquire<'t>(directory: &'t [u8], path: &'t [u8], from_snap_confine: bool) -> Result<'t, Held> {
    let file = open(directory, path).map_err(|error| error.within(Within::OpeningLock))?;
    let locked = match from_snap_confine {
        true => process::try_lock(&file).map(|was_free| !was_free),
        false => process::lock(&file).map(|()| true),
    };
    match locked {
        Ok(true) => Ok(Held { _file: file }),
        Ok(false) => {
            Err(Error::plain("mount namespace of snap %i is not locked but --from-snap-confine was used"))
        }
        Err(errno) => Err(Error::call("cannot lock mount namespace of snap %i: %e", b"", errno)),
    }
}

/// Opens the file of the lock, creating it where it is missing.
fn open<'t>(directory: &'t [u8], path: &'t [u8]) -> Result<'t, Fd> {
    ensure_directory(directory)?;
    let failed = |says, errno| Err(Error::call(says, path, errno));
    let file = match file::open(path, Open::LOCK, FILE_MODE) {
        Ok(file) => file,
        Err(errno) => return failed("open %s: %e", errno),
    };
    match file::stat(&file) {
        Ok(stat) if stat.kind == FileType::Regular => Ok(file),
        Ok(_) => failed("open %s: not a regular file", Errno::NONE),
        Err(errno) => failed("stat %s: %e", errno),
    }
}

/// Creates the directory and its missing parents, each 0700; the common case is one look. Parents are named by
/// their paths, for one may be a link: /run is one on some systems.
fn ensure_directory(directory: &[u8]) -> Result<'_, ()> {
    let failed = |path, errno| Err(Error::call("cannot create lock directory: mkdir %s: %e", path, errno));
    match file::open_follow(directory, Open::PATH_DIR) {
        Ok(_) => return Ok(()),
        Err(Errno::ENOENT) => {}
        Err(errno) => return failed(directory, errno),
    }
    for path in path::prefixes(directory) {
        match file::make_directory_path(path, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return failed(path, errno),
        }
    }
    Ok(())
}
