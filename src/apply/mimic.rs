// SPDX-License-Identifier: GPL-3.0-only
//! Writable mimics: a tmpfs over a directory in which names cannot be created, filled with bind mounts of
//! everything that the directory holds. New names are made in the tmpfs, and nobody outside sees them.
//!
//! The covered directory is kept at hand by a descriptor. Only under snap-confine it is set aside at
//! `/tmp/.snap/DIR` as well: AppArmor's rules there know the parts by that path.
#![forbid(unsafe_code)]

use super::create::{self, What};
use super::entry::remove_made;
use super::walk::Walker;
use super::{Apply, Results, notes, put_on_record, save};
use crate::error::{Error, Result, Says, compose, says};
use crate::kernel::file::{self, FileSystem, FileType, Open, Stat};
use crate::kernel::list::List;
use crate::kernel::mount::{self, Attach, Reach};
use crate::kernel::{Errno, Fd};
use crate::mount::{Kind, MountEntry, Options};
use crate::plan::{Class, Made};
use crate::text::arena::{Arena, Full};
use crate::text::{Out, Short, has_byte, write_number};
use crate::text::{path, sort};

/// Something that the covered directory holds.
#[derive(Clone, Copy, Debug)]
pub struct Child<'t> {
    /// Its path.
    dir: &'t [u8],
    kind: FileType,
}

impl Child<'_> {
    /// How much of it is bound.
    fn reach(&self) -> Reach {
        if self.kind == FileType::Directory { Reach::Tree } else { Reach::One }
    }

    /// Puts it into its place in the tmpfs; `aside` if that is not attached yet, and the source is a copy.
    fn put(&self, source: &Fd, top: &Fd, name: &[u8], aside: bool) -> crate::kernel::Result<()> {
        let mut how = Open::NEW;
        match self.kind {
            FileType::Directory => {
                file::make_directory(top, name, 0o755)?;
                how = Open::PATH_DIR;
            }
            FileType::Symlink => return put_link(source, top, name),
            // Fifos, sockets and devices can be bound like files (L19).
            FileType::Regular | FileType::Special if aside => file::make_file(top, name, 0o755)?,
            FileType::Regular | FileType::Special => {}
        }
        if aside {
            return mount::attach(source, top, name, Attach::OnTop);
        }
        let target = file::create_at(top, name, how, 0o755)?;
        mount::bind(source, &target, self.reach())
    }
}

/// What the covered directory holds.
pub type Children<'t> = List<'t, Child<'t>>;

/// Room for what one call brings of a directory that is listed.
const LISTING: usize = 16 << 10;

/// The tmpfs of a mimic.
struct Cover<'t> {
    dir: &'t [u8],
    /// What the tmpfs is mounted with.
    data: Short,
}

/// What came of a mimic whose tmpfs is there, whole or not; an error outside where it is not.
type Covered<'t> = Result<'t, Result<'t, ()>>;

