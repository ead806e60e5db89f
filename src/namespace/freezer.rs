// SPDX-License-Identifier: GPL-3.0-only
//! The freezer of control groups: the snap's processes stand still while its mounts are changed, so that they
//! cannot rename directories or plant links under our feet. It does not reach everybody who could, and never
//! replaces care with links.
//!
//! * Version 1 has one group for the whole snap, `/sys/fs/cgroup/freezer/snap.N`. Its `freezer.state` says
//!   `FREEZING` until all are at rest, and `FROZEN` then.
//! * Version 2 has one group for each running program, `snap.N.*.scope` or `snap.N.*.service`, anywhere in the
//!   tree. What was asked for is in `cgroup.freeze`; whether it is so is the line `frozen 1` of
//!   `cgroup.events`, whose change can be waited for.
//!
//! Whoever freezes the group he sits in never wakes up to thaw it; so the own group, and a group above it, are
//! left alone. That is normal at a program's start: snap-confine is in the program's group already.
#![forbid(unsafe_code)]

use super::guard::Guard;
use crate::apply::survey::Text;
use crate::error::{Errno, Error, Result, Says, Within, compose, says};
use crate::kernel::file::{self, DirEntry, FileSystem, FileType, Open};
use crate::kernel::{self, Fd, process};
use crate::limits::{self, CGROUP_LEVELS, FREEZE_GROUPS};
use crate::log::Log;
use crate::text::arena::Arena;
use crate::text::number::parse_u32;
use crate::text::{has_part, path, split};
use heapless::Vec;

/// Where the control groups are, but in tests.
pub const ROOT: &[u8] = b"/sys/fs/cgroup";

/// Bytes of a directory that are read at once, on every level.
const LISTING: usize = 4_000;
/// The longest pause between two looks at a group's state. Version 2 tells when something happens, so this only
/// bounds how long it takes to notice that somebody else thawed the group.
const PAUSE: u64 = 100;

/// The two layouts of `/sys/fs/cgroup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A tmpfs with a directory for each controller; also when the unified tree is mounted beside them.
    One,
    /// The unified tree itself.
    Two,
}

/// What the files of a group are called in a version, what is written to them and found in them, and what is said
/// when that fails.
#[derive(Debug)]
#[repr(C)]
struct Words {
    version: Version,
    requesting: Within,
    waiting: Within,
    /// The file that takes the request; it says the same for as long as nothing else was asked for.
    request: &'static [u8],
    freeze: &'static [u8],
    thaw: &'static [u8],
    /// What is said when a request cannot be made: about the group.
    cannot_open: Says,
    cannot_write: Says,
    /// What is said while waiting: about the state that was seen in version 1, about the group in 2.
    cannot_read: Says,
    too_late: Says,
}

impl Words {
    /// The file that tells whether it is so, by a line.
    fn state(&self) -> &'static [u8] {
        if self.version == Version::One { self.request } else { b"cgroup.events" }
    }

    /// That line.
    fn at_rest(&self) -> &'static [u8] {
        if self.version == Version::One { self.freeze } else { b"frozen 1" }
    }

    /// By which controller our own group is found in `/proc/self/cgroup`.
    fn controller(&self) -> &'static [u8] {
        if self.version == Version::One { b"freezer" } else { b"" }
    }
}

static ONE: Words = Words {
    version: Version::One,
    request: b"freezer.state",
    freeze: b"FROZEN",
    thaw: b"THAWED",
    cannot_open: says!("open %s/freezer.state: %e"),
    cannot_write: says!("write %s/freezer.state: %e"),
    requesting: Within::Freezing,
    cannot_read: says!("cannot determine the freeze state of processes of snap %i, %e"),
    too_late: says!(
        "cannot finish freezing processes of snap %i (freezer state: %s): context deadline exceeded"
    ),
    waiting: Within::Nothing,
};

static TWO: Words = Words {
    version: Version::Two,
    request: b"cgroup.freeze",
    freeze: b"1",
    thaw: b"0",
    cannot_open: says!("cannot freeze processes in group %q: %e"),
    cannot_write: says!("cannot freeze processes in group %q: %e"),
    requesting: Within::FinishingFreezing,
    cannot_read: says!("cannot determine the freeze state of processes in group %q: %e"),
    too_late: says!("cannot freeze processes in group %q: context deadline exceeded"),
    waiting: Within::FinishingFreezing,
};

