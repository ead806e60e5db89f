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
    let cannot_open = |error: Error<'t>| error.within(Within::OpeningLock);
    let cannot_lock = |errno| Error::call("cannot lock mount namespace of snap %i: %e", b"", errno);
    ensure_directory(directory).map_err(cannot_open)?;
    let file = file::open(path, Open::LOCK, FILE_MODE)
        .map_err(|errno| cannot_open(Error::call("open %s: %e", path, errno)))?;
    match file::stat(&file) {
        Ok(stat) if stat.kind == FileType::Regular => {}
        Ok(_) => return Err(cannot_open(Error::about("open %s: not a regular file", path))),
        Err(errno) => return Err(cannot_open(Error::call("stat %s: %e", path, errno))),
    }
    if !from_snap_confine {
        process::lock(&file).map_err(cannot_lock)?;
    } else if process::try_lock(&file).map_err(cannot_lock)? {
        return Err(Error::plain(
            "mount namespace of snap %i is not locked but --from-snap-confine was used",
        ));
    }
    Ok(Held { _file: file })
}

/// Creates the directory and its missing parents, each 0700; the common case is one look.
fn ensure_directory(directory: &[u8]) -> Result<'_, ()> {
    let failed = |path, errno| Error::call("cannot create lock directory: mkdir %s: %e", path, errno);
    match file::open_follow(directory, Open::PATH_DIR) {
        Ok(_) => return Ok(()),
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(failed(directory, errno)),
    }
    let mut parent = file::open_follow(b"/", Open::PATH_DIR).map_err(|errno| failed(b"/", errno))?;
    let mut end = 0;
    for name in directory.split(|byte| *byte == b'/') {
        end += name.len();
        let so_far = directory.get(..end).unwrap_or_default();
        end += 1;
        if name.is_empty() {
            continue;
        }
        match file::make_directory(&parent, name, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(so_far, errno)),
        }
        // By its path, for a parent may be a link: /run is one on some systems.
        parent = file::open_follow(so_far, Open::PATH_DIR).map_err(|errno| failed(so_far, errno))?;
    }
    Ok(())
}