impl<'t> Apply<'_, 't> {
    /// Makes a writable mimic over `dir`, which is not the root directory, on behalf of an entry. On failure nothing is left
    /// of it, and nothing is put on record; but the tmpfs that could not be taken away again.
    pub fn cover(&mut self, dir: &'t [u8], entry: &MountEntry<'t>) -> Result<'t, ()> {
        self.walker.changed(dir);
        self.cover_for(dir, entry).map_err(|error| error.within_directory(dir.len()))?;
        self.log.detail(Error::about(says!("made a writable mimic over %q"), dir));
        Ok(())
    }

    #[inline(never)]
    fn cover_for(&mut self, dir: &'t [u8], entry: &MountEntry<'t>) -> Result<'t, ()> {
        // The record names the entry in an option, and options end at a comma (L33).
        if has_byte(entry.id(), b',') {
            return Err(Error::about(says!("a path with a comma cannot be recorded"), dir));
        }
        // A mount that waits for its successor would be covered, and nobody would find it there. What is mounted on that goes
        // with it, before there is a place for it in the mimic: a gap that no plan could see.
        for item in self.plan.lent().items.iter() {
            if path::covers(dir, item.entry.dir) && item.goes.get().is_some() {
                // Where that fails nobody is held still.
                let _ = self.freeze();
                self.remove_replaced(item);
            }
        }
        let mut cover = Cover { dir, data: Short::new() };
        let fd = self
            .walker
            .open_directory(dir)
            .and_then(|fd| {
                let stat = file::stat(&fd)?;
                write_data(&mut cover.data, &stat);
                // Another mimic over one of ours would hide what that holds.
                if self.ground.trusts(stat.dev) { Err(Errno::EROFS) } else { Ok(fd) }
            })
            .map_err(|errno| Error::call(says!("cannot open %q: %e"), dir, errno))?;
        self.list(&fd, dir)?;
        // All that can be foreseen to fail does so before the directory is covered.
        self.check_room_for(self.results.children.len() + 1)?;
        let id = entry.id();
        let arena = &mut *self.arena;
        let says = says!("x-snapd.synthetic,x-snapd.needed-by=%s,%b");
        let options = compose(says, id, &cover.data, arena)?;
        let says = says!("rbind,x-snapd.synthetic,x-snapd.needed-by=%s,x-snapd.detach");
        let of_directory = compose(says, id, b"", arena)?;
        let says = says!("bind,x-snapd.kind=file,x-snapd.synthetic,x-snapd.needed-by=%s");
        let of_file = compose(says, id, b"", arena)?;
        let mut line = MountEntry {
            name: b"tmpfs",
            dir,
            fstype: b"tmpfs",
            options: Options(options),
            about: Options(options).about(),
            freq: 0,
            passno: 0,
        };
        let class = Class::of(entry);
        let Results { synthetic, children, by_name, .. } = &mut *self.results;
        let before = synthetic.len();
        put_on_record(synthetic, class, line);
        line.fstype = b"none";
        for child in by_name.iter().filter_map(|at| children.get(*at as usize)) {
            line.options.0 = match child.kind {
                FileType::Directory => of_directory,
                FileType::Regular | FileType::Special => of_file,
                FileType::Symlink => continue,
            };
            line.name = child.dir;
            line.dir = child.dir;
            put_on_record(synthetic, class, line);
        }
        // A tmpfs that stays although it failed is recorded with all parts: as those are not there, the next run sees
        // that it is not whole (L21).
        let done = self.intend_and_cover(&fd, &cover, before);
        done.inspect_err(|_| self.results.synthetic.truncate(before))?
    }

    /// Writes down the lines of a mimic, which are those on record from a place on, and covers the directory.
    fn intend_and_cover(&mut self, fd: &Fd, cover: &Cover<'t>, before: usize) -> Covered<'t> {
        if let Some(journal) = self.journal {
            let lines = self.results.synthetic.get(before..).unwrap_or_default();
            save::append(journal, &|w| lines.iter().for_each(|(_, line)| notes::write_intent(w, line)))?;
        }
        if self.confined {
            self.set_aside(fd, cover)
        } else if self.cover_whole(fd, cover).is_some() {
            Ok(Ok(()))
        } else {
            self.cover_and_fill(fd, fd, cover)
        }
    }

    /// Lists the directory, by name.
    fn list(&mut self, fd: &Fd, dir: &'t [u8]) -> Result<'t, ()> {
        let Results { children, by_name, .. } = &mut *self.results;
        let arena = &mut *self.arena;
        children.clear();
        let no = |errno| Error::call(says!("cannot list %q: %e"), dir, errno);
        let listing = file::open_at(fd, b".", Open::READ_DIR).map_err(no)?;
        let mut done = Ok(());
        file::list(&listing, &mut [0; LISTING], |child| {
            let kind = child.kind.map_or_else(|| file::stat_at(fd, child.name).map(|s| s.kind), Ok);
            // What is gone again, or cannot be looked at, cannot be put back either.
            let Ok(kind) = kind else { return true };
            match arena.concat(&[dir, b"/", child.name]) {
                // When no more fit, they are too many to be recorded.
                Ok(dir) => children.push(Child { dir, kind }).is_ok(),
                Err(full) => {
                    done = Err(full);
                    false
                }
            }
        })
        .map_err(no)?;
        done?;
        let path = |at: u64| children.get(at as usize).map(|child| child.dir);
        sort::sort_places(by_name, children.len(), &|a, b| path(a) < path(b));
        Ok(())
    }

    /// Binds the directory, with all below it, to its place of safe-keeping; covers it; and takes that place away
    /// again.
    fn set_aside(&mut self, fd: &Fd, cover: &Cover<'t>) -> Covered<'t> {
        let dir = cover.dir;
        let safe = place_of_safety(dir, &mut self.arena)?;
        let made = create::create(safe, What(None), &mut self.walker, &mut self.ground, &mut 0)?;
        let mut says = says!("cannot use /tmp/.snap: %e");
        let bound = open_safe(safe, &mut says).and_then(|(parent, target)| {
            says = says!("cannot set aside %q: %e");
            mount::bind(fd, &target, Reach::Tree).map(|()| (parent, target))
        });
        let (parent, target) = match bound {
            Ok(places) => places,
            Err(errno) => {
                create::take_back(safe, What(None), &mut self.walker, made);
                return Err(Error::call(says, dir, errno));
            }
        };
        let name = path::name(safe);
        let done = match file::open_at(&parent, name, Open::PATH_DIR) {
            Ok(aside) => {
                let done = self.cover_and_fill(fd, &aside, cover);
                let _ = mount::give_up(&aside, false);
                done
            }
            Err(errno) => Err(Error::call(says!("cannot use /tmp/.snap: %e"), dir, errno)),
        };
        // Wherever the place is by now. What is left over does no harm and is no failure, but it stays for long.
        if let Err(errno) = mount::detach(&target).or_else(|_| mount::detach(&target)) {
            self.log.warning(Error::call(says!("cannot unmount %q: %e"), safe, errno));
        }
        let _ = file::remove_directory(&parent, name).or_else(|_| file::remove_directory(&parent, name));
        done
    }

    /// Makes the tmpfs with all parts aside, and attaches it in one step: nobody sees it half filled, and a kill leaves all
    /// of it or nothing. Nothing is done where the kernel cannot do that: parts of a mount that is not attached yet are
    /// mounted since Linux 6.15.
    fn cover_whole(&mut self, fd: &Fd, cover: &Cover<'t>) -> Option<()> {
        let tmpfs = mount::new_tmpfs(&cover.data).ok()?;
        let dev = file::stat(&tmpfs).ok()?.dev;
        self.put_all(fd, &tmpfs, true).ok()?;
        mount::attach(&tmpfs, fd, b"", Attach::OnTop).ok()?;
        self.ground.trust_device(dev);
        Some(())
    }

    #[inline(never)]
    fn cover_and_fill(&mut self, fd: &Fd, aside: &Fd, cover: &Cover<'t>) -> Covered<'t> {
        let dir = cover.dir;
        mount::new(b"tmpfs", fd, b"tmpfs", 0, &cover.data)
            .map_err(|errno| Error::call(says!("cannot mount tmpfs at %q: %e"), dir, errno))?;
        let done = self.fill(fd, aside, dir);
        // When it cannot be taken away again the next run may.
        if done.is_ok() || mount::detach(fd).is_err() { Ok(done) } else { done.map(Ok) }
    }

    fn fill(&mut self, fd: &Fd, aside: &Fd, dir: &'t [u8]) -> Result<'t, ()> {
        let top = self.walker.open_directory(dir).and_then(|top| {
            // Somebody may have put another directory there meanwhile: what is filled has to be the tmpfs.
            let (new, old) = (file::stat(&top)?, file::stat(fd)?);
            let is_tmpfs = file::magic(&top)? == FileSystem::TMPFS;
            if is_tmpfs && new.dev != old.dev { Ok((top, new.dev)) } else { Err(Errno::ESTALE) }
        });
        let (top, dev) = top.map_err(|errno| Error::call(says!("cannot open %q: %e"), dir, errno))?;
        self.put_all(aside, &top, false)?;
        self.ground.trust_device(dev);
        Ok(())
    }

    /// Puts all children into their places in the tmpfs; `aside` if that is not attached yet.
    #[inline(never)]
    fn put_all(&self, from: &Fd, top: &Fd, aside: bool) -> Result<'t, ()> {
        let Results { children, by_name, .. } = &*self.results;
        for child in by_name.iter().filter_map(|at| children.get(*at as usize)) {
            let name = path::name(child.dir);
            let source = if aside && child.kind != FileType::Symlink {
                mount::copy(from, name, child.reach())
            } else {
                file::open_at(from, name, Open::PATH)
            };
            let (says, errno) = match source {
                // Gone since it was listed.
                Err(Errno::ENOENT) => continue,
                Err(errno) => (says!("cannot open %q: %e"), errno),
                Ok(source) => match child.put(&source, top, name, aside) {
                    Ok(()) => continue,
                    Err(errno) => (says!("cannot put back %q: %e"), errno),
                },
            };
            return Err(Error::call(says, child.dir, errno));
        }
        Ok(())
    }
}

/// Where a covered directory is kept safe.
#[inline(never)]
fn place_of_safety<'t>(dir: &[u8], arena: &mut Arena<'t>) -> core::result::Result<&'t [u8], Full> {
    compose(says!("/tmp/.snap%s"), dir, b"", arena)
}

/// Removes what a killed run has left of an entry in a namespace that is gone: what was `made` at its target, or, of a mimic,
/// the place where its directory was kept safe; as far as it is empty.
pub fn forget<'t>(entry: &MountEntry<'t>, made: bool, walker: &mut Walker<'t>, arena: &mut Arena<'t>) {
    if made && entry.kind() != Kind::EnsureDir {
        let _ = walker.take_parent(entry.dir).and_then(|parent| remove_made(entry, &parent));
    } else if entry.fstype == b"tmpfs"
        && let Ok(safe) = place_of_safety(entry.dir, arena)
    {
        create::take_back(safe, What(None), walker, b"/tmp/.snap".len() as Made);
    }
}