/// How the processes of one snap can be frozen here.
#[derive(Clone, Copy, Debug)]
pub struct Freezer<'t> {
    root: &'t [u8],
    words: &'static Words,
    instance: &'t [u8],
}

/// Groups that were asked to freeze. They are thawed when this is dropped, if not before.
///
/// The descriptors are kept, so exactly those groups are thawed that were frozen, wherever they are by then.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Frozen {
    /// Thaws them should we die.
    guard: Option<Guard>,
    /// How they are thawed.
    words: Option<&'static Words>,
    groups: Vec<Group, { FREEZE_GROUPS.max }>,
}

/// The files of a group that was asked to freeze.
#[derive(Debug)]
struct Group {
    /// For writing.
    request: Fd,
    /// For reading.
    state: Fd,
}

impl Frozen {
    /// Nobody is frozen.
    pub const fn new() -> Self {
        Frozen { guard: None, groups: Vec::new(), words: None }
    }

    /// How many groups have been asked to freeze.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Lets everybody go on. What cannot be thawed is a warning.
    #[inline(never)]
    pub fn thaw(&mut self, arena: &mut Arena<'_>, log: &mut Log) {
        let Some(words) = self.words else { return };
        let mut all = true;
        for Group { request, .. } in &self.groups {
            match file::write_all(request, words.thaw) {
                // The group is gone, and nobody was left in it.
                Ok(()) | Err(Errno::ENODEV) => {}
                Err(errno) => {
                    all = false;
                    let name = name_of(request, arena);
                    log.warning(Error::call(says!("cannot thaw processes in group %q: %e"), name, errno));
                }
            }
        }
        // What we could not thaw the guard may.
        if let Some(guard) = self.guard.take() {
            guard.dismiss(all);
        }
        self.groups.clear();
    }

