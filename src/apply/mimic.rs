// SPDX-License-Identifier: GPL-3.0-only
//! Writable mimics: a tmpfs over a directory in which names cannot be created, filled with bind mounts of
//! everything that the directory holds. New names are made in the tmpfs, and nobody outside sees them.
//!
//! The covered directory is kept at hand by a descriptor. Only under snap-confine it is set aside at
//! `/tmp/.snap/DIR` as well: AppArmor's rules there know the parts by that path.
#![forbid(unsafe_code)]

use super::create::{self, What};
use super::{Apply, notes, place, save};
use crate::error::{Error, Result, compose, says};
use crate::kernel::file::{self, FileSystem, FileType, Open};
use crate::kernel::mount::{self, Attach, Reach};
use crate::kernel::{Errno, Fd};
use crate::limits::{MEMORY, PROFILE_ENTRIES};
use crate::mount::{MountEntry, MountId, Options};
use crate::plan::Class;
use crate::text::{Out, has_byte, write_number};
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

/// The tmpfs of a mimic.
struct Cover<'t> {
    dir: &'t [u8],
    /// What the tmpfs is mounted with.
    data: heapless::Vec<u8, 48>,
    /// Its options on record.
    options: &'t [u8],
    /// The class of the entry that it is made for.
    class: Class,
}

