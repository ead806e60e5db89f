// SPDX-License-Identifier: GPL-3.0-only
//! Making directories, files and links: component by component, by descriptor, following nothing.
//!
//! Only the directory in which the first missing name is made is asked whether that may be: the existing ones
//! above it are not written to. What was made in this call is our own ground, and not asked again.
#![forbid(unsafe_code)]

use super::ground::{Answer, Ground, mode};
use crate::error::Error;
use crate::kernel::file::{self, FileType, Open};
use crate::kernel::{Errno, Fd};
use crate::text::path;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub enum What<'t> {
    /// An empty directory.
    Directory,
    /// An empty regular file.
    File,
    /// A symbolic link with this text.
    Symlink(&'t [u8]),
}

/// Why nothing, or not all, was made. What was made is taken away again.
#[derive(Clone, Copy, Debug)]
pub enum Blocked<'t> {
    /// This directory is on a read-only file system; a mimic over it would help.
    ReadOnly(&'t [u8]),
    /// The host would see what is made in this directory; a mimic over it would help.
    Trespass(&'t [u8]),
    /// Nothing helps.
    Failed(Error<'t>),
}

impl<'t> Blocked<'t> {
    /// The sentence for the case that no mimic may be made; `wanted` is what was to be created.
    pub fn error(self, wanted: &'t [u8]) -> Error<'t> {
        match self {
            Blocked::ReadOnly(at) => Error::about("cannot operate on read-only filesystem at %s", at),
            Blocked::Trespass(b"/") => Error::plain("cannot recover from trespassing over /"),
            // The directory lies above what was wanted.
            Blocked::Trespass(at) => Error {
                number: at.len() as u32,
                ..Error::about("cannot write to %q because it would affect the host in %p", wanted)
            },
            Blocked::Failed(error) => error,
        }
    }
}

/// What was made: the path's length up to and including the first component that had been missing; `None` when
/// everything was there.
pub type Made = Option<u16>;

/// Who owns what is made, and with which mode directories are: root's, with the mode of each path; or a user's.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The mode of everything; `None` for [`mode`]'s.
    pub mode: Option<u32>,
}

/// What the system owns.
pub const ROOT: Owner = Owner { uid: 0, gid: 0, mode: None };

/// Makes what is missing of a clean absolute path. Existing things of the right type are left as they are.
pub fn create<'t>(
    at: &'t [u8],
    what: What<'t>,
    ground: &mut Ground<'t>,
    owner: Owner,
) -> Result<Made, Blocked<'t>> {
    check_path(at, what).map_err(Blocked::Failed)?;
    let mut made = None;
    let done = steps(at, what, ground, owner, &mut made);
    if done.is_err() {
        take_back(at, what, made);
    }
    done.map(|()| made)
}

/// Refuses a path that nothing can be created at.
pub fn check_path<'t>(at: &'t [u8], what: What<'t>) -> Result<(), Error<'t>> {
    let relative = match what {
        What::Directory => "cannot create directory with relative path: %q",
        What::File => "cannot create file with relative path: %q",
        What::Symlink(_) => "cannot create symlink with relative path: %q",
    };
    if !path::is_clean(at) {
        return Err(Error::about("cannot split unclean path %q", at));
    }
    if !path::is_absolute(at) {
        return Err(Error::about(relative, at));
    }
    match what {
        What::Symlink(b"") => Err(Error::about("cannot create symlink with empty target: %q", at)),
        What::File | What::Symlink(_) if at == b"/" => {
            Err(Error::about("cannot create non-file path: %q", at))
        }
        _ => Ok(()),
    }
}

fn steps<'t>(
    at: &'t [u8],
    what: What<'t>,
    ground: &mut Ground<'t>,
    owner: Owner,
    made: &mut Made,
) -> Result<(), Blocked<'t>> {
    let failed = |says, at, errno| Blocked::Failed(Error::call(says, at, errno));
    let mut here =
        file::open(b"/", Open::PATH_DIR, 0).map_err(|e| failed("cannot open directory %q: %e", b"/", e))?;
    let mut dir: &'t [u8] = b"/";
    let mut asked = ground.is_free(at);
    for prefix in path::prefixes(at) {
        let name = path::name(prefix);
        let is_leaf = prefix.len() == at.len();
        if !is_leaf || matches!(what, What::Directory) {
            let fd = match file::open_at(&here, name, Open::PATH_DIR, 0) {
                Err(Errno::ENOENT) => {
                    may_write(&here, dir, &mut asked, ground)?;
                    let wanted = owner.mode.unwrap_or_else(|| mode(prefix));
                    match file::make_directory(&here, name, wanted) {
                        Ok(()) => note(made, prefix),
                        Err(Errno::EEXIST) => {}
                        Err(Errno::EROFS) => return Err(read_only(dir)),
                        Err(errno) => return Err(failed("cannot create directory %q: %e", prefix, errno)),
                    }
                    asked = true;
                    let fd = file::open_at(&here, name, Open::PATH_DIR, 0)
                        .map_err(|e| failed("cannot open directory %q: %e", prefix, e))?;
                    if made.is_some() {
                        own(&fd, prefix, owner)?;
                    }
                    fd
                }
                Err(errno) => return Err(failed("cannot open directory %q: %e", prefix, errno)),
                Ok(fd) => fd,
            };
            here = fd;
            dir = prefix;
            continue;
        }
        may_write(&here, dir, &mut asked, ground)?;
        match what {
            What::File => match file::open_at(&here, name, Open::NEW, mode(prefix)) {
                Ok(fd) => {
                    note(made, prefix);
                    own(&fd, prefix, owner)?;
                }
                Err(Errno::EEXIST) => {}
                Err(Errno::EROFS) => return Err(read_only(dir)),
                Err(errno) => return Err(failed("cannot open file %q: %e", prefix, errno)),
            },
            What::Symlink(text) => match file::make_symlink(&here, name, text) {
                Ok(()) => {
                    note(made, prefix);
                    file::chown_at(&here, name, owner.uid, owner.gid)
                        .map_err(|e| failed("cannot chown symbolic link %q: %e", prefix, e))?;
                }
                Err(Errno::EEXIST) => {
                    return Err(failed(
                        "cannot create symbolic link %q: existing file in the way",
                        prefix,
                        Errno::EEXIST,
                    ));
                }
                Err(Errno::EROFS) => return Err(read_only(dir)),
                Err(errno) => return Err(failed("cannot create symlink %q: %e", prefix, errno)),
            },
            What::Directory => {}
        }
    }
    Ok(())
}

