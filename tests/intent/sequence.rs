// SPDX-License-Identifier: GPL-3.0-only
//! Random sequences: what is desired at each step, and what happens to the world between the steps. The same seed
//! gives the same sequence.

use std::fmt;
use std::path::Path;

/// A few bits at a time; splitmix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True in so many cases of a hundred.
    pub fn percent(&mut self, n: usize) -> bool {
        self.below(100) < n
    }

    pub fn pick<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[self.below(list.len())]
    }
}

/// A line of the desired profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub dir: String,
    pub fstype: &'static str,
    pub options: String,
}

impl Entry {
    pub fn has(&self, word: &str) -> bool {
        self.options.split(',').any(|option| option == word)
    }

    pub fn is_bind(&self) -> bool {
        self.has("bind") || self.has("rbind")
    }

    pub fn is_mount(&self) -> bool {
        self.is_bind() || self.fstype != "none"
    }

    fn is_file(&self) -> bool {
        self.has("x-snapd.kind=file")
    }

    pub fn is_no_directory(&self) -> bool {
        self.is_file() || self.has("x-snapd.kind=symlink")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} {} {} 0 0", self.name, self.dir, self.fstype, self.options)
    }
}

/// What happens to the world, whatever the namespace makes of it; a fresh world gets it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A directory of the host is replaced by another one with other content, by rename.
    ReplaceDirectory(&'static str),
    /// A file of the host is replaced by rename.
    ReplaceFile(&'static str),
}

/// What happens to the namespace only, or to its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disturb {
    /// Somebody detaches what is mounted there.
    Detach(String),
    /// The source of an entry is bound at its target once more.
    Again(String, String),
    /// Somebody binds something else there, and takes it away again in the end.
    Foreign(String),
    /// Somebody removes the link.
    Unlink(String),
    /// The record loses the line of a target.
    LoseLine(String),
    /// The record is lost, but for the line of the root.
    LoseRecord,
    /// The record is in the reverse order, as versions 2.5x left it.
    Reversed,
    /// The record is there, and once more in the reverse order.
    Twice,
    /// The notes beside the record are lost.
    LoseNotes,
}

impl Disturb {
    /// Whether it makes sense where this was desired before.
    pub fn fits(&self, before: &[Entry]) -> bool {
        let has = |dir: &str, name: Option<&str>| {
            before.iter().any(|entry| entry.dir == dir && name.is_none_or(|name| entry.name == name))
        };
        match self {
            Disturb::Detach(dir) | Disturb::Foreign(dir) | Disturb::Unlink(dir) | Disturb::LoseLine(dir) => {
                has(dir, None)
            }
            Disturb::Again(name, dir) => has(dir, Some(name)),
            Disturb::LoseRecord | Disturb::Reversed | Disturb::Twice | Disturb::LoseNotes => true,
        }
    }
}

/// What is desired from now on, after what has happened before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub edits: Vec<Edit>,
    pub disturb: Vec<Disturb>,
    pub profile: Vec<Entry>,
}

/// A sequence. What was disturbed is put right by the step of the disturbance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    pub steps: Vec<Step>,
    /// Started by snapd, not by snap-confine.
    pub by_snapd: bool,
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.by_snapd {
            writeln!(f, "started by snapd")?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "step {}:", at + 1)?;
            for edit in &step.edits {
                writeln!(f, "    world: {edit:?}")?;
            }
            for disturb in &step.disturb {
                writeln!(f, "    by hand: {disturb:?}")?;
            }
            for entry in &step.profile {
                writeln!(f, "    {entry}")?;
            }
        }
        Ok(())
    }
}

const DIRECTORIES: &[&str] = &[
    "/snap/birch/1/export",
    "/snap/birch/1/more",
    "/var/snap/acorn/common/a",
    "/var/snap/acorn/common/b",
    "/var/snap/acorn/common/c",
    "/var/snap/birch/common/shared",
    "/var/snap/acorn/common/tree",
    "/snap/acorn/1/data",
    "/snap/acorn/1/lib",
    "/usr/share/doc",
];

/// Created when a layout or content needs them.
const NEW_SOURCES: &[&str] = &["/var/snap/acorn/common/newsource", "/var/snap/birch/common/newsource/two"];

const FILES: &[&str] =
    &["/var/snap/acorn/common/conf", "/snap/acorn/1/settings", "/etc/hosts", "/opt/readme"];