    /// Asks all groups to freeze, with a guard over us. Without a guard nobody is frozen: should we die then, they would
    /// stand still for ever.
    fn ask<'t>(&mut self, words: &Words, arena: &mut Arena<'t>, log: &mut Log) -> Result<'t, ()> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let groups = &self.groups;
        match Guard::start(&|fd| groups.iter().any(|group| group.request == *fd)) {
            Ok(Some(guard)) => self.guard = Some(guard),
            // We are the guard, and nobody hears what it says.
            Ok(None) => {
                self.thaw(arena, log);
                process::leave(0);
            }
            Err(errno) => {
                log.warning(Error::call(
                    says!("going on without freezing processes: no guard: %e"),
                    b"",
                    errno,
                ));
                self.groups.clear();
            }
        }
        for group in &self.groups {
            match file::write_all(&group.request, words.freeze) {
                Err(errno) if errno != Errno::ENODEV => {
                    return Err(Error::call(words.cannot_write, name_of(&group.request, arena), errno));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaw(&mut Arena::new(&mut []), &mut Log::new(false));
    }
}

impl<'t> Freezer<'t> {
    /// Finds out which version there is. Without control groups nobody can be frozen, and that is fatal.
    pub fn new(root: &'t [u8], instance: &'t [u8]) -> Result<'t, Self> {
        match file::magic_of(root) {
            Ok(magic) => {
                let words = if magic == FileSystem::CGROUP2 { &TWO } else { &ONE };
                Ok(Freezer { root, words, instance })
            }
            Err(_) => Err(Error::plain(says!("FreezeSnapProcesses not implemented"))),
        }
    }

    /// Which version there is.
    pub fn version(&self) -> Version {
        self.words.version
    }

    /// Freezes the snap's processes and waits until they are at rest, all together for at most
    /// [`limits::FREEZE_MILLISECONDS`]. On an error everybody has been thawed again.
    pub fn freeze(&self, frozen: &mut Frozen, arena: &mut Arena<'t>, log: &mut Log) -> Result<'t, ()> {
        process::raise_open_files();
        frozen.words = Some(self.words);
        let mut groups = Text::new(b"/proc/self/cgroup");
        let done = groups
            .read(false, arena)
            .and_then(|()| find_own_group(groups.text, self.words))
            .and_then(|own| self.visit_all(own, Some(frozen), arena, log))
            .and_then(|()| frozen.ask(self.words, arena, log))
            .map_err(|error| error.within(self.words.requesting))
            .and_then(|()| self.wait(frozen, arena).map_err(|error| error.within(self.words.waiting)));
        match done {
            Ok(()) => {
                let number = frozen.groups() as u32;
                log.detail(Error::count(says!("froze %n control groups"), b"", Errno::NONE, number));
            }
            Err(_) => frozen.thaw(arena, log),
        }
        done
    }

    /// Thaws what a run that was killed left frozen. Nothing is frozen when this is called, and the lock is held;
    /// so whatever is found frozen was forgotten. Trouble is a warning: without it nobody is worse off.
    pub fn release_stale(&self, arena: &mut Arena<'t>, log: &mut Log) {
        if let Err(trouble) = self.visit_all(b"", None, arena, log) {
            let says = says!("cannot look for frozen processes of snap %q: %e");
            log.warning(Error::call(says, self.instance, trouble.errno));
        }
    }

    /// Visits every group of the snap.
    #[inline(never)]
    fn visit_all(
        &self,
        own: &[u8],
        frozen: Option<&mut Frozen>,
        arena: &mut Arena<'t>,
        log: &mut Log,
    ) -> Result<'t, ()> {
        let words = self.words;
        let path = compose(says!("%s/freezer/snap.%b"), self.root, self.instance, arena)?;
        let mut visitor = Visitor { words, group: path::name(path), own, frozen, arena, log };
        if words.version == Version::One {
            return visitor.visit(file::open_follow(path, Open::PATH_DIR), path);
        }
        visitor.walk(file::open_follow(self.root, Open::READ_DIR), CGROUP_LEVELS.max)
    }

    /// Waits until all groups are at rest. When somebody else thaws one meanwhile, it is asked again.
    fn wait(&self, frozen: &Frozen, arena: &mut Arena<'t>) -> Result<'t, ()> {
        let words = self.words;
        let deadline = now() + limits::FREEZE_MILLISECONDS;
        for group in &frozen.groups {
            let mut pause = 1;
            loop {
                let mut buffer = [0; 256];
                let read = file::rewind(&group.state).and_then(|()| file::read(&group.state, &mut buffer));
                let (len, errno) = match read {
                    Ok(len) => (len as usize, Errno::NONE),
                    Err(errno) => (0, errno),
                };
                let text = buffer.get(..len).unwrap_or_default();
                if errno == Errno::ENODEV || has_part(text, b'\n', words.at_rest()) {
                    break;
                }
                let left = deadline.saturating_sub(now());
                if errno != Errno::NONE || left == 0 {
                    let says = if left == 0 { words.too_late } else { words.cannot_read };
                    let about = match words.version {
                        Version::One => keep(arena, text),
                        Version::Two => name_of(&group.request, arena),
                    };
                    return Err(Error::call(says, about, errno));
                }
                // Version 2 does nothing when this is what it was asked before. An error shows in the state.
                if words.version == Version::Two || has_part(text, b'\n', words.thaw) {
                    let _ = file::write_all(&group.request, words.freeze);
                }
                process::wait_for_change(&group.state, left.min(pause));
                pause = (pause * 2).min(PAUSE);
            }
        }
        Ok(())
    }
}

/// Who goes to the groups of a snap, to freeze them or to thaw what was forgotten.
struct Visitor<'v, 't> {
    words: &'static Words,
    /// `snap.N`
    group: &'v [u8],
    /// The path of the group that we are in ourselves.
    own: &'v [u8],
    /// Where frozen groups are kept; without it they are thawed.
    frozen: Option<&'v mut Frozen>,
    arena: &'v mut Arena<'t>,
    log: &'v mut Log,
}

impl<'t> Visitor<'_, 't> {
    /// Visits every group of the snap in a directory of the tree of version 2 and this many levels below. Groups of
    /// the snap are not searched for further ones. What was forgotten is looked for only where systemd puts programs of
    /// snaps.
    fn walk(&mut self, directory: kernel::Result<Fd>, levels: usize) -> Result<'t, ()> {
        if levels == 0 {
            self.log.warning(CGROUP_LEVELS.exceeded());
            return Ok(());
        }
        let mut listing = [0; LISTING];
        let mut done = Ok(());
        let listed = directory.as_ref().map_err(|errno| *errno).and_then(|directory| {
            file::list(directory, &mut listing, |DirEntry { name, kind }| {
                let is_ours = is_group_of(name, self.group);
                // Not the files of the directory itself, nor who cannot have been frozen.
                if matches!(kind, Some(FileType::Directory) | None)
                    && (is_ours || self.frozen.is_some() || holds_units(name))
                {
                    let found = file::open_at(directory, name, Open::READ_DIR);
                    done = if is_ours { self.visit(found, name) } else { self.walk(found, levels - 1) };
                }
                done.is_ok()
            })
        });
        match listed {
            Ok(()) => done,
            Err(errno) => self.failed(says!("cannot search control groups: %e"), b"", errno),
        }
    }

    /// Freezes one group, or thaws it if it is frozen. Our own and one above it are left alone.
    fn visit(&mut self, group: kernel::Result<Fd>, name: &[u8]) -> Result<'t, ()> {
        if is_inside(self.own, name) {
            return Ok(());
        }
        let mut says = self.words.cannot_open;
        match group.and_then(|group| self.ask(&group, name, &mut says)) {
            Ok(()) => Ok(()),
            Err(Errno::NONE) => Err(FREEZE_GROUPS.exceeded()),
            Err(errno) => self.failed(says, name, errno),
        }
    }

    /// The error is [`Errno::NONE`] when there is no room for one more group.
    fn ask(&mut self, group: &Fd, name: &[u8], says: &mut Says) -> kernel::Result<()> {
        let words = self.words;
        let (tells, word) = match self.frozen {
            // Opened before the request is made, so that no change can be missed.
            Some(_) => (words.state(), words.freeze),
            None => (words.request, words.thaw),
        };
        let state = file::open_at(group, tells, Open::READ)?;
        if self.frozen.is_none() {
            let mut buffer = [0; 32];
            let len = file::read(&state, &mut buffer)? as usize;
            if has_part(buffer.get(..len).unwrap_or_default(), b'\n', word) {
                return Ok(());
            }
        }
        let request = file::open_at(group, words.request, Open::WRITE)?;
        if let Some(frozen) = &mut self.frozen {
            return frozen.groups.push(Group { request, state }).map_err(|_| Errno::NONE);
        }
        *says = words.cannot_write;
        file::write_all(&request, word)?;
        self.log
            .warning(Error::about(says!("thawed processes that an earlier update left frozen: %q"), name));
        Ok(())
    }

    /// A group that vanished meanwhile, or a directory on the way to it, is none: kernfs says `ENODEV` for open files.
    #[inline(never)]
    fn failed(&mut self, says: Says, about: &[u8], errno: Errno) -> Result<'t, ()> {
        match errno {
            Errno::ENOENT | Errno::ENODEV | Errno::ENOTDIR => Ok(()),
            _ => Err(Error::call(says, keep(self.arena, about), errno)),
        }
    }
}

