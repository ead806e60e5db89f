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
    /// `cgroup.freeze` or `freezer.state` of each group, for writing.
    request: Vec<Fd, { FREEZE_GROUPS.max }>,
    /// `cgroup.events` or `freezer.state` of each, for reading; empty when all are at rest.
    state: Vec<Fd, { FREEZE_GROUPS.max }>,
    /// What thaws one of them.
    thaw: &'static [u8],
}

impl Frozen {
    /// Nobody is frozen.
    pub const fn new() -> Self {
        Frozen { request: Vec::new(), state: Vec::new(), thaw: b"" }
    }

    /// How many groups have been asked to freeze.
    pub fn groups(&self) -> usize {
        self.request.len()
    }

    /// Lets everybody go on. What cannot be thawed is a warning.
    pub fn thaw(&mut self, log: &mut Log) {
        self.release(|fd, errno| {
            log.warn(&|line| {
                line.put(b"cannot thaw processes in group ");
                let mut name = GroupName::new();
                line.quoted(name.of(fd));
                line.put(b": ");
                errno.write(line);
            });
        });
    }

    fn release(&mut self, mut failed: impl FnMut(&Fd, Errno)) {
        self.state.clear();
        for fd in &self.request {
            match file::write_all(fd, self.thaw) {
                Ok(()) | Err(Errno::ENODEV) => {} // ENODEV: the group is gone, and nobody was left in it
                Err(errno) => failed(fd, errno),
            }
        }
        self.request.clear();
    }

    fn add(&mut self, request: Fd, state: Fd) -> core::result::Result<(), Error<'static>> {
        // Both lists have the same capacity and length.
        self.request.push(request).map_err(|_| FREEZE_GROUPS.exceeded())?;
        self.state.push(state).map_err(|_| FREEZE_GROUPS.exceeded())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.release(|_, _| {});
    }
}

impl<'t> Freezer<'t> {
    /// Finds out which version there is. Without control groups nobody can be frozen, and that is fatal.
    pub fn new(root: &'t [u8], instance: &'t [u8]) -> Result<'t, Self> {
        let inspected = file::open_follow(root, Open::PATH).and_then(|fd| file::file_system(&fd));
        match inspected {
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
        let done = match self.version {
            Version::One => self.freeze_one(frozen, arena, log),
            Version::Two => self.freeze_two(frozen, arena, log),
        };
        match done {
            Ok(()) => log.debug(&|line| {
                line.put(b"froze ");
                line.number(frozen.groups() as u64);
                line.put(b" control groups");
            }),
            Err(_) => frozen.thaw(log),
        }
        done
    }

    /// Thaws what a run that was killed left frozen. Nothing is frozen when this is called, and the lock is held;
    /// so whatever is found frozen was forgotten. Trouble is a warning: without it nobody is worse off.
    pub fn release_stale(&self, log: &mut Log) {
        let done = match self.version {
            Version::One => self.release_stale_one(log),
            Version::Two => self.walk(None, log, &mut |parent, name, _, log| {
                let group = file::open_at(parent, name, Open::PATH_DIR, 0)?;
                let request = file::open_at(&group, b"cgroup.freeze", Open::READ, 0)?;
                if read_word(&request, &mut [0; 8])? == b"1" {
                    let request = file::open_at(&group, b"cgroup.freeze", Open::WRITE, 0)?;
                    file::write_all(&request, b"0")?;
                    tell_stale(name, log);
                }
                Ok(())
            }),
        };
        if let Err(trouble) = done {
            log.warn(&|line| {
                line.put(b"cannot look for frozen processes of snap ");
                line.quoted(self.instance);
                line.put(b": ");
                trouble.errno().write(line);
            });
        }
    }

    // Version 1.

    /// `/sys/fs/cgroup/freezer/snap.N/freezer.state`
    fn state_path(&self) -> Path {
        let mut path = Path::new();
        // A root and an instance name are far shorter than a path may be; if not, nothing will be found there.
        for part in [self.root, b"/freezer/snap.", self.instance, b"/freezer.state"] {
            let _ = path.extend_from_slice(part);
        }
        path
    }