/// Opens the place of safe-keeping, and the directory in which it lies. The snap's processes can write to /tmp: what they
/// prepared there is not used (L24).
fn open_safe(safe: &[u8], says: &mut Says) -> crate::kernel::Result<(Fd, Fd)> {
    let mut parent = file::open(b"/", Open::PATH_DIR)?;
    let mut here = file::open(b"/tmp", Open::PATH_DIR)?;
    for name in path::components(safe.get(b"/tmp".len()..).unwrap_or_default()) {
        let next = file::open_at(&here, name, Open::PATH_DIR)?;
        let stat = file::stat(&next)?;
        if stat.uid != 0 || stat.mode & 0o022 != 0 {
            *says = says!("cannot use /tmp/.snap: not safely owned by root");
            return Err(Errno::NONE);
        }
        parent = core::mem::replace(&mut here, next);
    }
    Ok((parent, here))
}

fn put_link(link: &Fd, top: &Fd, name: &[u8]) -> crate::kernel::Result<()> {
    let mut text = [0u8; 4096];
    let len = file::read_link(link, &mut text)?;
    file::make_symlink(top, name, text.get(..len as usize).unwrap_or_default())?;
    file::chown_at(top, name, 0, 0)
}

/// Writes what the tmpfs is mounted with to be like the directory. The twelve permission bits are an octal number with
/// a leading zero: `0755`, `01777`, plain `0`.
fn write_data(w: &mut dyn Out, stat: &Stat) {
    // The number that has these digits in decimal.
    let (mut rest, mut place, mut digits) = (stat.mode, 1, 0);
    while rest != 0 {
        digits += (rest & 7) * place;
        place *= 10;
        rest >>= 3;
    }
    let mode: &[u8] = if digits == 0 { b"mode=" } else { b"mode=0" };
    let mut add = |word: &[u8], number: u32| {
        w.put(word);
        write_number(w, number.into());
    };
    add(mode, digits);
    add(b",uid=", stat.uid);
    add(b",gid=", stat.gid);
}

#[cfg(test)]
mod tests {
    use super::{FileType, Stat, write_data};
    use std::vec::Vec;

    #[test]
    fn a_mode_has_one_leading_zero() {
        for (mode, text) in [(0o755, "0755"), (0o1777, "01777"), (0o700, "0700"), (0, "0"), (0o7, "07")] {
            let kind = FileType::Directory;
            let stat = Stat { dev: 0, ino: 0, kind, mode, uid: 1, gid: 20, size: 0, changed: 0 };
            let mut written = Vec::new();
            write_data(&mut written, &stat);
            assert_eq!(written, std::format!("mode={text},uid=1,gid=20").as_bytes());
        }
    }
}