/// Milliseconds from the machine's start.
fn now() -> u64 {
    process::uptime().milliseconds()
}

/// The group of an open file, as the kernel knows it now; empty when it does not say.
#[inline(never)]
fn name_of<'t>(fd: &Fd, arena: &mut Arena<'t>) -> &'t [u8] {
    let len = file::path_of(fd, arena.free()).unwrap_or_default() as usize;
    path::parent(arena.take(len).unwrap_or_default())
}

/// Whether the path `own` leads through a group of this name. It is told from the root of the tree or, in a container,
/// from further up than that is mounted. Too careful here means unfrozen, too careless hangs for ever.
fn is_inside(own: &[u8], group: &[u8]) -> bool {
    has_part(own, b'/', path::name(group))
}

/// Whether `name` is a group of programs of the snap whose `group` is `snap.N`: `snap.N.*.scope` or `snap.N.*.service`.
fn is_group_of(name: &[u8], group: &[u8]) -> bool {
    name.strip_prefix(group).is_some_and(|rest| rest.first() == Some(&b'.'))
        && (name.ends_with(b".scope") || name.ends_with(b".service"))
}

/// Whether systemd makes groups of units in a group of this name: a slice, or the manager of a user. Scopes and services of
/// snaps are units. A host has hundreds of other groups.
fn holds_units(name: &[u8]) -> bool {
    name.ends_with(b".slice") || name.starts_with(b"user@")
}