    fn freeze_one(&self, frozen: &mut Frozen, arena: &mut Arena<'t>, log: &mut Log) -> Result<'t, ()> {
        let path = self.state_path();
        let cannot_freeze = |call: &'static str, path: &'t [u8], errno| {
            Error::call(call, path, errno).within(Within::Freezing)
        };
        let request = match file::open(&path, Open::WRITE, 0) {
            Ok(request) => request,
            Err(Errno::ENOENT) => return Ok(()), // no process of the snap ever started
            Err(errno) => return Err(cannot_freeze("open %s: %e", keep(arena, &path), errno)),
        };
        let within = |error: Error<'t>| error.within(Within::Freezing);
        if self.is_own_group(arena).map_err(within)? {
            log.debug(&|line| line.put(b"not freezing the snap's processes: this is one of them"));
            return Ok(());
        }
        let state = match file::open(&path, Open::READ, 0) {
            Ok(state) => state,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(cannot_determine(errno)),
        };
        frozen.thaw = b"THAWED";
        match file::write_all(&request, b"FROZEN") {
            Ok(()) => frozen.add(request, state).map_err(|error| error.within(Within::FinishingFreezing))?,
            Err(Errno::ENODEV) => return Ok(()),
            Err(errno) => return Err(cannot_freeze("write %s: %e", keep(arena, &path), errno)),
        }
        let (Some(request), Some(state)) = (frozen.request.first(), frozen.state.first()) else {
            return Ok(());
        };
        let deadline = Deadline::new();
        let mut pause = 1;
        let mut buffer = [0; 32];
        loop {
            let raw = match read_again(state, &mut buffer) {
                Ok(raw) => raw,
                Err(Errno::ENODEV) => return Ok(()),
                Err(errno) => return Err(cannot_determine(errno)),
            };
            let word = raw.trim_ascii();
            if word == b"FROZEN" {
                frozen.state.clear();
                return Ok(());
            }
            let Some(left) = deadline.left() else {
                let says = "cannot finish freezing processes of snap %i (freezer state: %s): context deadline exceeded";
                return Err(Error::about(says, keep(arena, raw)));
            };
            if word == b"THAWED" {
                // Somebody else thawed the group meanwhile. An error shows in the state.
                let _ = file::write_all(request, b"FROZEN");
            }
            process::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// Whether we sit in the group of the whole snap, or below it.
    fn is_own_group(&self, arena: &mut Arena<'t>) -> Result<'t, bool> {
        let mut buffer = [0; OWN_GROUPS.max];
        let groups = read_own_groups(&mut buffer)?;
        let own = find_own_group(groups, Hierarchy::Freezer).map_err(|line| bad_line(keep(arena, line)))?;
        Ok(own.is_some_and(|own| is_inside_snap_group(own, self.instance)))
    }

    fn release_stale_one(&self, log: &mut Log) -> Walked<'static> {
        let path = self.state_path();
        let state = match file::open(&path, Open::READ, 0) {
            Err(Errno::ENOENT) => return Ok(()),
            opened => opened?,
        };
        if read_word(&state, &mut [0; 32])? != b"THAWED" {
            file::write_all(&file::open(&path, Open::WRITE, 0)?, b"THAWED")?;
            tell_stale(self.instance, log);
        }
        Ok(())
    }

    // Version 2.

    fn freeze_two(&self, frozen: &mut Frozen, arena: &mut Arena<'t>, log: &mut Log) -> Result<'t, ()> {
        let mut buffer = [0; OWN_GROUPS.max];
        let groups = read_own_groups(&mut buffer).map_err(|error| error.within(Within::FinishingFreezing))?;
        let own = find_own_group(groups, Hierarchy::Unified)
            .map_err(|line| bad_line(keep(arena, line)).within(Within::FinishingFreezing))?
            .ok_or(Error::plain("cannot find tracking cgroup").within(Within::FinishingFreezing))?;
        process::raise_open_files();
        frozen.thaw = b"0";
        let mut trouble = GroupName::new();
        self.walk(Some(own), log, &mut |parent, name, is_own, log| {
            if is_own {
                log.debug(&|line| {
                    line.put(b"not freezing the own control group ");
                    line.quoted(name);
                });
                return Ok(());
            }
            match ask(parent, name, frozen) {
                Err(Trouble::Call(errno)) if !is_gone(errno) => {
                    trouble.set(name);
                    Err(Trouble::Group(errno))
                }
                other => other,
            }
        })
        .map_err(|why| match why {
            Trouble::Limit(error) => error.within(Within::FinishingFreezing),
            Trouble::Call(errno) => {
                Error::call("cannot search control groups: %e", b"", errno).within(Within::FinishingFreezing)
            }
            Trouble::Group(errno) => cannot_freeze_group(keep(arena, &trouble.bytes), errno),
        })?;
        let deadline = Deadline::new();
        for (request, state) in frozen.request.iter().zip(&frozen.state) {
            wait(request, state, &deadline).map_err(|why| {
                let mut name = GroupName::new();
                let group = keep(arena, name.of(request));
                match why {
                    Unfrozen::Request(errno) => cannot_freeze_group(group, errno),
                    Unfrozen::State(errno) => {
                        let says = "cannot determine the freeze state of processes in group %q: %e";
                        Error::call(says, group, errno).within(Within::FinishingFreezing)
                    }
                    Unfrozen::TimedOut => {
                        let says = "cannot freeze processes in group %q: context deadline exceeded";
                        Error::about(says, group).within(Within::FinishingFreezing)
                    }
                }
            })?;
        }
        frozen.state.clear();
        Ok(())
    }

    /// Calls `each` for every group of the snap with its parent, its name and whether we are in it or below.
    /// Groups of the snap are not searched for further ones. A group that vanishes meanwhile is none.
    fn walk(&self, own: Option<&[u8]>, log: &mut Log, each: &mut Visit<'_>) -> Walked<'static> {
        let mut walk = Walk { levels: Vec::new(), names: Vec::new() };
        let root = match file::open_follow(self.root, Open::READ_DIR) {
            Err(Errno::ENOENT) => return Ok(()),
            opened => opened?,
        };
        let _ = walk.levels.push(Level { directory: root, names: 0, own });
        let mut too_deep = false;
        let mut listing = [0; LISTING];
        while let Some(level) = walk.levels.last() {
            let mut name = GroupName::new();
            if walk.names.len() <= level.names {
                let more = list(&level.directory, &mut listing, &mut walk.names)?;
                if !more {
                    walk.levels.pop();
                }
                continue;
            }
            pop_name(&mut walk.names, &mut name);
            let name = name.bytes.as_slice();
            let rest = level.own.and_then(|own| step(own, name));
            if is_group_of(name, self.instance) {
                match each(&level.directory, name, rest.is_some(), log) {
                    Err(Trouble::Call(errno)) if is_gone(errno) => {}
                    done => done?,
                }
                continue;
            }
            if walk.levels.is_full() {
                too_deep = true;
                continue;
            }
            match file::open_at(&level.directory, name, Open::READ_DIR, 0) {
                Ok(directory) => {
                    let names = walk.names.len();
                    let _ = walk.levels.push(Level { directory, names, own: rest });
                }
                Err(errno) if is_gone(errno) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if too_deep {
            log.warn(&|line| {
                line.put(b"not searching control groups below ");
                line.number(CGROUP_LEVELS.max as u64);
                line.put(b" levels");
            });
        }
        Ok(())
    }
}

/// A path, or the text of one.
type Path = Vec<u8, { limits::PATH.max }>;

/// What a walk comes to.
type Walked<'t> = core::result::Result<(), Trouble<'t>>;

/// What a walk does at a group of the snap: its parent, its name, whether we are in it or below.
type Visit<'v> = dyn FnMut(&Fd, &[u8], bool, &mut Log) -> Walked<'static> + 'v;

/// Why a walk ended early.
#[derive(Clone, Copy, Debug)]
enum Trouble<'t> {
    /// The tree itself could not be read.
    Call(Errno),
    /// A group of the snap could not be frozen.
    Group(Errno),
    /// There are too many groups.
    Limit(Error<'t>),
}

impl Trouble<'_> {
    fn errno(self) -> Errno {
        match self {
            Trouble::Call(errno) | Trouble::Group(errno) => errno,
            Trouble::Limit(error) => error.errno,
        }
    }
}

impl From<Errno> for Trouble<'_> {
    fn from(errno: Errno) -> Self {
        Trouble::Call(errno)
    }
}

/// The directories from the root to where a walk is, and the names on each that are still to be visited: no
/// recursion, no seeking, and no more than one listing for each level.
struct Walk<'o> {
    levels: Vec<Level<'o>, { CGROUP_LEVELS.max }>,
    names: Vec<u8, NAMES>,
}

struct Level<'o> {
    directory: Fd,
    /// Where in the names this directory's begin.
    names: usize,
    /// When we are in this group or below it: what of our group's path is below it.
    own: Option<&'o [u8]>,
}

/// Reads the next entries of a directory, and appends the names of those that are directories. False at its end.
fn list(directory: &Fd, listing: &mut [u8], names: &mut Vec<u8, NAMES>) -> core::result::Result<bool, Errno> {
    let listed = file::list(directory, listing, |entry| {
        if matches!(entry.kind, Some(FileType::Directory) | None)
            && let Ok(len) = u8::try_from(entry.name.len())
        {
            let _ = names.extend_from_slice(entry.name);
            let _ = names.push(len);
        }
        true
    });
    match listed {
        Err(errno) if is_gone(errno) => Ok(false),
        other => other,
    }
}

/// Takes the last name off the names.
fn pop_name(names: &mut Vec<u8, NAMES>, name: &mut GroupName) {
    let len = usize::from(names.pop().unwrap_or(0));
    let start = names.len().saturating_sub(len);
    name.set(names.get(start..).unwrap_or_default());
    names.truncate(start);
}

/// The name of a group for a sentence.
struct GroupName {
    bytes: Path,
}

impl GroupName {
    const fn new() -> Self {
        GroupName { bytes: Vec::new() }
    }

    fn set(&mut self, name: &[u8]) {
        self.bytes.clear();
        let _ = self.bytes.extend_from_slice(name);
    }

    /// The directory of an open file, as the kernel knows it now; just `?` when it does not say.
    fn of(&mut self, fd: &Fd) -> &[u8] {
        let mut text = [0; limits::PATH.max];
        let path = file::path_of(fd, &mut text);
        let path = path.unwrap_or(b"?");
        let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(path.len());
        self.set(path.get(..end).unwrap_or_default());
        &self.bytes
    }
}

/// Asks one group to freeze, and keeps its files.
fn ask(parent: &Fd, name: &[u8], frozen: &mut Frozen) -> Walked<'static> {
    let group = file::open_at(parent, name, Open::PATH_DIR, 0)?;
    // Opened before the request is made, so that no change can be missed.
    let state = file::open_at(&group, b"cgroup.events", Open::READ, 0)?;
    let request = file::open_at(&group, b"cgroup.freeze", Open::WRITE, 0)?;
    frozen.add(request, state).map_err(Trouble::Limit)?;
    if let Some(request) = frozen.request.last()
        && let Err(errno) = file::write_all(request, b"1")
    {
        frozen.request.pop();
        frozen.state.pop();
        return Err(errno.into());
    }
    Ok(())
}

/// Why a group is not at rest.
enum Unfrozen {
    Request(Errno),
    State(Errno),
    TimedOut,
}

/// Waits until a group is at rest. When somebody else thaws it meanwhile, it is asked again.
fn wait(request: &Fd, state: &Fd, deadline: &Deadline) -> core::result::Result<(), Unfrozen> {
    let mut buffer = [0; 256];
    loop {
        match read_again(state, &mut buffer) {
            Ok(events) if is_at_rest(events) => return Ok(()),
            Ok(_) => {}
            Err(Errno::ENODEV) => return Ok(()),
            Err(errno) => return Err(Unfrozen::State(errno)),
        }
        let left = deadline.left().ok_or(Unfrozen::TimedOut)?;
        process::wait_for_change(state, left.min(PAUSE));
        // The kernel does nothing when this is what it was asked before.
        match file::write_all(request, b"1") {
            Ok(()) => {}
            Err(Errno::ENODEV) => return Ok(()),
            Err(errno) => return Err(Unfrozen::Request(errno)),
        }
    }
}

/// When patience ends.
struct Deadline(u64);

impl Deadline {
    fn new() -> Self {
        Deadline(process::uptime().milliseconds() + limits::FREEZE_MILLISECONDS)
    }

    /// Milliseconds that are left; none when there are none.
    fn left(&self) -> Option<u64> {
        self.0.checked_sub(process::uptime().milliseconds()).filter(|left| *left > 0)
    }
}

/// The group, or a directory on the way to it, was removed meanwhile: kernfs says `ENODEV` for open files.
fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV | Errno::ENOTDIR)
}

