// SPDX-License-Identifier: GPL-3.0-only
//! The lock of a snap, `/run/snapd/lock/N.lock`: whoever holds it may build, change or throw away the snap's
//! mount namespace.
//!
//! snap-confine and snap-discard-ns take the same flock(2). When snap-confine starts us it holds the lock on our
//! behalf, and we only make sure that it does: a lock held by somebody else is all that can be seen, and enough.
#![forbid(unsafe_code)]

use crate::error::{Error, Result, Says, Within, says};
use crate::kernel::file::{self, Open};
use crate::kernel::{self, Errno, Fd, process};
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
/// taken. The directory of the file and its missing parents are created.
pub fn acquire<'t>(path: &'t [u8], from_snap_confine: bool) -> Result<'t, Held> {
    let (mut says, mut about) = (says!(""), path::parent(path));
    let file = open(path, &mut says, &mut about)
        .map_err(|errno| Error::call(says, about, errno).within(Within::OpeningLock))?;
    let (says, errno) = match process::lock(&file, !from_snap_confine) {
        Ok(()) if !from_snap_confine => return Ok(Held { _file: file }),
        // Somebody else holds it.
        Err(Errno::EAGAIN) if from_snap_confine => return Ok(Held { _file: file }),
        Ok(()) => {
            (says!("mount namespace of snap %i is not locked but --from-snap-confine was used"), Errno::NONE)
        }
        Err(errno) => (says!("cannot lock mount namespace of snap %i: %e"), errno),
    };
    Err(Error::call(says, b"", errno))
}

/// Opens the file of the lock, creating it where it is missing, and its directory. `says` is the sentence for the step
/// that failed, and `about` what it is about: the directory at first.
///
/// Missing directories are created 0700 each; the common case is one look. Parents are named by their paths, for one
/// may be a link: /run is one on some systems.
fn open<'t>(path: &'t [u8], says: &mut Says, about: &mut &'t [u8]) -> kernel::Result<Fd> {
    *says = says!("cannot create lock directory: mkdir %s: %e");
    let mut file = file::create(path, Open::LOCK, FILE_MODE);
    if matches!(file, Err(Errno::ENOTDIR)) {
        return file;
    }
    if matches!(file, Err(Errno::ENOENT)) {
        for path in path::prefixes(about) {
            *about = path;
            match file::make_directory_path(path, DIRECTORY_MODE) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        file = file::create(path, Open::LOCK, FILE_MODE);
    }
    (*says, *about) = (says!("open %s: %e"), path);
    file
}