/// Our group's path in the tree of version 2 or in that of version 1 with the freezer, where it is empty when there
/// is no such tree.
fn find_own_group<'t>(groups: &'t [u8], words: &Words) -> Result<'t, &'t [u8]> {
    for line in split(groups, b'\n') {
        // number:controllers:path, and a path may have colons
        let mut fields = split(line, b':');
        let (number, controllers) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let path = fields.rest();
        if line.is_empty() {
            continue;
        }
        if path.is_empty() || parse_u32(number).is_none() {
            let says = says!("cannot parse proc cgroup entry %q: expected number:controllers:path");
            return Err(Error::about(says, line));
        }
        if has_part(controllers, b',', words.controller()) {
            return Ok(path);
        }
    }
    match words.version {
        Version::One => Ok(b""),
        Version::Two => Err(Error::plain(says!("cannot find tracking cgroup"))),
    }
}

/// Keeps bytes for a sentence; without room for them the sentence has to do without.
fn keep<'t>(arena: &mut Arena<'t>, bytes: &[u8]) -> &'t [u8] {
    arena.concat(&[bytes]).unwrap_or(b"?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_a_snap_are_scopes_and_services_with_its_whole_instance_name() {
        for yes in [
            "snap.acorn.app.scope",
            "snap.acorn.app-6f1e.scope",
            "snap.acorn.svc.service",
            "snap.acorn.hook.configure-12.scope",
            "snap.acorn.scope",
        ] {
            assert!(is_group_of(yes.as_bytes(), b"snap.acorn"), "{yes}");
        }
        for no in [
            "snap.acorn_two.app.scope",
            "snap.acornish.x.scope",
            "snap.acorn.app.slice",
            "snap.acorn",
            "snap.acornscope",
            "xsnap.acorn.app.scope",
            "snap.acorn.app.scope2",
            "cgroup.procs",
        ] {
            assert!(!is_group_of(no.as_bytes(), b"snap.acorn"), "{no}");
        }
        assert!(is_group_of(b"snap.acorn_two.app.scope", b"snap.acorn_two"));
    }

    #[test]
    fn the_own_group_is_found_in_either_tree() {
        let groups =
            b"12:memory:/a\n6:cpu,freezer:/snap.acorn/x:y\n1:name=systemd:/\n0::/user.slice/z.scope\n";
        assert_eq!(find_own_group(groups, &ONE), Ok(&b"/snap.acorn/x:y"[..]));
        assert_eq!(find_own_group(groups, &TWO), Ok(&b"/user.slice/z.scope"[..]));
        assert_eq!(find_own_group(b"0::/\n", &ONE), Ok(&b""[..]));
        for none in [&b"1:name=systemd:/\n"[..], b""] {
            let error = find_own_group(none, &TWO).unwrap_err();
            assert_eq!(error.says.unpacked(), "cannot find tracking cgroup");
        }
    }

    #[test]
    fn a_line_that_is_not_number_text_text_is_an_error_when_it_comes_first() {
        for bad in ["x:freezer:/", "1:freezer", "1", ":a:/", "-1::/"] {
            let error = find_own_group(bad.as_bytes(), &TWO).unwrap_err();
            assert!(error.says.unpacked().starts_with("cannot parse proc cgroup entry %q"));
            assert_eq!(error.one, bad.as_bytes());
        }
        assert_eq!(find_own_group(b"0::/a\nrubbish\n", &TWO), Ok(&b"/a"[..]));
    }

    #[test]
    fn the_own_group_is_known_at_any_depth_and_by_its_whole_name() {
        let own = b"/user.slice/snap.acorn.app.scope/inner";
        assert!(is_inside(own, b"snap.acorn.app.scope"));
        assert!(!is_inside(own, b"snap.acorn.app"));
        assert!(is_inside(b"/snap.acorn", b"/sys/fs/cgroup/freezer/snap.acorn"));
        assert!(is_inside(b"/lxc/c1/snap.acorn/inner", b"/sys/fs/cgroup/freezer/snap.acorn"));
        assert!(!is_inside(b"/snap.acorn_two", b"/sys/fs/cgroup/freezer/snap.acorn"));
        assert!(!is_inside(b"/", b"snap.acorn.app.scope"));
        assert!(!is_inside(b"", b"snap.acorn.app.scope"));
    }

    #[test]
    fn at_rest_is_a_whole_line() {
        assert!(has_part(b"populated 1\nfrozen 1\n", b'\n', TWO.at_rest()));
        assert!(!has_part(b"populated 1\nfrozen 0\n", b'\n', TWO.at_rest()));
        assert!(!has_part(b"populated 1\nfrozen 10\n", b'\n', TWO.at_rest()));
        assert!(!has_part(b"", b'\n', TWO.at_rest()));
    }
}
