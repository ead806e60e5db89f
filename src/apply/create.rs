// SPDX-License-Identifier: GPL-3.0-only
//! Making directories, files and links: component by component, by descriptor, following nothing.
//!
//! Only the directory in which the first missing name is made is asked whether that may be: the existing ones
//! above it are not written to. What was made in this call is our own ground, and not asked again.
#![forbid(unsafe_code)]

use super::ground::{Ground, mode};
use super::walk::{self, Walker};
use crate::error::{Error, Result, Says, says};
use crate::kernel::file::{self, FileType, Open};
use crate::kernel::{Errno, Fd};
use crate::mount::Kind;
use crate::plan::{Item, Made};
use crate::text::path;

/// What to make: what this item needs at its target; or else a directory.
#[derive(Clone, Copy, Debug)]
pub struct What<'w, 't>(pub Option<&'w Item<'t>>);

impl<'t> What<'_, 't> {
    /// An empty directory, an empty regular file or a symbolic link.
    #[inline(never)]
    fn kind(self) -> Kind {
        self.0.map_or(Kind::Directory, |item| item.kind)
    }

    /// Whether it is no directory.
    fn is_leaf(self) -> bool {
        matches!(self.kind(), Kind::File | Kind::Symlink)
    }

    /// The text of a symbolic link.
    fn text(self) -> &'t [u8] {
        self.0.and_then(|item| item.entry.symlink_text()).unwrap_or_default()
    }
}

/// Who owns what is made.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What the system owns.
pub const ROOT: Owner = Owner { uid: 0, gid: 0 };

/// Makes what is missing of a clean absolute path. Existing things of the right type are left as they are. On failure
/// what was made is taken away again; where a mimic over a directory would help, `cure` is the length of its path.
pub fn create<'t>(
    at: &'t [u8],
    what: What<'_, 't>,
    walker: &mut Walker<'t>,
    ground: &mut Ground<'t>,
    cure: &mut usize,
) -> Result<'t, Made> {
    check_path(at, what)?;
    let mut dir: &[u8] = b"";
    let opened = walker.take_nearest(at, &mut dir);
    let mut maker = Maker { at, what, made: 0, dir, owner: ROOT, ground: Some((walker, ground)), cure };
    let done = maker.make(opened);
    let made = maker.made;
    if done.is_err() {
        take_back(at, what, walker, made);
    }
    done.map(|()| made)
}

/// Makes the missing directories of `at` below `anchor`, which has to exist; with the rights of the user, whose
/// they will be, 0700. Links above the anchor are followed, but not for the system.
pub fn ensure_directory<'t>(at: &'t [u8], anchor: &'t [u8], owner: Owner, system: bool) -> Result<'t, ()> {
    check_path(at, What(None))?;
    let mut errno = Errno::NONE;
    let (says, about) = if !path::is_absolute(anchor) {
        (says!("cannot use relative parent path %q"), anchor)
    } else if !path::is_inside(at, anchor) {
        (says!("its must-exist-dir is not a parent of path %q"), at)
    } else {
        match file::lstat(anchor) {
            Ok(stat) if stat.kind == FileType::Directory => {
                let opened = match system {
                    true => walk::open(anchor, Open::PATH_DIR),
                    false => file::open(anchor, Open::PATH_DIR),
                };
                let (what, cure) = (What(None), &mut 0);
                return Maker { at, what, made: 0, dir: anchor, owner, ground: None, cure }.make(opened);
            }
            Ok(_) => (says!("cannot use parent path %q: not a directory"), anchor),
            Err(Errno::ENOENT) => (says!("parent directory %q does not exist"), anchor),
            Err(refused) => {
                errno = refused;
                (says!("cannot inspect %q: lstat %s: %e"), anchor)
            }
        }
    };
    Err(Error::call(says, about, errno))
}

/// Refuses a path that nothing can be created at.
pub fn check_path<'t>(at: &'t [u8], what: What<'_, '_>) -> Result<'t, ()> {
    let kind = what.kind();
    let says = if !path::is_clean(at) {
        says!("cannot split unclean path %q")
    } else if !path::is_absolute(at) {
        match kind {
            Kind::File => says!("cannot create file with relative path: %q"),
            Kind::Symlink => says!("cannot create symlink with relative path: %q"),
            _ => says!("cannot create directory with relative path: %q"),
        }
    } else if kind == Kind::Symlink && what.text().is_empty() {
        says!("cannot create symlink with empty target: %q")
    } else if what.is_leaf() && path::is_root(at) {
        says!("cannot create non-file path: %q")
    } else {
        return Ok(());
    };
    Err(Error::about(says, at))
}

/// Goes down a path and makes what is missing.
struct Maker<'m, 't> {
    at: &'t [u8],
    what: What<'m, 't>,
    made: Made,
    /// Where it is: the next name is missing, or looked for, in this directory.
    dir: &'t [u8],
    /// Who will own what is made.
    owner: Owner,
    /// Who knows the way, and who is asked whether a name may be created; nobody, in the user's home.
    ground: Option<(&'m mut Walker<'t>, &'m mut Ground<'t>)>,
    /// The directory over which a mimic would help: its path's length, or 0.
    cure: &'m mut usize,
}

