// SPDX-License-Identifier: GPL-3.0-only
//! Writable mimics: a tmpfs over a directory in which names cannot be created, filled with bind mounts of
//! everything that the directory holds. New names are made in the tmpfs, and nobody outside sees them.
//!
//! The covered directory is kept at hand by a descriptor. Only under snap-confine it is set aside at
//! `/tmp/.snap/DIR` as well: AppArmor's rules there know the parts by that path.
#![forbid(unsafe_code)]

use super::create::{self, What};
use super::ground::Ground;
use super::walk::Walker;
use crate::error::{Error, Result};
use crate::kernel::file::{self, FileSystem, FileType, Open};
use crate::kernel::mount::{self, Reach};
use crate::kernel::{Errno, Fd};
use crate::limits::{MEMORY, PROFILE_ENTRIES};
use crate::mount::{MountEntry, Options};
use crate::text::arena::Arena;
use crate::text::{Out, write_number};
use crate::text::{path, sort};

/// Something that the covered directory holds.
#[derive(Clone, Copy, Debug)]
pub struct Child<'t> {
    /// Its path.
    dir: &'t [u8],
    kind: FileType,
}

/// What the covered directory holds, by name.
pub type Children<'t> = heapless::Vec<Child<'t>, { PROFILE_ENTRIES.max }>;

/// Where synthetic entries are put.
pub trait Record<'t> {
    /// How many more it takes.
    fn room(&self) -> usize;
    /// Puts one behind the others; there is room.
    fn put(&mut self, entry: MountEntry<'t>);
}

/// How mimics are made.
pub struct Mimics<'a, 't> {
    /// Room for a listing.
    pub children: &'a mut Children<'t>,
    /// Made-up text.
    pub arena: &'a mut Arena<'t>,
    /// Trusts the new tmpfs.
    pub ground: &'a mut Ground<'t>,
    /// Opens paths.
    pub walker: &'a Walker,
    /// Whether AppArmor wants the covered directory at `/tmp/.snap`.
    pub set_aside: bool,
}