fn note(made: &mut Made, prefix: &[u8]) {
    // A path has 4,095 bytes at most: longer ones fail in the first call.
    *made = made.or(Some(prefix.len() as u16));
}

/// A mimic over "/" would put an empty root on top of everything (L10).
fn read_only(dir: &[u8]) -> Blocked<'_> {
    match dir {
        b"/" => Blocked::Failed(Blocked::ReadOnly(dir).error(dir)),
        _ => Blocked::ReadOnly(dir),
    }
}

fn may_write<'t>(
    fd: &Fd,
    dir: &'t [u8],
    asked: &mut bool,
    ground: &mut Ground<'t>,
) -> Result<(), Blocked<'t>> {
    if *asked {
        return Ok(());
    }
    match ground.ask(fd, dir) {
        Err(errno) => Err(Blocked::Failed(Error::call("cannot fstatfs %q: %e", dir, errno))),
        Ok(Answer::Trespass) if dir == b"/" => Err(Blocked::Failed(Blocked::Trespass(dir).error(dir))),
        Ok(Answer::Trespass) => Err(Blocked::Trespass(dir)),
        // The next call will say so, unless a race made the place writable.
        Ok(Answer::ReadOnly) => Err(read_only(dir)),
        Ok(Answer::Free) => Ok(()),
    }
}

fn own<'t>(fd: &Fd, at: &'t [u8], owner: Owner) -> Result<(), Blocked<'t>> {
    file::chown(fd, owner.uid, owner.gid).map_err(|errno| {
        Blocked::Failed(Error { number: owner.uid, ..Error::call("cannot chown %q to %n: %e", at, errno) })
    })
}

/// Removes what [`create`] made, from the leaf up to the first directory that was missing. Errors are passed over:
/// somebody may use the place by now.
pub fn take_back(at: &[u8], what: What<'_>, made: Made) {
    let Some(first) = made.map(usize::from) else { return };
    let mut dir = at;
    while dir.len() >= first && dir.len() > 1 {
        let parent = path::parent(dir);
        let walker = super::walk::Walker::new();
        let Ok(fd) = walker.open_directory(parent) else { return };
        let is_leaf = dir.len() == at.len();
        let gone = match what {
            What::File | What::Symlink(_) if is_leaf => file::unlink(&fd, path::name(dir)),
            _ => file::remove_directory(&fd, path::name(dir)),
        };
        if gone.is_err() && !is_leaf {
            return;
        }
        dir = parent;
    }
}

/// Makes the missing directories of `at` below `anchor`, which has to exist; with the rights of the user, whose
/// they will be, 0700.
pub fn ensure_directory<'t>(at: &'t [u8], anchor: &'t [u8], owner: Owner) -> Result<(), Error<'t>> {
    let in_the_way = |at| Error::about("cannot create directory %q: existing file in the way", at);
    if !path::is_absolute(at) {
        return Err(Error::about("cannot use relative path %q", at));
    }
    if !path::is_absolute(anchor) {
        return Err(Error::about("cannot use relative parent path %q", anchor));
    }
    if !path::is_inside(at, anchor) {
        return Err(Error::about("its must-exist-dir is not a parent of path %q", at));
    }
    match file::lstat(anchor) {
        Ok(stat) if stat.kind != FileType::Directory => {
            return Err(Error::about("cannot use parent path %q: not a directory", anchor));
        }
        Ok(_) => {}
        Err(Errno::ENOENT) => return Err(Error::about("parent directory %q does not exist", anchor)),
        Err(errno) => return Err(Error::call("cannot inspect %q: lstat %s: %e", anchor, errno)),
    }
    let mut here = file::open(anchor, Open::PATH_DIR, 0)
        .map_err(|errno| Error::call("cannot open directory %q: %e", anchor, errno))?;
    for prefix in path::prefixes(at).filter(|prefix| path::is_inside(prefix, anchor)) {
        let name = path::name(prefix);
        let mut new = false;
        let fd = match file::open_at(&here, name, Open::PATH_DIR, 0) {
            Err(Errno::ENOENT) => {
                match file::make_directory(&here, name, owner.mode.unwrap_or(0o700)) {
                    Ok(()) => new = true,
                    Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(Error::call("cannot create directory %q: %e", prefix, errno)),
                }
                file::open_at(&here, name, Open::PATH_DIR, 0)
            }
            other => other,
        };
        here = match fd {
            Err(Errno::ENOTDIR | Errno::ELOOP) => return Err(in_the_way(prefix)),
            Err(errno) => return Err(Error::call("cannot open directory %q: %e", prefix, errno)),
            Ok(fd) => fd,
        };
        if new && let Err(errno) = file::chown(&here, owner.uid, owner.gid) {
            return Err(Error {
                number: owner.uid,
                ..Error::call("cannot chown %q to %n: %e", prefix, errno)
            });
        }
    }
    Ok(())
}
