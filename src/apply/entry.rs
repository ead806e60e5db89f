// SPDX-License-Identifier: GPL-3.0-only
//! One entry: make ready its target and source, mount it, take it away.
#![forbid(unsafe_code)]

use super::create::{self, Blocked, Made, What};
use super::{Apply, place, survey};
use crate::error::{Error, Result};
use crate::kernel::file::{self, FileType, Open};
use crate::kernel::mount::{self, Reach};
use crate::kernel::{Errno, Fd};
use crate::limits::{PROFILE_LINE, WRITTEN_ENTRY};
use crate::mount::{Kind, MountEntry};
use crate::text::path;

/// How making ready, or mounting, failed.
#[derive(Clone, Copy, Debug)]
pub enum Failure<'t> {
    /// Something is missing, and the entry said to pass over it then.
    IgnoredMissing,
    /// An error to report.
    Error(Error<'t>),
}

impl<'t> From<Error<'t>> for Failure<'t> {
    fn from(error: Error<'t>) -> Self {
        Failure::Error(error)
    }
}

/// What was created for an entry, so that it can be taken back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// Of the target's path.
    pub target: Made,
    /// Of the source's path.
    pub source: Made,
}

/// A file system's data, joined.
type Data = heapless::Vec<u8, 4095>;

impl<'t> Apply<'_, 't> {
    /// Makes ready the target and the source of an entry, with mimics where they are needed; links and directories
    /// that are only to be there are done then. On failure nothing of it is left.
    pub fn prepare(&mut self, entry: &MountEntry<'t>) -> core::result::Result<Ready, Failure<'t>> {
        let kind = entry.kind();
        if entry.written_len() > PROFILE_LINE.max {
            return Err(WRITTEN_ENTRY.exceeded().into());
        }
        let target_missing = self.look_at_target(entry, kind)?;
        let binds = entry.is_bind() && matches!(kind, Kind::Directory | Kind::File);
        let source_missing = binds && self.look_at_source(entry, kind)?;
        let made_now = matches!(kind, Kind::Symlink);
        if (target_missing || source_missing || made_now) && entry.ignore_missing() {
            return Err(Failure::IgnoredMissing);
        }
        let mut ready = Ready::default();
        if target_missing {
            ready.target = match kind {
                Kind::EnsureDir => {
                    let anchor = entry.must_exist_dir().unwrap_or(b".");
                    create::ensure_directory(entry.dir, anchor, self.user)?;
                    0
                }
                _ => self.make(entry.dir, what(entry), true, entry)?,
            };
        }
        if source_missing {
            let may_cover = entry.origin() == crate::mount::Origin::Layout;
            match self.make(entry.name, what(entry), may_cover, entry) {
                Ok(made) => ready.source = made,
                Err(error) => {
                    create::take_back(entry.dir, what(entry), ready.target);
                    return Err(error.into());
                }
            }
        }
        Ok(ready)
    }

    /// Takes back what [`Apply::prepare`] created for an entry that could not be mounted.
    pub fn take_back(&self, entry: &MountEntry<'t>, ready: Ready) {
        create::take_back(entry.dir, what(entry), ready.target);
        create::take_back(entry.name, what(entry), ready.source);
    }

    /// Whether the target is missing. What is there has to be of the right type.
    fn look_at_target(&self, entry: &MountEntry<'t>, kind: Kind) -> Result<'t, bool> {
        let at = entry.dir;
        if !path::is_absolute(at) {
            return create::check_path(at, what(entry)).map(|()| true);
        }
        let stat = match self.walker.open(at).and_then(|fd| Ok((file::stat(&fd)?, fd))) {
            Err(Errno::ENOENT) => return Ok(true),
            Err(errno) => return Err(Error::call("cannot inspect %q: lstat %s: %e", at, errno)),
            Ok(found) => found,
        };
        match (kind, stat.0.kind) {
            (Kind::Directory | Kind::EnsureDir, FileType::Directory) => Ok(false),
            // Special files of a mimic are put back like regular ones (L19).
            (Kind::File, FileType::Regular) => Ok(false),
            (Kind::Symlink, FileType::Symlink) => {
                let text = entry.symlink_text().unwrap_or_default();
                let mut buffer = [0u8; 4096];
                match file::read_link(&stat.1, &mut buffer) {
                    Ok(found) if found == text => Ok(false),
                    Ok(_) => Err(Error::about(
                        "cannot create symbolic link %q: existing symbolic link in the way",
                        at,
                    )),
                    Err(errno) => Err(Error::call("cannot read symbolic link %q: %e", at, errno)),
                }
            }
            (Kind::Directory, _) => Err(Error::about("cannot use %q as mount point: not a directory", at)),
            (Kind::File, _) => Err(Error::about("cannot use %q as mount point: not a regular file", at)),
            (Kind::Symlink, _) => {
                Err(Error::about("cannot create symlink in %q: existing file in the way", at))
            }
            (Kind::EnsureDir, _) => {
                Err(Error::about("cannot create ensure-dir target %q: existing file in the way", at))
            }
            (Kind::Unknown, _) => Ok(false),
        }
    }

    /// Whether the source is missing. What is there has to be of the right type.
    fn look_at_source(&self, entry: &MountEntry<'t>, kind: Kind) -> Result<'t, bool> {
        let at = entry.name;
        if !path::is_absolute(at) {
            return create::check_path(at, what(entry)).map(|()| true);
        }
        let found = match self.walker.open(at).and_then(|fd| file::stat(&fd)) {
            Err(Errno::ENOENT) => return Ok(true),
            Err(errno) => return Err(Error::call("cannot inspect %q: lstat %s: %e", at, errno)),
            Ok(stat) => stat.kind,
        };
        match (kind, found) {
            (Kind::Directory, FileType::Directory) | (Kind::File, FileType::Regular) => Ok(false),
            (Kind::Directory, _) => {
                Err(Error::about("cannot use %q as bind-mount source: not a directory", at))
            }
            _ => Err(Error::about("cannot use %q as bind-mount source: not a regular file", at)),
        }
    }

    /// Creates a path, covering with a mimic the directory in which that is not possible.
    fn make(
        &mut self,
        at: &'t [u8],
        what: What<'t>,
        may_cover: bool,
        entry: &MountEntry<'t>,
    ) -> Result<'t, Made> {
        let mut covered = None;
        loop {
            let dir = match create::create(at, what, self.ground) {
                Ok(made) => return Ok(made),
                Err(Blocked::ReadOnly(dir) | Blocked::Trespass(dir)) if may_cover && covered != Some(dir) => {
                    dir
                }
                Err(blocked) => {
                    return Err(blocked.error(at));
                }
            };
            covered = Some(dir);
            self.cover(dir, entry)?;
        }
    }

    /// Performs the mount of a prepared entry. On failure nothing of it is left.
    pub fn perform(&mut self, entry: &MountEntry<'t>) -> Result<'t, ()> {
        if !matches!(entry.kind(), Kind::Directory | Kind::File) {
            return Ok(());
        }
        let flags = entry.options.flags();
        let target = self.open_end(entry.dir)?;
        if flags.bind {
            let source = self.open_end(entry.name)?;
            let reach = if flags.recursive { Reach::Tree } else { Reach::One };
            mount::bind(&source, &target, reach).map_err(|errno| cannot_mount(entry, errno))?;
            drop(target);
            if flags.read_only {
                self.make_read_only(entry, reach).or_else(|e| self.undo_mount(entry, e))?;
            }
        } else {
            let data = self.data(entry)?;
            mount::new(entry.name, &target, entry.fstype, flags.mount, &data)
                .map_err(|errno| cannot_mount(entry, errno))?;
            drop(target);
            if entry.fstype == b"tmpfs"
                && let Ok(stat) = self.walker.open(entry.dir).and_then(|fd| file::stat(&fd))
            {
                self.ground.trust_device(stat.dev);
            }
        }
        if flags.propagation != 0 {
            let reach = if flags.propagation_recursive { Reach::Tree } else { Reach::One };
            let top = self.walker.open(entry.dir);
            top.and_then(|top| mount::change_propagation(&top, flags.propagation, reach))
                .map_err(|errno| Error::call("cannot change propagation of %q: %e", entry.dir, errno))
                .or_else(|error| self.undo_mount(entry, error))?;
        }
        Ok(())
    }

    /// Opens a target or a source for a mount call.
    fn open_end(&self, at: &'t [u8]) -> Result<'t, Fd> {
        if !path::is_clean(at.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(at)) {
            return Err(Error::about("cannot open path: cannot iterate over unclean path %q", at));
        }
        let fd = self.walker.open(at).map_err(|errno| Error::call("cannot open path %q: %e", at, errno))?;
        match file::stat(&fd) {
            Ok(stat) if stat.kind == FileType::Symlink => Err(Error::about("%q is a symbolic link", at)),
            _ => Ok(fd),
        }
    }

    /// The options of the file system itself. A tmpfs belongs to root, whoever started us (N7).
    fn data(&self, entry: &MountEntry<'t>) -> Result<'t, Data> {
        let mut data = Data::new();
        let mut add = |word: &[u8]| {
            let comma: &[u8] = if data.is_empty() { b"" } else { b"," };
            data.extend_from_slice(comma).and_then(|()| data.extend_from_slice(word))
        };
        let too_long = |_| Error::about("cannot mount at %q: more than 4095 bytes of options", entry.dir);
        for word in entry.options.data() {
            add(word).map_err(too_long)?;
        }
        if entry.fstype == b"tmpfs" && self.user.uid != 0 {
            let has = |name: &[u8]| entry.options.value(name).is_some();
            if !has(b"uid") {
                add(b"uid=0").map_err(too_long)?;
            }
            if !has(b"gid") {
                add(b"gid=0").map_err(too_long)?;
            }
        }
        Ok(data)
    }

    /// Makes a new bind mount read-only, keeping what it inherited from its source. Under snap-confine only the
    /// plain remount is granted; it loses nosuid, nodev and noexec, so the flags are kept wherever we may.
    fn make_read_only(&mut self, entry: &MountEntry<'t>, reach: Reach) -> Result<'t, ()> {
        let no = |errno| Error::call("cannot remount %q read-only: %e", entry.dir, errno);
        let top = self.walker.open(entry.dir).map_err(no)?;
        match (reach, mount::set_read_only(&top, reach)) {
            (_, Ok(())) => Ok(()),
            (Reach::One, Err(Errno::ENOSYS | Errno::EPERM | Errno::EACCES)) => {
                mount::remount_read_only(&top, self.kept_flags(&top).map_err(no)?).map_err(no)
            }
            (Reach::Tree, Err(Errno::ENOSYS | Errno::EPERM | Errno::EACCES)) => {
                drop(top);
                self.remount_tree_read_only(entry.dir).map_err(no)
            }
            (_, Err(errno)) => Err(no(errno)),
        }
    }

    /// nosuid, nodev and noexec of a mount, as far as they may be named.
    fn kept_flags(&self, top: &Fd) -> crate::kernel::Result<u32> {
        if self.confined { Ok(0) } else { Ok(file::file_system(top)?.restrictions) }
    }

    /// The recursive form for kernels that cannot do it in one call: mount by mount, those below as the table lists
    /// them.
    fn remount_tree_read_only(&mut self, at: &[u8]) -> crate::kernel::Result<()> {
        let mut done = Ok(());
        let buffer = self.arena.take(survey::LINE_BUFFER).map_err(|_| Errno::ENOMEM)?;
        survey::each_mount(buffer, &mut |line| {
            if done.is_ok() && path::covers(at, line.dir) {
                done = self.walker.open(line.dir).and_then(|top| {
                    // A mount that another one covers cannot be reached, by nobody.
                    let keep = self.kept_flags(&top)?;
                    mount::remount_read_only(&top, keep)
                });
            }
            true
        })?;
        done
    }

    /// Takes away a mount that could not be completed (L11).
    fn undo_mount(&self, entry: &MountEntry<'t>, error: Error<'t>) -> Result<'t, ()> {
        if let Ok(Some(parent)) = self.walker.open_parent(entry.dir) {
            let _ = mount::unmount_at(&parent, path::name(entry.dir), true);
        }
        Err(error)
    }

    /// Takes away what is there of an entry. `expected` is the id of its mount, where the mount table told it: another
    /// mount in its place is not ours, and is an error. True if something was taken away; false if there was nothing.
    pub fn unmount(&mut self, entry: &MountEntry<'t>, expected: Option<u32>) -> Result<'t, bool> {
        match entry.kind() {
            Kind::Directory | Kind::File => self.unmount_mount(entry, expected),
            Kind::Symlink => self.remove_link(entry),
            Kind::EnsureDir | Kind::Unknown => Ok(false),
        }
    }

    fn unmount_mount(&mut self, entry: &MountEntry<'t>, expected: Option<u32>) -> Result<'t, bool> {
        let no = |errno| Error::call("cannot unmount %q: %e", entry.dir, errno);
        let Some(parent) = self.walker.open_parent(entry.dir).map_err(no)? else { return Ok(false) };
        let name = path::name(entry.dir);
        let found = match place::look(&parent, name) {
            Err(Errno::ENOENT) => return Ok(false),
            other => other.map_err(no)?,
        };
        if found.mount_root == Some(false) {
            return Ok(false);
        }
        if let (Some(expected), Some(found)) = (expected, found.mount)
            && expected != found
        {
            return Err(Error::about("cannot unmount %q: another mount is in its place", entry.dir));
        }
        let detach = entry.wants_detach() || entry.is_bind() || entry.fstype == b"tmpfs";
        if detach && let Ok(top) = file::open_at(&parent, name, Open::PATH, 0) {
            // Keeps the detach from failing because of copies of the mounts below. When it is refused the detach is
            // tried all the same (L3).
            let _ = mount::make_private(&top);
        }
        match mount::unmount_at(&parent, name, detach) {
            Ok(()) => Ok(true),
            // Judged by what is there now.
            Err(errno) => match place::look(&parent, name) {
                Err(Errno::ENOENT) => Ok(false),
                Ok(now) if now.mount_root == Some(false) => Ok(false),
                Ok(_) if errno == Errno::EINVAL && found.mount_root.is_none() => Ok(false),
                _ => Err(no(errno)),
            },
        }
    }

    /// Removes a link that is still the one on record, where it is ours to remove (L9).
    fn remove_link(&mut self, entry: &MountEntry<'t>) -> Result<'t, bool> {
        let no = |errno| Error::call("remove %s: %e", entry.dir, errno);
        let Some(parent) = self.walker.open_parent(entry.dir).map_err(no)? else { return Ok(false) };
        let name = path::name(entry.dir);
        let mut buffer = [0u8; 4096];
        let is_same = file::open_at(&parent, name, Open::PATH, 0)
            .and_then(|fd| file::read_link(&fd, &mut buffer))
            .is_ok_and(|text| Some(text) == entry.symlink_text());
        if !is_same || !self.is_ours_to_remove(entry.dir, &parent) {
            return Ok(false);
        }
        match file::unlink(&parent, name) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT | Errno::EROFS) => Ok(false),
            Err(errno) => Err(no(errno)),
        }
    }

    /// Removes the empty directory or file on which an entry was mounted, if it was made for that (L2).
    pub fn clean_up(&mut self, entry: &MountEntry<'t>) {
        let kind = entry.kind();
        if !matches!(kind, Kind::Directory | Kind::File) {
            return;
        }
        let Ok(Some(parent)) = self.walker.open_parent(entry.dir) else { return };
        let name = path::name(entry.dir);
        if place::is_mount_root(&parent, name).unwrap_or(true) || !self.is_ours_to_remove(entry.dir, &parent)
        {
            return;
        }
        // A directory that somebody filled, a file that somebody wrote to: they stay.
        let _ = match (kind, file::stat_at(&parent, name)) {
            (Kind::Directory, Ok(stat)) if stat.kind == FileType::Directory => {
                file::remove_directory(&parent, name)
            }
            (Kind::File, Ok(stat)) if stat.kind == FileType::Regular && stat.size == 0 => {
                file::unlink(&parent, name)
            }
            _ => return,
        };
    }

    /// Whether a placeholder was made by us. Where no note says so, because the entry was recorded by another version,
    /// it counts as made where such places are always ours: under the unrestricted paths and on our own tmpfs.
    fn is_ours_to_remove(&mut self, at: &'t [u8], parent: &Fd) -> bool {
        match self.notes.find(at) {
            Some(made) => made,
            None => self.ground.is_free(at) || self.ground.is_ours(parent, path::parent(at)),
        }
    }
}

fn cannot_mount<'t>(entry: &MountEntry<'t>, errno: Errno) -> Error<'t> {
    Error::call("cannot mount at %q: %e", entry.dir, errno)
}

/// What an entry's target, or its source, is made as.
pub fn what<'t>(entry: &MountEntry<'t>) -> What<'t> {
    match entry.kind() {
        Kind::File => What::File,
        Kind::Symlink => What::Symlink(entry.symlink_text().unwrap_or_default()),
        Kind::Directory | Kind::EnsureDir | Kind::Unknown => What::Directory,
    }
}
