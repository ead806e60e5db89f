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

use crate::error::{Errno, Error, Result, Within};
use crate::kernel::file::{self, FileSystem, FileType, Open};
use crate::kernel::{self, Fd, process};
use crate::limits::{self, CGROUP_LEVELS, FREEZE_GROUPS, OWN_GROUPS};
use crate::log::Log;
use crate::text::arena::Arena;
use crate::text::number::parse_u32;
use crate::text::{Out, path};
use heapless::Vec;

/// Where the control groups are, but in tests.
pub const ROOT: &[u8] = b"/sys/fs/cgroup";
/// Where the own control groups are told.
const OWN_GROUPS_FILE: &[u8] = b"/proc/self/cgroup";

/// Bytes of a directory that are read at once.
const LISTING: usize = 4_096;
/// Every name that one listing brings, on every level; each with a byte for its length, which is less than what
/// the kernel puts around it.
const NAMES: usize = LISTING * CGROUP_LEVELS.max;
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
struct Words {
    /// The file that takes the request; it says the same for as long as nothing else was asked for.
    request: &'static [u8],
    freeze: &'static [u8],
    thaw: &'static [u8],
    /// The file that tells whether it is so, by a line.
    state: &'static [u8],
    at_rest: &'static [u8],
    /// What is said when a request cannot be made: about the file's path in version 1, about the group in 2.
    cannot_open: &'static str,
    cannot_write: &'static str,
    requesting: Within,
    /// What is said while waiting: about the state that was seen in version 1, about the group in 2.
    cannot_read: &'static str,
    too_late: &'static str,
    waiting: Within,
}

const ONE: Words = Words {
    request: b"freezer.state",
    freeze: b"FROZEN",
    thaw: b"THAWED",
    state: b"freezer.state",
    at_rest: b"FROZEN",
    cannot_open: "open %s: %e",
    cannot_write: "write %s: %e",
    requesting: Within::Freezing,
    cannot_read: "cannot determine the freeze state of processes of snap %i, %e",
    too_late: "cannot finish freezing processes of snap %i (freezer state: %s): context deadline exceeded",
    waiting: Within::Nothing,
};

const TWO: Words = Words {
    request: b"cgroup.freeze",
    freeze: b"1",
    thaw: b"0",
    state: b"cgroup.events",
    at_rest: b"frozen 1",
    cannot_open: "cannot freeze processes in group %q: %e",
    cannot_write: "cannot freeze processes in group %q: %e",
    requesting: Within::FinishingFreezing,
    cannot_read: "cannot determine the freeze state of processes in group %q: %e",
    too_late: "cannot freeze processes in group %q: context deadline exceeded",
    waiting: Within::FinishingFreezing,
};

impl Version {
    fn words(self) -> &'static Words {
        match self {
            Version::One => &ONE,
            Version::Two => &TWO,
        }
    }
}

/// How the processes of one snap can be frozen here.
#[derive(Clone, Copy, Debug)]
pub struct Freezer<'t> {
    root: &'t [u8],
    version: Version,
    instance: &'t [u8],
}

/// Groups that were asked to freeze. They are thawed when this is dropped, if not before.
///
/// The descriptors are kept, so exactly those groups are thawed that were frozen, wherever they are by then.
#[derive(Debug, Default)]
pub struct Frozen {
    groups: Vec<Group, { FREEZE_GROUPS.max }>,
    /// What thaws one of them.
    thaw: &'static [u8],
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
        Frozen { groups: Vec::new(), thaw: b"" }
    }

    /// How many groups have been asked to freeze.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Lets everybody go on. What cannot be thawed is a warning.
    pub fn thaw(&mut self, log: &mut Log) {
        self.release(Some(log));
    }

    #[inline(never)]
    fn release(&mut self, mut log: Option<&mut Log>) {
        for Group { request, .. } in &self.groups {
            match (file::write_all(request, self.thaw), &mut log) {
                // ENODEV: the group is gone, and nobody was left in it
                (Err(errno), Some(log)) if errno != Errno::ENODEV => {
                    let mut name = [0; limits::PATH.max];
                    let name = group_of(request, &mut name);
                    log.warning(&Error::call("cannot thaw processes in group %q: %e", name, errno));
                }
                _ => {}
            }
        }
        self.groups.clear();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.release(None);
    }
}