fn is_at_rest(events: &[u8]) -> bool {
    events.split(|byte| *byte == b'\n').any(|line| line == b"frozen 1")
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

/// The tree whose own group is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hierarchy {
    /// Version 1 with the freezer.
    Freezer,
    /// Version 2: number 0.
    Unified,
}

/// Our group's path in one tree; the line that cannot be understood is the error.
fn find_own_group(groups: &[u8], tree: Hierarchy) -> core::result::Result<Option<&[u8]>, &[u8]> {
    for line in groups.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        // number:controllers:path, and a path may have colons
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(line);
        };
        if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
            return Err(line);
        }
        let found = match tree {
            Hierarchy::Unified => number.iter().all(|digit| *digit == b'0'),
            Hierarchy::Freezer => controllers.split(|byte| *byte == b',').any(|name| name == b"freezer"),
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
            0 => break,
            got => filled += got,
        }
    }
    Ok(buffer.get(..filled).unwrap_or_default())
}

/// Reads a small file of a control group from its start.
fn read_again<'b>(fd: &Fd, buffer: &'b mut [u8]) -> kernel::Result<&'b [u8]> {
    file::seek(fd, 0)?;
    let got = file::read(fd, buffer)?;
    Ok(buffer.get(..got).unwrap_or_default())
}