const TARGETS: &[&str] = &[
    // there, read-only
    "/opt/spare",
    "/opt/box",
    "/opt/depot",
    "/opt/depot/inner",
    "/srv/site",
    "/usr/share/doc",
    "/usr/share/fonts",
    "/snap/acorn/1/import",
    "/snap/acorn/1/data",
    "/var/cache",
    // there, writable
    "/etc/sub",
    "/etc/foo.d",
    "/var/snap/acorn/common/d",
    // missing, need a mimic
    "/opt/new",
    "/opt/new/deep",
    "/opt/depot/new",
    "/opt/depot/inner/new",
    "/usr/share/new",
    "/usr/share/fonts/new/deep",
    "/usr/share/fonts/new/wide",
    "/snap/acorn/1/import/new",
    "/snap/acorn/1/import/new2",
    "/snap/acorn/1/new",
    "/etc/new",
    "/etc/sub/new",
    "/etc/foo.d/new",
    "/srv/new",
    "/var/cache/new",
    // missing, can be made
    "/var/snap/acorn/common/new",
    "/var/snap/acorn/common/new/deep/deep",
    "/var/snap/acorn/common/a/new",
    "/tmp/new",
    "/new",
    // in what others mount
    "/opt/spare/new",
    "/srv/site/new",
    "/opt/new/new",
];

const FILE_TARGETS: &[&str] =
    &["/opt/readme", "/etc/hosts", "/snap/acorn/1/settings", "/var/snap/acorn/common/d/v"];

fn covers(above: &str, below: &str) -> bool {
    Path::new(below).starts_with(above)
}

fn origin(dice: &mut Dice) -> &'static str {
    const ORIGINS: &[&str] =
        &["", "", "", "", ",x-snapd.origin=layout", ",x-snapd.origin=layout", ",x-snapd.origin=overname"];
    ORIGINS[dice.below(ORIGINS.len())]
}

/// An entry for a target, if one can be thought of.
fn entry(dice: &mut Dice, dir: &str, others: &[Entry], refreshed: bool) -> Option<Entry> {
    let is_there = FILE_TARGETS.contains(&dir);
    let is_file = is_there || (dir.contains("new") && dice.percent(15));
    let mut origin = origin(dice);
    if origin.ends_with("overname") && !dice.percent(30) {
        origin = "";
    }
    let ro = if dice.percent(30) { ",ro" } else { "" };
    let made = |name: &str, fstype, options: String| {
        Some(Entry { name: name.to_string(), dir: dir.to_string(), fstype, options })
    };
    if is_file {
        let source = *dice.pick(FILES);
        return match source == dir {
            true => None,
            false => made(source, "none", format!("bind{ro},x-snapd.kind=file{origin}")),
        };
    }
    if dir.contains("new") && dice.percent(15) {
        let text = dice.pick(&["conf", "/etc/hosts", "../a"]);
        return made("none", "none", format!("x-snapd.kind=symlink,x-snapd.symlink={text}{origin}"));
    }
    if dice.percent(12) {
        return made("tmpfs", "tmpfs", format!("mode=0755{origin}"));
    }
    if dir.starts_with("/var/snap/acorn/common/new") && dice.percent(30) {
        let anchor = "x-snapd.must-exist-dir=/var/snap/acorn/common";
        return made("none", "none", format!("x-snapd.kind=ensure-dir,{anchor}"));
    }
    // What others mount is a source as well.
    let theirs: Vec<&str> =
        others.iter().filter(|e| e.is_mount() && !e.is_file()).map(|e| e.dir.as_str()).collect();
    let source = match () {
        () if !theirs.is_empty() && dice.percent(30) => dice.pick(&theirs).to_string(),
        () if origin.ends_with("layout") && dice.percent(10) => dice.pick(NEW_SOURCES).to_string(),
        () => dice.pick(DIRECTORIES).to_string(),
    };
    let source = if refreshed { source.replace("birch/1", "birch/2") } else { source };
    if covers(&source, dir) || covers(dir, &source) {
        return None;
    }
    // A recursive bind that becomes a plain one keeps what is mounted below it: more may be there than was asked for.
    let recursive = dice.percent(30) || source.ends_with("/tree");
    let bind = if recursive { "rbind" } else { "bind" };
    made(&source, "none", format!("{bind}{ro}{origin}"))
}

fn add(dice: &mut Dice, profile: &mut Vec<Entry>, stays: &[String], refreshed: bool) {
    let dir = match dice.percent(10) {
        true => *dice.pick(FILE_TARGETS),
        false => *dice.pick(TARGETS),
    };
    put(dice, profile, dir, stays, refreshed);
}

/// Directories that are made in the snap's own data, or in a mimic that stays, and never removed, by contract: those that
/// are to be there, those that are a source, and those on the way. Only another directory can be had there later.
pub fn remember_what_stays(stays: &mut Vec<String>, profile: &[Entry]) {
    for entry in profile {
        let itself = entry.has("x-snapd.kind=ensure-dir");
        let on_the_way = Path::new(&entry.dir).ancestors().skip(usize::from(!itself));
        let source = if entry.is_bind() { entry.name.as_str() } else { "" };
        let dirs = on_the_way.chain(Path::new(source).ancestors());
        let own = dirs.filter(|dir| dir.to_string_lossy().contains("new"));
        stays.extend(own.map(|dir| dir.to_string_lossy().into_owned()));
    }
}