impl<'t> Freezer<'t> {
    /// Finds out which version there is. Without control groups nobody can be frozen, and that is fatal.
    pub fn new(root: &'t [u8], instance: &'t [u8]) -> Result<'t, Self> {
        match file::open_follow(root, Open::PATH).and_then(|fd| file::file_system(&fd)) {
            Ok(fs) => {
                let version = if fs.magic == FileSystem::CGROUP2 { Version::Two } else { Version::One };
                Ok(Freezer { root, version, instance })
            }
            Err(_) => Err(Error::plain("FreezeSnapProcesses not implemented")),
        }
    }

    /// Which version there is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Freezes the snap's processes and waits until they are at rest, all together for at most
    /// [`limits::FREEZE_MILLISECONDS`]. On an error everybody has been thawed again.
    pub fn freeze(&self, frozen: &mut Frozen, arena: &mut Arena<'t>, log: &mut Log) -> Result<'t, ()> {
        let done = self.ask_all(frozen, arena, log).and_then(|()| self.wait_all(frozen, arena));
        match done {
            Ok(()) => {
                let number = frozen.groups() as u32;
                log.detail(&Error::count("froze %n control groups", b"", Errno::NONE, number));
            }
            Err(_) => frozen.thaw(log),
        }
        done
    }

    /// Thaws what a run that was killed left frozen. Nothing is frozen when this is called, and the lock is held;
    /// so whatever is found frozen was forgotten. Trouble is a warning: without it nobody is worse off.
    pub fn release_stale(&self, log: &mut Log) {
        let done = match self.version {
            Version::One => {
                let group = file::open_follow(&self.group_path(), Open::PATH_DIR);
                self.release_group(group, self.instance, log)
            }
            Version::Two => self.walk(None, log, &mut |parent, name, _, log| {
                self.release_group(file::open_at(parent, name, Open::PATH_DIR, 0), name, log)
            }),
        };
        if let Err(trouble) = done {
            let says = "cannot look for frozen processes of snap %q: %e";
            log.warning(&Error::call(says, self.instance, trouble.errno));
        }
    }

    /// Thaws one group, if it is frozen.
    fn release_group(&self, group: kernel::Result<Fd>, name: &[u8], log: &mut Log) -> Result<'static, ()> {
        let words = self.version.words();
        let mut buffer = [0; 32];
        let done = group.and_then(|group| {
            let request = file::open_at(&group, words.request, Open::READ, 0)?;
            if file::read_once(&request, &mut buffer)?.trim_ascii() == words.thaw {
                return Ok(());
            }
            let request = file::open_at(&group, words.request, Open::WRITE, 0)?;
            file::write_all(&request, words.thaw)?;
            log.warning(&Error::about("thawed processes that an earlier update left frozen: %q", name));
            Ok(())
        });
        match done {
            Err(errno) if !is_gone(errno) => Err(cannot_search(errno)),
            _ => Ok(()),
        }
    }

    /// The group of version 1, `/sys/fs/cgroup/freezer/snap.N`.
    fn group_path(&self) -> Path {
        let mut path = Path::new();
        // A root and an instance name are far shorter than a path may be; if not, nothing will be found there.
        for part in [self.root, b"/freezer/snap.", self.instance] {
            path.put(part);
        }
        path
    }

    /// Asks every group of the snap to freeze, but our own.
    fn ask_all(&self, frozen: &mut Frozen, arena: &mut Arena<'t>, log: &mut Log) -> Result<'t, ()> {
        frozen.thaw = self.version.words().thaw;
        let mut buffer = [0; OWN_GROUPS.max];
        match self.version {
            Version::One => {
                let mut path = self.group_path();
                let group = file::open_follow(&path, Open::PATH_DIR);
                if matches!(group, Err(Errno::ENOENT)) {
                    return Ok(()); // no process of the snap ever started
                }
                let own = self.own_group(&mut buffer, arena)?;
                if own.is_some_and(|own| is_inside_snap_group(own, self.instance)) {
                    log.detail(&Error::plain("not freezing the snap's processes: this is one of them"));
                    return Ok(());
                }
                path.put(b"/freezer.state");
                self.ask(group, &path, frozen, arena)
            }
            Version::Two => {
                let Some(own) = self.own_group(&mut buffer, arena)? else {
                    return Err(Error::plain("cannot find tracking cgroup").within(TWO.requesting));
                };
                process::raise_open_files();
                self.walk(Some(own), log, &mut |parent, name, is_own, log| {
                    if is_own {
                        log.detail(&Error::about("not freezing the own control group %q", name));
                        return Ok(());
                    }
                    self.ask(file::open_at(parent, name, Open::PATH_DIR, 0), name, frozen, arena)
                })
                .map_err(|error| error.within(TWO.requesting))
            }
        }
    }

    /// Asks one group to freeze, and keeps its files. A group that is gone is none. `about` is what an error is
    /// about.
    fn ask(
        &self,
        group: kernel::Result<Fd>,
        about: &[u8],
        frozen: &mut Frozen,
        arena: &mut Arena<'t>,
    ) -> Result<'t, ()> {
        let words = self.version.words();
        if frozen.groups.is_full() {
            return Err(FREEZE_GROUPS.exceeded());
        }
        let opened = group.and_then(|group| {
            // Opened before the request is made, so that no change can be missed.
            let request = file::open_at(&group, words.request, Open::WRITE, 0)?;
            Ok(Group { request, state: file::open_at(&group, words.state, Open::READ, 0)? })
        });
        let (says, errno) = match opened {
            Ok(group) => match file::write_all(&group.request, words.freeze) {
                Ok(()) => {
                    let _ = frozen.groups.push(group);
                    return Ok(());
                }
                Err(errno) => (words.cannot_write, errno),
            },
            Err(errno) => (words.cannot_open, errno),
        };
        if is_gone(errno) {
            return Ok(());
        }
        Err(Error::call(says, keep(arena, about), errno).within(words.requesting))
    }

    /// Waits until all groups are at rest. When somebody else thaws one meanwhile, it is asked again.
    fn wait_all(&self, frozen: &Frozen, arena: &mut Arena<'t>) -> Result<'t, ()> {
        let words = self.version.words();
        let deadline = process::uptime().milliseconds() + limits::FREEZE_MILLISECONDS;
        for group in &frozen.groups {
            let mut pause = 1;
            let mut buffer = [0; 256];
            let (text, says, errno) = loop {
                let text =
                    file::rewind(&group.state).and_then(|()| file::read_once(&group.state, &mut buffer));
                let text = match text {
                    Ok(text) if has(text, b'\n', words.at_rest) => break (text, "", Errno::NONE),
                    Ok(text) => text,
                    Err(Errno::ENODEV) => break (b"".as_slice(), "", Errno::NONE),
                    Err(errno) => break (b"".as_slice(), words.cannot_read, errno),
                };
                let now = process::uptime().milliseconds();
                if now >= deadline {
                    // Borrowed from the buffer only here, where it is not written to again.
                    break (keep(arena, text), words.too_late, Errno::NONE);
                }
                let is_asked = self.version == Version::One && !has(text, b'\n', words.thaw);
                process::wait_for_change(&group.state, pause.min(deadline - now));
                pause = (pause * 2).min(PAUSE);
                if !is_asked {
                    // Version 2 does nothing when this is what it was asked before. An error shows in the state.
                    let _ = file::write_all(&group.request, words.freeze);
                }
            };
            if says.is_empty() {
                continue;
            }
            let mut name = [0; limits::PATH.max];
            let about = match self.version {
                Version::One => text,
                Version::Two => group_of(&group.request, &mut name),
            };
            return Err(Error::call(says, keep(arena, about), errno).within(words.waiting));
        }
        Ok(())
    }

    /// The path of the group that we are in ourselves.
    fn own_group<'b>(
        &self,
        buffer: &'b mut [u8; OWN_GROUPS.max],
        arena: &mut Arena<'t>,
    ) -> Result<'t, Option<&'b [u8]>> {
        read_own_groups(buffer)
            .and_then(|groups| {
                find_own_group(groups, self.version).map_err(|line| {
                    let says = "cannot parse proc cgroup entry %q: expected number:controllers:path";
                    Error::about(says, keep(arena, line))
                })
            })
            .map_err(|error| error.within(self.version.words().requesting))
    }

    /// Calls `each` for every group of the snap in the tree of version 2 with its parent, its name and whether we
    /// are in it or below. Groups of the snap are not searched for further ones. A group that vanishes meanwhile is
    /// none.
    ///
    /// The directories from the root to where we are are kept, and the names in each that are still to be visited:
    /// no recursion, no seeking, and no more than one listing for each level.
    fn walk(&self, own: Option<&[u8]>, log: &mut Log, each: &mut Visit<'_, 't>) -> Result<'t, ()> {
        let mut levels: Vec<Level<'_>, { CGROUP_LEVELS.max }> = Vec::new();
        let mut names: Vec<u8, NAMES> = Vec::new();
        let mut listing = [0; LISTING];
        let mut too_deep = false;
        let mut next = Some((file::open_follow(self.root, Open::READ_DIR), own, 0));
        loop {
            match next.take() {
                Some((Ok(directory), own, names)) => drop(levels.push(Level { directory, own, names })),
                Some((Err(errno), ..)) if !is_gone(errno) => return Err(cannot_search(errno)),
                _ => {}
            }
            let Some(level) = levels.last() else { break };
            if names.len() <= level.names {
                let more = file::list(&level.directory, &mut listing, |entry| {
                    if matches!(entry.kind, Some(FileType::Directory) | None)
                        && let Ok(len) = u8::try_from(entry.name.len())
                    {
                        names.put(entry.name);
                        names.put(&[len]);
                    }
                    true
                });
                match more {
                    Ok(true) => {}
                    Err(errno) if !is_gone(errno) => return Err(cannot_search(errno)),
                    _ => drop(levels.pop()),
                }
                continue;
            }
            let len = usize::from(names.pop().unwrap_or(0));
            let start = names.len().saturating_sub(len);
            let name = names.get(start..).unwrap_or_default();
            let own = level.own.and_then(|own| step(own, name));
            if is_group_of(name, self.instance) {
                each(&level.directory, name, own.is_some(), log)?;
            } else if levels.is_full() {
                too_deep = true;
            } else {
                next = Some((file::open_at(&level.directory, name, Open::READ_DIR, 0), own, start));
            }
            names.truncate(start);
        }
        if too_deep {
            let number = CGROUP_LEVELS.max as u32;
            log.warning(&Error::count(
                "not searching control groups below %n levels",
                b"",
                Errno::NONE,
                number,
            ));
        }
        Ok(())
    }
}