impl<'t> Maker<'_, 't> {
    fn make(&mut self, opened: crate::kernel::Result<Fd>) -> Result<'t, ()> {
        let mut here = opened.map_err(|errno| not_opened(self.dir, errno))?;
        for prefix in path::prefixes(self.at) {
            // What is opened lies on the way.
            if prefix.len() <= self.dir.len() {
                continue;
            }
            let name = path::name(prefix);
            let is_leaf = prefix.len() == self.at.len();
            // That it is missing is why it is made.
            let mut opened =
                if is_leaf { Err(Errno::ENOENT) } else { file::open_at(&here, name, Open::PATH_DIR) };
            if let Err(Errno::ENOENT) = opened {
                self.make_one(&here, prefix)?;
                if is_leaf {
                    if let Some((walker, _)) = &mut self.ground {
                        walker.keep(self.dir, here);
                    }
                    return Ok(());
                }
                opened = file::open_at(&here, name, Open::PATH_DIR);
            }
            here = opened.map_err(|errno| not_opened(prefix, errno))?;
            self.dir = prefix;
        }
        Ok(())
    }

    /// Makes what is missing in a directory.
    #[inline(never)]
    fn make_one(&mut self, here: &Fd, at: &'t [u8]) -> Result<'t, ()> {
        self.try_one(here, at)
            .map_err(|(says, about, number, errno)| Error::count(says, about, errno, number as u32))
    }

    /// The same; on failure what is to be said. What was made by somebody else meanwhile stays his.
    fn try_one(
        &mut self,
        here: &Fd,
        at: &'t [u8],
    ) -> core::result::Result<(), (Says, &'t [u8], usize, Errno)> {
        let dir = self.dir;
        let read_only = says!("cannot operate on read-only filesystem at %s");
        // May a name be created here? What was made just now is our own.
        if let Some((_, ground)) = &mut self.ground
            && self.made == 0
        {
            match ground.ask(here, self.at) {
                Ok(()) => {}
                Err(Errno::EROFS) => {
                    *self.cure = dir.len();
                    return Err((read_only, dir, 0, Errno::NONE));
                }
                Err(Errno::NONE) => {
                    *self.cure = dir.len();
                    // The directory lies above what was wanted.
                    let says = says!("cannot write to %q because it would affect the host in %p");
                    let says = if path::is_root(dir) {
                        says!("cannot recover from trespassing over /")
                    } else {
                        says
                    };
                    return Err((says, self.at, dir.len(), Errno::NONE));
                }
                Err(errno) => return Err((says!("cannot fstatfs %q: %e"), dir, 0, errno)),
            }
        }
        let name = path::name(at);
        let what = if at.len() == self.at.len() { self.what } else { What(None) };
        let kind = what.kind();
        let mode = if self.ground.is_some() { mode(at) } else { 0o700 };
        let (mut says, done) = match kind {
            Kind::File => {
                (says!("cannot open file %q: %e"), file::create_at(here, name, Open::NEW, mode).map(drop))
            }
            Kind::Symlink => {
                (says!("cannot create symlink %q: %e"), file::make_symlink(here, name, what.text()))
            }
            _ => (says!("cannot create directory %q: %e"), file::make_directory(here, name, mode)),
        };
        match done {
            Ok(()) if self.made == 0 => self.made = at.len() as Made,
            Ok(()) => {}
            Err(Errno::EEXIST) if kind == Kind::Symlink => {
                return Err((
                    says!("cannot create symbolic link %q: existing file in the way"),
                    at,
                    0,
                    Errno::NONE,
                ));
            }
            Err(Errno::EEXIST) => {}
            Err(Errno::EROFS) => {
                *self.cure = dir.len();
                return Err((read_only, dir, 0, Errno::NONE));
            }
            Err(errno) => return Err((says, at, 0, errno)),
        }
        if self.made == 0 {
            return Ok(());
        }
        says = if !what.is_leaf() {
            says!("cannot chown directory %q: %e")
        } else {
            says!("cannot chown %q: %e")
        };
        file::chown_at(here, name, self.owner.uid, self.owner.gid).map_err(|errno| (says, at, 0, errno))
    }
}

fn not_opened(dir: &[u8], errno: Errno) -> Error<'_> {
    Error::call(says!("cannot open directory %q: %e"), dir, errno)
}

/// Removes what [`create`] made, from the leaf up to the first directory that was missing. True if that is done, and also
/// where somebody uses the place by now.
pub fn take_back(at: &[u8], what: What<'_, '_>, walker: &mut Walker<'_>, made: Made) -> bool {
    let mut here = at;
    while made > 0 && here.len() >= made as usize {
        let is_leaf = here.len() == at.len() && what.is_leaf();
        let done = walker.take_parent(here).and_then(|parent| {
            let name = path::name(here);
            if is_leaf { file::unlink(&parent, name) } else { file::remove_directory(&parent, name) }
        });
        match done {
            Ok(()) | Err(Errno::ENOENT) => here = path::parent(here),
            Err(errno) => return matches!(errno, Errno::ENOTEMPTY | Errno::EEXIST),
        }
    }
    true
}