impl<'t> Apply<'_, 't> {
    /// Makes a writable mimic over `dir` on behalf of an entry. On failure nothing is left of it, and nothing is put on
    /// record; but the tmpfs that could not be taken away again.
    pub fn cover(&mut self, dir: &'t [u8], entry: &MountEntry<'t>) -> Result<'t, ()> {
        self.walker.changed(dir);
        self.cover_for(dir, entry).map_err(|error| error.within_directory(dir.len()))?;
        self.log.detail(&Error::about(says!("made a writable mimic over %q"), dir));
        Ok(())
    }

    #[inline(never)]
    fn cover_for(&mut self, dir: &'t [u8], entry: &MountEntry<'t>) -> Result<'t, ()> {
        // The record names the entry in an option, and options end at a comma (L33).
        if has_byte(entry.id(), b',') {
            return Err(Error::about(
                says!("a path with a comma cannot be recorded as what it is needed for"),
                dir,
            ));
        }
        // A mount that waits for its successor would be covered, and nobody would find it there.
        for at in 0..self.plan.items.len() {
            if self.plan.items.get(at).is_some_and(|item| path::covers(dir, item.entry.dir)) {
                self.remove_replaced(at as u32);
            }
        }
        let (fd, stat) = self
            .walker
            .open_directory(dir)
            .and_then(|fd| file::stat(&fd).map(|stat| (fd, stat)))
            .map_err(|errno| Error::call(says!("cannot open %q: %e"), dir, errno))?;
        self.list(&fd, dir)?;
        // All that can be foreseen to fail does so before the directory is covered.
        let lines = self.plan.record.len() + self.plan.mounts.len() + self.results.synthetic.len();
        if self.results.children.len() + 1 + lines > PROFILE_ENTRIES.max {
            return Err(PROFILE_ENTRIES.exceeded());
        }
        let mut data = heapless::Vec::new();
        data.put(b"mode=");
        write_mode(&mut data, stat.mode);
        data.put(b",uid=");
        write_number(&mut data, stat.uid.into());
        data.put(b",gid=");
        write_number(&mut data, stat.gid.into());
        let id = entry.id();
        let arena = &mut *self.arena;
        let says = says!("x-snapd.synthetic,x-snapd.needed-by=%s,%b");
        let options = compose(says, id, &data, arena)?;
        let says = says!("rbind,x-snapd.synthetic,x-snapd.needed-by=%s,x-snapd.detach");
        let of_directory = compose(says, id, b"", arena)?;
        let says = says!("bind,x-snapd.kind=file,x-snapd.synthetic,x-snapd.needed-by=%s");
        let of_file = compose(says, id, b"", arena)?;
        let cover = Cover { dir, data, options, class: Class::of(entry) };
        let lines = self.results.synthetic.len();
        if let Some(journal) = self.journal {
            let line = MountEntry {
                name: b"tmpfs",
                dir,
                fstype: b"tmpfs",
                options: Options(options),
                freq: 0,
                passno: 0,
            };
            save::append(journal, &|w| notes::write_intent(w, &line))?;
        }
        let done = match self.confined {
            true => self.set_aside(&fd, &cover),
            false => self.cover_whole(&fd, &cover).unwrap_or_else(|| self.cover_and_fill(&fd, &fd, &cover)),
        };
        // A tmpfs that stays although it failed is recorded with all parts: as those are not there, the next run sees
        // that it is not whole (L21).
        if done.is_err() && self.results.synthetic.len() == lines {
            return done;
        }
        for at in 0..self.results.children.len() {
            let Some(child) = self.results.children.get(at) else { break };
            let options = match child.kind {
                FileType::Directory => of_directory,
                FileType::Regular | FileType::Special => of_file,
                FileType::Symlink => continue,
            };
            self.put_on_record(cover.class, child.dir, options, None);
        }
        done
    }

    /// Puts a part on record, or the tmpfs.
    #[inline(never)]
    fn put_on_record(&mut self, class: Class, dir: &'t [u8], options: &'t [u8], tmpfs: Option<&'t [u8]>) {
        let (name, fstype) = match tmpfs {
            Some(name) => (name, name),
            None => (dir, &b"none"[..]),
        };
        let entry = MountEntry { name, dir, fstype, options: Options(options), freq: 0, passno: 0 };
        // There is room: it was asked for.
        let _ = self.results.synthetic.push((class, entry));
    }

    /// Lists the directory, by name.
    fn list(&mut self, fd: &Fd, dir: &'t [u8]) -> Result<'t, ()> {
        let (children, arena) = (&mut self.results.children, &mut *self.arena);
        children.clear();
        let no = |errno| Error::call(says!("cannot list %q: %e"), dir, errno);
        let listing = file::open_at(fd, b".", Open::READ_DIR).map_err(no)?;
        let mut buffer = [0u8; 16 << 10];
        let mut full = None;
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
        sort::sort(children, |a, b| a.dir < b.dir);
        Ok(())
    }

    /// Binds the directory, with all below it, to its place of safe-keeping; covers it; and takes that place away
    /// again.
    fn set_aside(&mut self, fd: &Fd, cover: &Cover<'t>) -> Result<'t, ()> {
        let dir = cover.dir;
        let safe = compose(says!("/tmp/.snap%s"), dir, b"", self.arena)?;
        let made =
            create::create(safe, What::Directory, self.walker, self.ground, &mut None).map_err(|error| {
                let says = says!("cannot create its directory of safe-keeping below /tmp/.snap: %e");
                Error::call(says, dir, error.errno)
            })?;
        let (says, errno) = match open_safe(safe) {
            Ok((parent, target)) => match mount::bind(fd, &target, Reach::Tree) {
                Ok(()) => {
                    let name = path::name(safe);
                    let remove = || file::remove_directory(&parent, name);
                    let done = match file::open_at(&parent, name, Open::PATH_DIR) {
                        Ok(aside) => {
                            let done = self.cover_and_fill(fd, &aside, cover);
                            let _ = mount::give_up(&aside, false);
                            done
                        }
                        Err(errno) => Err(Error::call(
                            says!("cannot open its directory of safe-keeping below /tmp/.snap: %e"),
                            dir,
                            errno,
                        )),
                    };
                    // Wherever the place is by now. What is left over does no harm and is no failure, but it stays for long.
                    let _ = mount::detach(&target).or_else(|_| mount::detach(&target));
                    let _ = remove().or_else(|_| remove());
                    return done;
                }
                Err(errno) => (says!("cannot set aside %q: %e"), errno),
            },
            Err(Errno::NONE) => (says!("cannot use /tmp/.snap: it is not safely owned by root"), Errno::NONE),
            Err(errno) => (says!("cannot use /tmp/.snap: %e"), errno),
        };
        create::take_back(safe, What::Directory, self.walker, made);
        Err(Error::call(says, dir, errno))
    }

    /// Makes the tmpfs with all parts aside, and attaches it in one step: nobody sees it half filled, and a kill leaves all
    /// of it or nothing. Nothing is done where the kernel cannot do that: parts of a mount that is not attached yet are
    /// mounted since Linux 6.15.
    fn cover_whole(&mut self, fd: &Fd, cover: &Cover<'t>) -> Option<Result<'t, ()>> {
        let tmpfs = mount::new_tmpfs(&cover.data).ok()?;
        let dev = file::stat(&tmpfs).ok()?.dev;
        for child in self.results.children.iter() {
            match put_whole(fd, &tmpfs, path::name(child.dir), child.kind) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(_) => return None,
            }
        }
        mount::attach(&tmpfs, fd, b"", Attach::OnTop).ok()?;
        self.ground.trust_device(dev);
        self.put_on_record(cover.class, cover.dir, cover.options, Some(b"tmpfs"));
        Some(Ok(()))
    }

    fn cover_and_fill(&mut self, fd: &Fd, aside: &Fd, cover: &Cover<'t>) -> Result<'t, ()> {
        let dir = cover.dir;
        mount::new(b"tmpfs", fd, b"tmpfs", 0, &cover.data)
            .map_err(|errno| Error::call(says!("cannot mount tmpfs at %q: %e"), dir, errno))?;
        let done = self.fill(fd, aside, dir);
        // When it cannot be taken away again the next run may.
        if done.is_ok() || mount::detach(fd).is_err() {
            self.put_on_record(cover.class, dir, cover.options, Some(b"tmpfs"));
        }
        done
    }

    fn fill(&mut self, fd: &Fd, aside: &Fd, dir: &'t [u8]) -> Result<'t, ()> {
        let top = self.walker.open_directory(dir).and_then(|top| {
            // Somebody may have put another directory there meanwhile: what is filled has to be the tmpfs.
            let (new, old) = (file::stat(&top)?, file::stat(fd)?);
            let is_tmpfs = file::file_system(&top)?.magic == FileSystem::TMPFS;
            if is_tmpfs && new.dev != old.dev { Ok((top, new.dev)) } else { Err(Errno::ESTALE) }
        });
        let (top, dev) = top.map_err(|errno| Error::call(says!("cannot open %q: %e"), dir, errno))?;
        for child in self.results.children.iter() {
            let name = path::name(child.dir);
            let (says, errno) = match file::open_at(aside, name, Open::PATH) {
                // Gone since it was listed.
                Err(Errno::ENOENT) => continue,
                Err(errno) => (says!("cannot open %q: %e"), errno),
                Ok(source) => match put(&source, &top, name, child.kind) {
                    Ok(()) => continue,
                    Err(errno) => (says!("cannot put back %q: %e"), errno),
                },
            };
            return Err(Error::call(says, child.dir, errno));
        }
        self.ground.trust_device(dev);
        Ok(())
    }
}

impl<'t> Apply<'_, 't> {
    /// Takes the tmpfs of a mimic away, in one step with all its parts; what it covered is there again. True if it is not
    /// on top there: `expected` is the id of its mount, where the mount table told it.
    pub(super) fn uncover(&mut self, dir: &'t [u8], expected: Option<MountId>) -> Result<'t, bool> {
        self.walker.changed(dir);
        self.take_away(dir, expected).map_err(|errno| Error::call(says!("cannot unmount %q: %e"), dir, errno))
    }

    fn take_away(&mut self, dir: &[u8], expected: Option<MountId>) -> crate::kernel::Result<bool> {
        let found = self.walker.take_parent(dir).and_then(|parent| {
            let top = file::open_at(&parent, path::name(dir), Open::PATH)?;
            Ok((parent, top))
        });
        let found = match found {
            Err(Errno::ENOENT) => None,
            found => {
                let (parent, top) = found?;
                Some((place::look(&parent, &top)?, top)).filter(|(found, _)| found.mount_root != Some(false))
            }
        };
        let Some((found, top)) = found else {
            // Gone; or beneath something.
            return Ok(expected.is_some_and(|id| self.is_mounted(id)));
        };
        let is_other = expected.is_some() && found.mount.is_some() && found.mount != expected;
        if is_other || file::file_system(&top)?.magic != FileSystem::TMPFS {
            return Ok(is_other);
        }
        place::detach(&top, self.fresh_calls).map(|()| false)
    }
}

/// Opens the place of safe-keeping, and the directory in which it lies. The snap's processes can write to /tmp: what they
/// prepared there is not used, and the error is `NONE` (L24).
fn open_safe(safe: &[u8]) -> crate::kernel::Result<(Fd, Fd)> {
    let mut parent = file::open(b"/", Open::PATH_DIR)?;
    let mut here = file::open(b"/tmp", Open::PATH_DIR)?;
    for name in path::components(safe).skip(1) {
        let next = file::open_at(&here, name, Open::PATH_DIR)?;
        let stat = file::stat(&next)?;
        if stat.uid != 0 || stat.mode & 0o022 != 0 {
            return Err(Errno::NONE);
        }
        parent = core::mem::replace(&mut here, next);
    }
    Ok((parent, here))
}

/// Puts one child back into its place in the tmpfs.
fn put(source: &Fd, top: &Fd, name: &[u8], kind: FileType) -> crate::kernel::Result<()> {
    let (how, reach) = match kind {
        FileType::Directory => {
            file::make_directory(top, name, 0o755)?;
            (Open::PATH_DIR, Reach::Tree)
        }
        // Fifos, sockets and devices can be bound like files (L19).
        FileType::Regular | FileType::Special => (Open::NEW, Reach::One),
        FileType::Symlink => return put_link(source, top, name),
    };
    let target = file::create_at(top, name, how, 0o755)?;
    mount::bind(source, &target, reach)
}

/// Puts one child into its place in a tmpfs that is not attached yet.
fn put_whole(dir: &Fd, top: &Fd, name: &[u8], kind: FileType) -> crate::kernel::Result<()> {
    let reach = match kind {
        FileType::Directory => Reach::Tree,
        FileType::Regular | FileType::Special => Reach::One,
        FileType::Symlink => return put_link(&file::open_at(dir, name, Open::PATH)?, top, name),
    };
    let part = mount::copy(dir, name, reach)?;
    match reach {
        Reach::Tree => file::make_directory(top, name, 0o755)?,
        Reach::One => file::make_file(top, name, 0o755)?,
    }
    mount::attach(&part, top, name, Attach::OnTop)
}

fn put_link(link: &Fd, top: &Fd, name: &[u8]) -> crate::kernel::Result<()> {
    let mut text = [0u8; 4096];
    let text = file::read_link(link, &mut text)?;
    file::make_symlink(top, name, text)?;
    file::chown_at(top, name, 0, 0)
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