/// How covering failed.
enum Fault<'t> {
    /// Nothing is left of it.
    Gone(Error<'t>),
    /// The tmpfs is still there.
    Left(Error<'t>),
}

impl<'t> Mimics<'_, 't> {
    /// Covers `dir` for the entry called `id`. On failure nothing is left of it, and nothing is put on record.
    pub fn cover(&mut self, dir: &'t [u8], id: &[u8], record: &mut dyn Record<'t>) -> Result<'t, ()> {
        self.cover_for(dir, id, record).map_err(|error| error.within_directory(dir.len()))
    }

    fn cover_for(&mut self, dir: &'t [u8], id: &[u8], record: &mut dyn Record<'t>) -> Result<'t, ()> {
        let fd = self.walker.open_directory(dir).map_err(|e| Error::call("cannot open %q: %e", dir, e))?;
        let stat = file::stat(&fd).map_err(|e| Error::call("cannot inspect %q: lstat %s: %e", dir, e))?;
        self.list(&fd, dir)?;
        // All that can be foreseen to fail does so before the directory is covered.
        if self.children.len() + 1 > record.room() {
            return Err(PROFILE_ENTRIES.exceeded());
        }
        let full = |_| MEMORY.exceeded();
        const OURS: &[u8] = b"x-snapd.synthetic,x-snapd.needed-by=";
        let mut data = heapless::Vec::<u8, 48>::new();
        data.put(b"mode=");
        write_mode(&mut data, stat.mode);
        data.put(b",uid=");
        write_number(&mut data, stat.uid.into());
        data.put(b",gid=");
        write_number(&mut data, stat.gid.into());
        let of_tmpfs = self.arena.concat(&[OURS, id, b",", &data]).map_err(full)?;
        let of_directory = self.arena.concat(&[b"rbind,", OURS, id, b",x-snapd.detach"]).map_err(full)?;
        let of_file = self.arena.concat(&[b"bind,x-snapd.kind=file,", OURS, id]).map_err(full)?;

        let safe = match self.set_aside {
            true => Some(self.set_aside(&fd, dir)?),
            false => None,
        };
        let done = match safe {
            Some(safe) => match self.walker.open_directory(safe) {
                Ok(aside) => self.cover_and_fill(&fd, &aside, dir, &data),
                Err(errno) => Err(Fault::Gone(Error::call(
                    "cannot open its directory of safe-keeping below /tmp/.snap: %e",
                    dir,
                    errno,
                ))),
            },
            None => self.cover_and_fill(&fd, &fd, dir, &data),
        };
        if let Some(safe) = safe {
            self.put_back(safe);
        }
        let entry = |name, dir, fstype, options| MountEntry {
            name,
            dir,
            fstype,
            options: Options(options),
            freq: 0,
            passno: 0,
        };
        match done {
            // It could not be taken away again: the next run may.
            Err(Fault::Left(error)) => {
                record.put(entry(b"tmpfs", dir, b"tmpfs", of_tmpfs));
                return Err(error);
            }
            Err(Fault::Gone(error)) => return Err(error),
            Ok(()) => {}
        }
        record.put(entry(b"tmpfs", dir, b"tmpfs", of_tmpfs));
        for child in self.children.iter() {
            match child.kind {
                FileType::Directory => record.put(entry(child.dir, child.dir, b"none", of_directory)),
                FileType::Regular | FileType::Special => {
                    record.put(entry(child.dir, child.dir, b"none", of_file));
                }
                FileType::Symlink => {}
            }
        }
        Ok(())
    }

    /// Lists the directory, by name.
    fn list(&mut self, fd: &Fd, dir: &'t [u8]) -> Result<'t, ()> {
        self.children.clear();
        let no = |errno| Error::call("cannot list %q: %e", dir, errno);
        let listing = file::open_at(fd, b".", Open::READ_DIR, 0).map_err(no)?;
        let mut buffer = [0u8; 16 << 10];
        let mut full = None;
        let (children, arena) = (&mut *self.children, &mut *self.arena);
        let slash: &[u8] = if dir == b"/" { b"" } else { b"/" };
        while file::list(&listing, &mut buffer, |child| {
            let kind = child.kind.map_or_else(|| file::stat_at(fd, child.name).map(|s| s.kind), Ok);
            // What is gone again, or cannot be looked at, cannot be put back either.
            let Ok(kind) = kind else { return true };
            match arena.concat(&[dir, slash, child.name]) {
                Err(_) => full = Some(&MEMORY),
                Ok(dir) => {
                    if children.push(Child { dir, kind }).is_err() {
                        full = Some(&PROFILE_ENTRIES);
                    }
                }
            }
            full.is_none()
        })
        .map_err(no)?
            && full.is_none()
        {}
        if let Some(limit) = full {
            return Err(limit.exceeded());
        }
        sort::sort(self.children, |a, b| a.dir < b.dir);
        Ok(())
    }

    /// Binds the directory, with all below it, to its place of safe-keeping.
    fn set_aside(&mut self, fd: &Fd, dir: &'t [u8]) -> Result<'t, &'t [u8]> {
        const SAFE: &[u8] = b"/tmp/.snap";
        let safe = self.arena.concat(&[SAFE, dir]).map_err(|_| MEMORY.exceeded())?;
        let made = create::create(safe, What::Directory, self.ground)
            .map_err(|_| Error::about("cannot create its directory of safe-keeping below /tmp/.snap", dir))?;
        let undo = |error| {
            create::take_back(safe, What::Directory, made);
            error
        };
        // The snap's processes can write to /tmp: what they prepared there is not used (L24).
        let mut here = SAFE;
        loop {
            let fd = self.walker.open_directory(here);
            let stat = fd.and_then(|fd| file::stat(&fd));
            match stat {
                Ok(stat) if stat.uid == 0 && stat.mode & 0o022 == 0 => {}
                Ok(_) => {
                    return Err(undo(Error::about(
                        "cannot use /tmp/.snap: it is not safely owned by root",
                        dir,
                    )));
                }
                Err(errno) => return Err(undo(Error::call("cannot use /tmp/.snap: %e", dir, errno))),
            }
            match path::prefixes(safe).find(|prefix| prefix.len() > here.len()) {
                Some(next) => here = next,
                None => break,
            }
        }
        let target = self.walker.open_directory(safe);
        let bound = target.and_then(|target| mount::bind(fd, &target, Reach::Tree));
        bound.map_err(|errno| undo(Error::call("cannot set aside %q: %e", dir, errno)))?;
        Ok(safe)
    }

    /// Takes the place of safe-keeping away again; what is left over does no harm and is no failure.
    fn put_back(&self, safe: &[u8]) {
        let Ok(Some(parent)) = self.walker.open_parent(safe) else { return };
        let name = path::name(safe);
        if let Ok(top) = file::open_at(&parent, name, Open::PATH_DIR, 0) {
            let _ = mount::make_private(&top);
        }
        if mount::unmount_at(&parent, name, true).is_ok() {
            let _ = file::remove_directory(&parent, name);
        }
    }

    fn cover_and_fill(
        &mut self,
        fd: &Fd,
        aside: &Fd,
        dir: &'t [u8],
        data: &[u8],
    ) -> core::result::Result<(), Fault<'t>> {
        mount::new(b"tmpfs", fd, b"tmpfs", 0, data)
            .map_err(|errno| Fault::Gone(Error::call("cannot mount tmpfs at %q: %e", dir, errno)))?;
        self.fill(aside, dir).map_err(|error| match uncover(self.walker, dir) {
            Ok(()) => Fault::Gone(error),
            Err(_) => Fault::Left(error),
        })
    }

    fn fill(&mut self, aside: &Fd, dir: &'t [u8]) -> Result<'t, ()> {
        let top = self.walker.open_directory(dir).map_err(|e| Error::call("cannot open %q: %e", dir, e))?;
        let stat = file::stat(&top).map_err(|e| Error::call("cannot inspect %q: lstat %s: %e", dir, e))?;
        for child in self.children.iter() {
            let name = path::name(child.dir);
            let source = match file::open_at(aside, name, Open::PATH, 0) {
                // Gone since it was listed.
                Err(Errno::ENOENT) => continue,
                other => other.map_err(|e| Error::call("cannot open %q: %e", child.dir, e))?,
            };
            put(&source, &top, name, child.kind)
                .map_err(|e| Error::call("cannot put back %q: %e", child.dir, e))?;
        }
        self.ground.trust_device(stat.dev);
        Ok(())
    }
}

