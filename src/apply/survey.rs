// SPDX-License-Identifier: GPL-3.0-only
//! Questions only: what do the profiles say, what is mounted, what is there? Nothing here changes the world.
#![forbid(unsafe_code)]

use core::mem::ManuallyDrop;

use super::ground::Ground;
use super::notes::{self, Version};
use super::walk::{self, Walker};
use super::{entry, place};
use crate::error::{Error, Result, Says, says};
use crate::kernel::file::{self, FileType, Open};
use crate::kernel::mount;
use crate::kernel::{self, Errno, process};
use crate::limits::{KEPT_MOUNTS, Limit, MOUNTINFO_LINE, MOUNTINFO_LINES, PROFILE_TEXT};
use crate::log::Log;
use crate::mount::info::{self, Lines};
use crate::mount::table::{Mount, Table};
use crate::mount::{Kind, MountId};
use crate::plan::{Item, Plan, State};
use crate::text::arena::Arena;
use crate::text::path;

/// A file: its path; and what was read of it: its text, to be cut up; the same as it was, if it is wanted `twice`; and which
/// version of the file that is.
pub struct Text<'t> {
    /// The path.
    pub at: &'t [u8],
    /// The text.
    pub text: &'t mut [u8],
    /// Its copy.
    pub before: Option<&'t [u8]>,
    /// The version.
    pub version: Version,
}

impl<'t> Text<'t> {
    /// A file that is not read yet.
    #[inline(never)]
    pub fn new(at: &'t [u8]) -> Self {
        Text { at, text: &mut [], before: None, version: [0; 2] }
    }

    /// Reads a whole file; nothing when there is none. Links are followed. Anything but a regular file is refused, and
    /// nothing is waited for.
    #[inline(never)]
    pub fn read(&mut self, twice: bool, arena: &mut Arena<'t>) -> Result<'t, ()> {
        let mut says = says!("open %s: %e");
        let len = match read_into(self.at, arena.free(), &mut self.version, &mut says) {
            Ok(len) => len as usize,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(Error::call(says, self.at, errno)),
        };
        if len > PROFILE_TEXT.max {
            return Err(PROFILE_TEXT.exceeded());
        }
        self.text = arena.take(len)?;
        if twice {
            self.before = Some(arena.copy(self.text)?);
        }
        Ok(())
    }
}

/// Reads a whole file, or one byte more than is accepted of it, so that too much is seen as such.
fn read_into(at: &[u8], free: &mut [u8], version: &mut Version, says: &mut Says) -> kernel::Result<u32> {
    // It is closed when we end: no call for that.
    let fd = ManuallyDrop::new(file::open_follow(at, Open::READ)?);
    *says = says!("read %s: %e");
    let stat = file::stat(&fd)?;
    *version = notes::version(&stat);
    match stat.kind {
        FileType::Regular => {}
        FileType::Directory => return Err(Errno::EISDIR),
        _ => {
            *says = says!("read %s: not a regular file");
            return Err(Errno::NONE);
        }
    }
    let most = free.len().min(PROFILE_TEXT.max + 1);
    let mut len = 0;
    // The end is where the file says, or where there is no more.
    while len as u64 != stat.size || len == 0 {
        let got = file::read(&fd, free.get_mut(len..most).unwrap_or_default())?;
        if got == 0 {
            break;
        }
        len += got as usize;
    }
    Ok(len as u32)
}

/// Bytes to lend to [`each_mount`]: one line of any length that there can be, and a page.
pub const LINE_BUFFER: usize = MOUNTINFO_LINE.max + 4096;

/// Calls `each` for every line of this process's mountinfo until it answers false; true if the table has changed meanwhile
/// (proc_pid_mountinfo(5): it can be polled, Linux 2.6.30). Lines that are none are passed
/// over: one odd line must not blind the whole survey.
pub fn each_mount(buffer: &mut [u8], each: &mut dyn FnMut(&Mount<'_>) -> bool) -> kernel::Result<bool> {
    let fd = file::open(b"/proc/self/mountinfo", Open::READ)?;
    let mut lines = Lines::new(buffer);
    loop {
        while let Some(line) = lines.next() {
            if let Some(line) = info::parse_line(line)
                && !each(&line)
            {
                return Ok(false);
            }
        }
        let got = file::read(&fd, lines.fill())?;
        if got == 0 {
            return Ok(process::has_changed(&fd));
        }
        lines.advance(got as usize);
    }
}

/// Whether all is as it was recorded, and that can be told without the mount table: only binds of one mount each are on record
/// and desired, and each target is the root of a mount that shows the very object that is at the source, read-only if it is to
/// be.
pub fn all_is_settled(plan: &Plan<'_>) -> bool {
    let is_settled = |item: &Item<'_>| mount::shows(item.entry.name, item.entry.dir, item.flags.mount());
    plan.is_of_lone_binds() && plan.items.iter().all(is_settled)
}

/// How often a mount table that changes all the time is read; the last reading is taken as it is.
const READINGS: u32 = 5;

/// Reads the mount table, as far as it matters to the plan. A table that cannot be read stays empty: that is not an
/// error, AppArmor templates before 2026 do not grant it; but a warning to those who are not `confined` by them.
pub fn mounts<'t>(
    plan: &Plan<'t>,
    table: &mut Table<'t>,
    ground: &Ground<'t>,
    walker: &Walker<'t>,
    arena: &mut Arena<'t>,
    log: &mut Log,
    confined: bool,
) -> Result<'t, ()> {
    table.claim(KEPT_MOUNTS.max, arena);
    let buffer = arena.take(LINE_BUFFER)?;
    let mut over: Option<&'static Limit> = None;
    // A line that came or went while it was read may be missing, or be there twice: then it is read again.
    for _ in 0..READINGS {
        table.clear();
        let mut count = 0u32;
        let done = each_mount(buffer, &mut |line| {
            count += 1;
            let dir = plan.paths.on_the_way(line.dir);
            if count as usize > MOUNTINFO_LINES.max {
                over = Some(&MOUNTINFO_LINES);
            } else if dir.is_some() || line.dir == b"/" || plan.binds_from_above(line.dir) {
                over = table.keep(line, dir, arena).err();
            }
            over.is_none()
        });
        if let Some(limit) = over {
            return Err(limit.exceeded());
        }
        match done {
            Ok(changed) => {
                let root = place::look_at_root().map(MountId::get);
                table.build(root, arena);
                // Or while its directory was renamed to and fro.
                let is_missed = |item: &Item<'t>| {
                    let dir = item.entry.dir;
                    let is_absent = || table.listed(dir, false).next().is_none();
                    item.record.is_some()
                        && item.is_mount()
                        && is_absent()
                        && may_be_there(dir, table, ground, walker)
                };
                if !changed && !plan.items.iter().any(is_missed) {
                    break;
                }
            }
            // Not granted, or no /proc: that is no error. Anything else is: to guess would be to mount twice.
            Err(errno) if !matches!(errno, Errno::EACCES | Errno::EPERM | Errno::ENOENT) => {
                return Err(Error::call(says!("cannot read mountinfo: %e"), b"", errno));
            }
            Err(errno) => {
                table.clear();
                let error = Error::call(says!("cannot read mountinfo, trusting the record: %e"), b"", errno);
                if confined {
                    log.detail(error)
                } else {
                    log.warning(error)
                }
                break;
            }
        }
    }
    Ok(())
}