/// A path, or the text of one.
type Path = Vec<u8, { limits::PATH.max }>;

/// What a walk does at a group of the snap: its parent, its name, whether we are in it or below.
type Visit<'v, 't> = dyn FnMut(&Fd, &[u8], bool, &mut Log) -> Result<'t, ()> + 'v;

/// A directory on the way from the root to where a walk is.
struct Level<'o> {
    directory: Fd,
    /// When we are in this group or below it: what of our group's path is below it.
    own: Option<&'o [u8]>,
    /// Where in the names this directory's begin.
    names: usize,
}

/// The group of an open file, as the kernel knows it now; just `?` when it does not say.
#[inline(never)]
fn group_of<'b>(fd: &Fd, buffer: &'b mut [u8]) -> &'b [u8] {
    path::parent(file::path_of(fd, buffer).unwrap_or(b"?/"))
}

/// The group, or a directory on the way to it, was removed meanwhile: kernfs says `ENODEV` for open files.
fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV | Errno::ENOTDIR)
}

/// Whether one of the parts of a text, with `separator` between them, is the word.
#[inline(never)]
fn has(text: &[u8], separator: u8, word: &[u8]) -> bool {
    text.split(|byte| *byte == separator).any(|part| part == word)
}

/// Whether `name` is a group of programs of the snap: `snap.N.*.scope` or `snap.N.*.service`.
fn is_group_of(name: &[u8], instance: &[u8]) -> bool {
    name.strip_prefix(b"snap.")
        .and_then(|rest| rest.strip_prefix(instance))
        .is_some_and(|rest| rest.starts_with(b"."))
        && (name.ends_with(b".scope") || name.ends_with(b".service"))
}