/// Whether a recursive bind shows what another entry mounts below its source is open: the planner takes either for in
/// effect, as more may be there than was bound. And of two entries that show each other nobody can say what is seen.
fn is_open(one: &Entry, two: &Entry) -> bool {
    let circle = one.is_bind() && one.name == two.dir && two.name == one.dir;
    circle || (one.has("rbind") && one.name != two.dir && covers(&one.name, &two.dir))
}

fn put(dice: &mut Dice, profile: &mut Vec<Entry>, dir: &str, stays: &[String], refreshed: bool) {
    let others: Vec<Entry> = profile.iter().filter(|e| e.dir != dir).cloned().collect();
    if let Some(entry) = entry(dice, dir, &others, refreshed)
        && !(entry.is_no_directory() && stays.contains(&entry.dir))
        && !others.iter().any(|other| is_open(other, &entry) || is_open(&entry, other))
    {
        match profile.iter_mut().find(|e| e.dir == dir) {
            Some(old) => *old = entry,
            None => profile.insert(dice.below(profile.len() + 1), entry),
        }
    }
}

fn shuffle<T>(dice: &mut Dice, list: &mut [T]) {
    for at in (1..list.len()).rev() {
        list.swap(at, dice.below(at + 1));
    }
}

fn disturbance(dice: &mut Dice, profile: &[Entry]) -> Option<Disturb> {
    let entry = dice.pick(profile).clone();
    Some(match dice.below(9) {
        0 | 1 if entry.is_mount() => Disturb::Detach(entry.dir),
        2 if entry.is_bind() => Disturb::Again(entry.name, entry.dir),
        3 if entry.is_mount() && !entry.is_file() => Disturb::Foreign(entry.dir),
        4 if entry.has("x-snapd.kind=symlink") => Disturb::Unlink(entry.dir),
        5 => Disturb::LoseLine(entry.dir),
        6 => Disturb::LoseRecord,
        7 if dice.percent(50) => Disturb::Reversed,
        7 => Disturb::Twice,
        8 => Disturb::LoseNotes,
        _ => return None,
    })
}

/// What a sequence may contain.
#[derive(Clone, Copy, Debug)]
pub struct Taste {
    pub disturb: bool,
    pub edits: bool,
    pub most_entries: usize,
}

/// A sequence of up to eight steps.
pub fn generate(seed: u64, taste: Taste) -> Sequence {
    let mut dice = Dice(seed);
    let mut steps: Vec<Step> = Vec::new();
    let mut profile: Vec<Entry> = Vec::new();
    let mut stays: Vec<String> = Vec::new();
    let mut refreshed = false;
    let by_snapd = dice.percent(20);
    let most = 1 + dice.below(taste.most_entries);
    for at in 0..2 + dice.below(7) {
        let mut step = Step::default();
        let before = profile.clone();
        if at == 0 {
            for _ in 0..1 + dice.below(most) {
                add(&mut dice, &mut profile, &stays, refreshed);
            }
        } else {
            for _ in 0..1 + dice.below(3) {
                match dice.below(10) {
                    0..=2 if profile.len() < most + 2 => add(&mut dice, &mut profile, &stays, refreshed),
                    3..=4 if !profile.is_empty() => {
                        profile.remove(dice.below(profile.len()));
                    }
                    5..=6 if !profile.is_empty() => {
                        let dir = dice.pick(&profile).dir.clone();
                        put(&mut dice, &mut profile, &dir, &stays, refreshed);
                    }
                    7 => {
                        refreshed = !refreshed;
                        let (from, to) =
                            if refreshed { ("birch/1", "birch/2") } else { ("birch/2", "birch/1") };
                        for entry in &mut profile {
                            entry.name = entry.name.replace(from, to);
                        }
                    }
                    8 => shuffle(&mut dice, &mut profile),
                    9 if dice.percent(30) => profile.clear(),
                    _ => {}
                }
            }
            if taste.edits && dice.percent(20) {
                step.edits.push(match dice.percent(50) {
                    true => Edit::ReplaceDirectory(DIRECTORIES[2 + dice.below(3)]),
                    false => Edit::ReplaceFile("/var/snap/acorn/common/conf"),
                });
            }
            if taste.disturb
                && !before.is_empty()
                && dice.percent(40)
                && let Some(disturb) = disturbance(&mut dice, &before)
            {
                // What nobody remembers can only be put right while it is still wanted.
                let still = |dir: &String| profile.iter().any(|e| e.dir == *dir);
                // An entry below somebody else's mount cannot be taken away: that is said, as it should be.
                let same = |dir: &String| profile.iter().any(|e| e.dir == *dir && before.contains(e));
                let needs_all = match &disturb {
                    Disturb::LoseRecord => true,
                    Disturb::LoseLine(dir) => !still(dir) || dice.percent(50),
                    Disturb::Foreign(dir) => !same(dir) || dice.percent(50),
                    _ => dice.percent(50),
                };
                if needs_all {
                    profile = before;
                }
                step.disturb.push(disturb);
            }
        }
        remember_what_stays(&mut stays, &profile);
        step.profile = profile.clone();
        steps.push(step);
    }
    Sequence { steps, by_snapd }
}