/// Whether what is on record and not in the table may be there all the same: a link is in the way to it, or it is back
/// with a directory that somebody had moved while the table was read.
#[inline(never)]
pub fn may_be_there<'t>(dir: &[u8], table: &Table<'t>, ground: &Ground<'t>, walker: &Walker<'t>) -> bool {
    match walker.open_directory(path::parent(dir)) {
        Ok(parent) => {
            table.listed(dir, false).next().is_none()
                && file::open_at(&parent, path::name(dir), Open::PATH).is_ok_and(|top| {
                    place::look(&parent, &top).mount_root == Some(true)
                        // No mimic that was made meanwhile, and no part of one.
                        && ground.ask(&parent, b"").is_err()
                        && ground.ask(&top, b"").is_err()
                })
        }
        Err(errno) => errno == Errno::ENOTDIR,
    }
}

/// Looks at the links, and at the directories that are only to be there; and finds out where the targets of absent
/// entries would be created. To be called when the mounts are judged.
pub fn targets<'t>(plan: &mut Plan<'t>, ground: &mut Ground<'t>, walker: &mut Walker<'t>) {
    for item in plan.items.iter_mut() {
        let at = item.entry.dir;
        match item.kind {
            // One that is to be passed over when it is missing is never there in time.
            Kind::Symlink if item.desired && item.entry.ignore_missing() => {}
            Kind::Symlink if has_link(item) => {
                item.state = if item.desired { State::InEffect } else { State::Different };
            }
            Kind::EnsureDir if item.desired => {
                let found = walk::open(at, Open::PATH).and_then(|fd| file::stat(&fd));
                if found.is_ok_and(|stat| stat.kind == FileType::Directory) {
                    item.state = State::InEffect;
                }
            }
            _ => {}
        }
        let asks = item.desired && item.state == State::Absent && item.kind != Kind::EnsureDir;
        if asks && path::is_absolute(at) {
            find_missing(item, walker, ground);
        }
    }
    // What was looked at last may go now.
    walker.forget();
}

/// Whether the link of an entry is there with the wanted text; where nobody can say, what is on record counts.
fn has_link(item: &Item<'_>) -> bool {
    match walk::open(item.entry.dir, Open::PATH).and_then(|fd| entry::has_text(&fd, item.entry)) {
        Ok(has) => has,
        // Gone, or no link.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EINVAL) => false,
        Err(_) => item.record.is_some(),
    }
}

/// Where the target would have to be created, if it is missing, and whether only in a mimic.
fn find_missing<'t>(item: &mut Item<'t>, walker: &mut Walker<'t>, ground: &mut Ground<'t>) {
    let target = item.entry.dir;
    // What cannot be looked at now may be missing; but what nobody can ever name is no place for anything.
    match file::lstat(target) {
        Ok(stat) => {
            item.is_odd = item.kind == Kind::Directory && stat.kind != FileType::Directory;
            return;
        }
        Err(Errno::ENAMETOOLONG) => return,
        Err(errno) => item.is_odd = !matches!(errno, Errno::ENOENT | Errno::ENOTDIR),
    }
    let mut dir: &'t [u8] = b"";
    let nearest = walker.take_nearest(target, &mut dir);
    // Also where nobody can say: it does not count as seen.
    item.under = Some(dir);
    if let Ok(here) = nearest {
        let free = ground.ask(&here, target).is_ok();
        item.needs_mimic = !free && !path::is_root(dir);
        walker.keep(dir, here);
    }
}