/// The only word of a small file.
fn read_word<'b>(fd: &Fd, buffer: &'b mut [u8]) -> kernel::Result<&'b [u8]> {
    read_again(fd, buffer).map(<[u8]>::trim_ascii)
}

/// Keeps bytes for a sentence; without room for them the sentence has to do without.
fn keep<'t>(arena: &mut Arena<'t>, bytes: &[u8]) -> &'t [u8] {
    arena.concat(&[bytes]).unwrap_or(b"?")
}

fn tell_stale(name: &[u8], log: &mut Log) {
    log.warn(&|line| {
        line.put(b"thawed processes that an earlier update left frozen: ");
        line.quoted(name);
    });
}

fn bad_line(line: &[u8]) -> Error<'_> {
    Error::about("cannot parse proc cgroup entry %q: expected number:controllers:path", line)
}

fn cannot_determine<'t>(errno: Errno) -> Error<'t> {
    Error::call("cannot determine the freeze state of processes of snap %i, %e", b"", errno)
}

fn cannot_freeze_group(group: &[u8], errno: Errno) -> Error<'_> {
    Error::call("cannot freeze processes in group %q: %e", group, errno).within(Within::FinishingFreezing)
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
        assert_eq!(find_own_group(groups, Hierarchy::Freezer), Ok(Some(&b"/snap.acorn/x:y"[..])));
        assert_eq!(find_own_group(groups, Hierarchy::Unified), Ok(Some(&b"/user.slice/z.scope"[..])));
        assert_eq!(find_own_group(b"1:name=systemd:/\n", Hierarchy::Unified), Ok(None));
        assert_eq!(find_own_group(b"0::/\n", Hierarchy::Freezer), Ok(None));
        assert_eq!(find_own_group(b"", Hierarchy::Unified), Ok(None));
    }

    #[test]
    fn a_line_that_is_not_number_text_text_is_an_error_when_it_comes_first() {
        for bad in ["x:freezer:/", "1:freezer", "1", ":a:/", "-1::/"] {
            assert_eq!(find_own_group(bad.as_bytes(), Hierarchy::Unified), Err(bad.as_bytes()));
        }
        assert_eq!(find_own_group(b"0::/a\nrubbish\n", Hierarchy::Unified), Ok(Some(&b"/a"[..])));
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
        assert!(is_at_rest(b"populated 1\nfrozen 1\n"));
        assert!(!is_at_rest(b"populated 1\nfrozen 0\n"));
        assert!(!is_at_rest(b"populated 1\nfrozen 10\n"));
        assert!(!is_at_rest(b""));
    }
}