/// What is left of the path `own` below its first component, when that is `name`.
fn step<'o>(own: &'o [u8], name: &[u8]) -> Option<&'o [u8]> {
    let rest = own.strip_prefix(b"/")?.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// Whether a path of version 1 goes through `snap.N`. It need not begin there: in a container the path may be
/// told from further up than the tree is mounted. Too careful here means unfrozen, too careless hangs for ever.
fn is_inside_snap_group(own: &[u8], instance: &[u8]) -> bool {
    own.split(|byte| *byte == b'/').any(|name| name.strip_prefix(b"snap.") == Some(instance))
}

/// Our group's path in the tree of version 2 or in that of version 1 with the freezer; the line that cannot be
/// understood is the error.
fn find_own_group(groups: &[u8], version: Version) -> core::result::Result<Option<&[u8]>, &[u8]> {
    for line in groups.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        // number:controllers:path, and a path may have colons
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (number, controllers) = (fields.next().and_then(parse_u32), fields.next());
        let (Some(number), Some(controllers), Some(path)) = (number, controllers, fields.next()) else {
            return Err(line);
        };
        let found = match version {
            Version::One => has(controllers, b',', b"freezer"),
            Version::Two => number == 0,
        };
        if found {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn read_own_groups(buffer: &mut [u8; OWN_GROUPS.max]) -> Result<'static, &[u8]> {
    let failed = |errno| Error::call("open %s: %e", OWN_GROUPS_FILE, errno);
    let file = file::open(OWN_GROUPS_FILE, Open::READ, 0).map_err(failed)?;
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).unwrap_or_default();
        if room.is_empty() {
            return Err(OWN_GROUPS.exceeded());
        }
        match file::read(&file, room).map_err(failed)? {
            0 => return Ok(buffer.get(..filled).unwrap_or_default()),
            got => filled += got,
        }
    }
}