/// Puts one child back into its place in the tmpfs.
fn put(source: &Fd, top: &Fd, name: &[u8], kind: FileType) -> crate::kernel::Result<()> {
    match kind {
        FileType::Directory => {
            file::make_directory(top, name, 0o755)?;
            let target = file::open_at(top, name, Open::PATH_DIR, 0)?;
            mount::bind(source, &target, Reach::Tree)
        }
        // Fifos, sockets and devices can be bound like files (L19).
        FileType::Regular | FileType::Special => {
            let target = file::open_at(top, name, Open::NEW, 0o755)?;
            mount::bind(source, &target, Reach::One)
        }
        FileType::Symlink => {
            let mut text = [0u8; 4096];
            let text = file::read_link(source, &mut text)?;
            file::make_symlink(top, name, text)?;
            file::chown_at(top, name, 0, 0)
        }
    }
}

/// Takes the tmpfs of a mimic away, in one step with all its parts; what it covered is there again.
pub fn uncover<'t>(walker: &Walker, dir: &'t [u8]) -> Result<'t, ()> {
    take_away(walker, dir).map_err(|errno| Error::call("cannot unmount %q: %e", dir, errno))
}

fn take_away(walker: &Walker, dir: &[u8]) -> crate::kernel::Result<()> {
    let Some(parent) = walker.open_parent(dir)? else { return Ok(()) };
    let name = path::name(dir);
    {
        let top = match file::open_at(&parent, name, Open::PATH, 0) {
            Err(Errno::ENOENT) => return Ok(()),
            other => other?,
        };
        if !super::place::is_mount_root(&parent, name)? || file::file_system(&top)?.magic != FileSystem::TMPFS
        {
            return Ok(());
        }
        // Detached as it is, the tree would take copies of its mounts elsewhere along.
        let _ = mount::make_private(&top);
    }
    mount::unmount_at(&parent, name, true)
}

/// Writes the twelve permission bits as an octal number with a leading zero: `0755`, `01777`, plain `0`.
fn write_mode(w: &mut dyn Out, mode: u32) {
    let mut shift = 12;
    w.put(b"0");
    while shift > 0 {
        shift -= 3;
        if (mode & 0o7777) >> shift != 0 {
            w.put(&[b'0' + (mode >> shift & 7) as u8]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write_mode;
    use std::vec::Vec;

    #[test]
    fn a_mode_has_one_leading_zero() {
        for (mode, text) in [(0o755, "0755"), (0o1777, "01777"), (0o700, "0700"), (0, "0"), (0o7, "07")] {
            let mut written = Vec::new();
            write_mode(&mut written, mode);
            assert_eq!(written, text.as_bytes());
        }
    }
}
