// SPDX-License-Identifier: GPL-3.0-only
//! From a path to a descriptor, following no symbolic link anywhere.
#![forbid(unsafe_code)]

use crate::kernel::file::{self, Open, Start, Stat};
use crate::kernel::{Errno, Fd, Result};
use crate::text::path;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether this kernel, or a filter in front of it, does not open a path in one call (openat2(2), Linux 5.6).
static BY_STEPS: AtomicBool = AtomicBool::new(false);

/// Mounts that wait beneath what they replace, while there are further mounts to be made in them: more is not needed at
/// once, and what does not fit replaces the old mount at once.
const WAITING: usize = 64;

/// Goes to paths as they will be seen in the end: where a new mount waits beneath the one that it replaces, through the
/// new one.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Walker<'t> {
    /// The two directories that were worked in last; in front, where they are reached by short instructions.
    kept: [Option<(&'t [u8], Fd)>; 2],
    waiting: heapless::Vec<(&'t [u8], Fd), WAITING>,
}

impl<'t> Walker<'t> {
    /// Nothing waits.
    pub const fn new() -> Self {
        Walker { waiting: heapless::Vec::new(), kept: [const { None }; 2] }
    }

    /// From here on what lies below a directory is looked for in this mount. False if too many wait already.
    pub fn wait(&mut self, dir: &'t [u8], root: Fd) -> bool {
        self.waiting.push((dir, root)).is_ok()
    }

    /// Whether nothing waits: then a name in a directory is what everybody sees.
    pub fn is_plain(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Nothing waits any more: what waited is what everybody sees.
    pub fn forget(&mut self) {
        self.waiting.clear();
        self.kept = [const { None }; 2];
    }

    /// The same as [`Walker::open_directory`], without a call where that was worked in lately.
    #[inline(never)]
    pub fn take(&mut self, dir: &[u8]) -> Result<Fd> {
        for kept in &mut self.kept {
            if let Some((_, fd)) = kept.take_if(|(last, _)| *last == dir) {
                return Ok(fd);
            }
        }
        self.open_directory(dir)
    }

    /// The same for the directory of a path's last component; `ENOENT` also where that is none.
    #[inline(never)]
    pub fn take_parent(&mut self, path: &[u8]) -> Result<Fd> {
        self.take(path::parent(path))
            .map_err(|errno| if errno == Errno::ENOTDIR { Errno::ENOENT } else { errno })
    }

    /// The same for the nearest directory above that is there already: most often it is the very parent. `dir` becomes its
    /// path.
    #[inline(never)]
    pub fn take_nearest<'p>(&mut self, path: &'p [u8], dir: &mut &'p [u8]) -> Result<Fd> {
        *dir = path;
        loop {
            *dir = path::parent(dir);
            match self.take(dir) {
                Err(Errno::ENOENT) if !path::is_root(dir) => {}
                found => return found,
            }
        }
    }

    /// Keeps what [`Walker::take`] gave for the next.
    #[inline(never)]
    pub fn keep(&mut self, dir: &'t [u8], fd: Fd) {
        let [first, second] = &mut self.kept;
        if let Some(last) = first.replace((dir, fd)) {
            *second = Some(last);
        }
    }

    /// Something was mounted or unmounted here: other directories may be seen at or below it, and what waited there does
    /// so no longer.
    pub fn changed(&mut self, at: &[u8]) {
        let mut place = 0;
        while let Some((dir, _)) = self.waiting.get(place) {
            if path::covers(at, dir) {
                // The last one takes its place.
                if let Some((last, others)) = self.waiting.split_last_mut()
                    && let Some(gone) = others.get_mut(place)
                {
                    core::mem::swap(last, gone);
                }
                drop(self.waiting.pop());
            } else {
                place += 1;
            }
        }
        for kept in &mut self.kept {
            drop(kept.take_if(|(dir, _)| path::covers(at, dir)));
        }
    }

    /// Where to start, and what is left of the path from there.
    fn start<'p>(&self, path: &'p [u8]) -> (Start<'_>, &'p [u8]) {
        let mut best = (Start::ROOT, path);
        for (dir, root) in &self.waiting {
            // The deepest of them: it waits in the others.
            if let Some(rest) = path::below(path, dir)
                && rest.len() <= best.1.len()
            {
                best = (Start::at(root), rest);
            }
        }
        best
    }

    /// The object at an absolute path, `O_PATH`. A link in directory position is `ENOTDIR`; a link as the last
    /// component is opened itself.
    pub fn open(&self, path: &[u8]) -> Result<Fd> {
        self.open_as(path, Open::PATH)
    }

    /// The same, and it has to be a directory.
    pub fn open_directory(&self, path: &[u8]) -> Result<Fd> {
        self.open_as(path, Open::PATH_DIR)
    }

    /// What is at an absolute path.
    #[inline(never)]
    pub fn stat(&self, path: &[u8]) -> Result<Stat> {
        file::stat(&self.open(path)?)
    }

    /// The object at an absolute path.
    pub fn open_as(&self, path: &[u8], how: Open) -> Result<Fd> {
        let (root, path) = self.start(path);
        open_from(root, path, how)
    }
}

/// The object at an absolute path, where nothing waits.
pub fn open(path: &[u8], how: Open) -> Result<Fd> {
    open_from(Start::ROOT, path, how)
}

/// The object at a path, which is an absolute one where there is no directory to start at.
#[inline(never)]
fn open_from(root: Start<'_>, path: &[u8], how: Open) -> Result<Fd> {
    if root == Start::ROOT && !path::is_absolute(path) {
        return Err(Errno::ENOENT);
    }
    let path = if path.is_empty() { b"." } else { path };
    if !BY_STEPS.load(Ordering::Relaxed) {
        match file::open_no_symlinks(root, path, how) {
            Ok(fd) => return Ok(fd),
            // A filter may answer EPERM for a call it does not know.
            Err(Errno::ENOSYS | Errno::EPERM) => BY_STEPS.store(true, Ordering::Relaxed),
            Err(Errno::ELOOP) => return Err(Errno::ENOTDIR),
            Err(errno) => return Err(errno),
        }
    }
    let mut here = file::open_from(root, if root == Start::ROOT { b"/" } else { b"." }, Open::PATH_DIR)?;
    let mut last: &[u8] = b".";
    for name in path::components(path) {
        here = file::open_at(&here, last, Open::PATH_DIR)?;
        last = name;
    }
    file::open_at(&here, last, how)
}