/// Keeps bytes for a sentence; without room for them the sentence has to do without.
fn keep<'t>(arena: &mut Arena<'t>, bytes: &[u8]) -> &'t [u8] {
    arena.concat(&[bytes]).unwrap_or(b"?")
}

fn cannot_search<'t>(errno: Errno) -> Error<'t> {
    Error::call("cannot search control groups: %e", b"", errno)
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
            assert!(is_group_of(yes.as_bytes(), b"acorn"), "{yes}");
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
            assert!(!is_group_of(no.as_bytes(), b"acorn"), "{no}");
        }
        assert!(is_group_of(b"snap.acorn_two.app.scope", b"acorn_two"));
    }

    #[test]
    fn the_own_group_is_found_in_either_tree() {
        let groups =
            b"12:memory:/a\n6:cpu,freezer:/snap.acorn/x:y\n1:name=systemd:/\n0::/user.slice/z.scope\n";
        assert_eq!(find_own_group(groups, Version::One), Ok(Some(&b"/snap.acorn/x:y"[..])));
        assert_eq!(find_own_group(groups, Version::Two), Ok(Some(&b"/user.slice/z.scope"[..])));
        assert_eq!(find_own_group(b"1:name=systemd:/\n", Version::Two), Ok(None));
        assert_eq!(find_own_group(b"0::/\n", Version::One), Ok(None));
        assert_eq!(find_own_group(b"", Version::Two), Ok(None));
    }

    #[test]
    fn a_line_that_is_not_number_text_text_is_an_error_when_it_comes_first() {
        for bad in ["x:freezer:/", "1:freezer", "1", ":a:/", "-1::/"] {
            assert_eq!(find_own_group(bad.as_bytes(), Version::Two), Err(bad.as_bytes()));
        }
        assert_eq!(find_own_group(b"0::/a\nrubbish\n", Version::Two), Ok(Some(&b"/a"[..])));
    }

    #[test]
    fn the_way_to_the_own_group_is_followed_by_whole_names() {
        let own = b"/user.slice/snap.acorn.app.scope/inner".as_slice();
        let below = step(own, b"user.slice").unwrap();
        assert_eq!(step(own, b"user"), None);
        assert_eq!(step(below, b"snap.acorn.app.scope"), Some(&b"/inner"[..]));
        assert_eq!(step(b"/inner", b"inner"), Some(&b""[..]));
        assert_eq!(step(b"", b"inner"), None);
        assert_eq!(step(b"/", b"inner"), None);
    }

    #[test]
    fn version_one_knows_its_own_group_at_any_depth() {
        assert!(is_inside_snap_group(b"/snap.acorn", b"acorn"));
        assert!(is_inside_snap_group(b"/lxc/c1/snap.acorn/inner", b"acorn"));
        assert!(!is_inside_snap_group(b"/snap.acorn_two", b"acorn"));
        assert!(!is_inside_snap_group(b"/", b"acorn"));
    }

    #[test]
    fn at_rest_is_a_whole_line() {
        assert!(has(b"populated 1\nfrozen 1\n", b'\n', TWO.at_rest));
        assert!(!has(b"populated 1\nfrozen 0\n", b'\n', TWO.at_rest));
        assert!(!has(b"populated 1\nfrozen 10\n", b'\n', TWO.at_rest));
        assert!(!has(b"", b'\n', TWO.at_rest));
    }
}
