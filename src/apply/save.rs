// SPDX-License-Identifier: GPL-3.0-only
//! Replacing a file in one step: written aside, synced, renamed over the old one.
#![forbid(unsafe_code)]

use super::notes;
use crate::error::{Error, Result, Says, says};
use crate::kernel::Fd;
use crate::kernel::file::{self, Open};
use crate::kernel::writer::Writer;
use crate::text::{Out, Short, path};

/// Compares what is written with what is there.
struct Comparer<'b> {
    rest: &'b [u8],
    same: bool,
}

impl Out for Comparer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.same = false,
        }
    }
}

/// Writes a file anew by `write`, if that would not write exactly the bytes that are there.
pub fn update<'t>(at: &'t [u8], old: Option<&[u8]>, write: &dyn Fn(&mut dyn Out)) -> Result<'t, ()> {
    if let Some(rest) = old {
        let mut comparer = Comparer { rest, same: true };
        write(&mut comparer);
        if comparer.same && comparer.rest.is_empty() {
            return Ok(());
        }
    }
    replace(at, write)
}

/// Replaces a file by what `write` writes: root's, 0644, whoever started us. The temporary file is called as AppArmor's
/// rules expect: the name, a dot, a number and `~`. It is always the same number: the lock is held, so what is there with
/// that name is what a killed run has left.
fn replace<'t>(at: &'t [u8], write: &dyn Fn(&mut dyn Out)) -> Result<'t, ()> {
    let (mut says, mut about) = (says!("open %s: %e"), at);
    try_replace(at, write, &mut says, &mut about).map_err(|errno| Error::call(says, about, errno))
}

/// The same; on failure it is told what failed, and where.
fn try_replace<'t>(
    at: &'t [u8],
    write: &dyn Fn(&mut dyn Out),
    says: &mut Says,
    about: &mut &'t [u8],
) -> crate::kernel::Result<()> {
    let (dir, name) = (path::parent(at), path::name(at));
    let folder = file::open(dir, Open::READ_DIR)?;
    if let Some(record) = name.strip_suffix(notes::SUFFIX) {
        // And what it has left of the record.
        drop(cleared(&folder, record));
    }
    let temporary = cleared(&folder, name);
    let fd = file::create_at(&folder, &temporary, Open::NEW, 0o600)?;
    *says = says!("write %s: %e");
    let done = fill(&fd, write).and_then(|()| file::rename(&folder, &temporary, name));
    if done.is_err() {
        let _ = file::unlink(&folder, &temporary);
        return done;
    }
    (*says, *about) = (says!("sync %s: %e"), dir);
    file::sync(&folder)
}

/// The name of the temporary file for a name in a directory. There is no such file any more.
#[inline(never)]
fn cleared(folder: &Fd, name: &[u8]) -> Short {
    let mut temporary = Short::new();
    temporary.put(name);
    temporary.put(b".0~");
    let _ = file::unlink(folder, &temporary);
    temporary
}

/// Writes behind what is in a file, which is created where it is missing.
pub fn append<'t>(at: &'t [u8], write: &dyn Fn(&mut dyn Out)) -> Result<'t, ()> {
    let mut says = says!("open %s: %e");
    let done = file::create(at, Open::JOURNAL, 0o644).and_then(|fd| {
        says = says!("write %s: %e");
        // Root's, whoever started us: nobody else may write to it, should it stay as it is.
        file::chown(&fd, 0, 0)?;
        flush(&fd, write)
    });
    done.map_err(|errno| Error::call(says, at, errno))
}

fn fill(fd: &Fd, write: &dyn Fn(&mut dyn Out)) -> crate::kernel::Result<()> {
    // After the change of owner a caller without CAP_FOWNER could not change the mode any more.
    file::chmod(fd, 0o644)?;
    flush(fd, write)?;
    file::chown(fd, 0, 0)?;
    file::sync(fd)
}

fn flush(fd: &Fd, write: &dyn Fn(&mut dyn Out)) -> crate::kernel::Result<()> {
    let mut writer = Writer::new(fd, None);
    write(&mut writer);
    writer.finish()
}
