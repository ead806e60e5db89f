// SPDX-License-Identifier: GPL-3.0-only
//! Plans of profiles that are written in a test, without a kernel: the survey's answers come from a list of facts.
#![allow(dead_code)] // each test uses its part of it

use std::collections::BTreeMap;
use std::sync::Mutex;

use snap_update_ns::error::Sentence;
use snap_update_ns::limits::KEPT_MOUNTS;
use snap_update_ns::mount::info::parse_line;
use snap_update_ns::mount::table::Table;
use snap_update_ns::mount::{Kind, MountEntry, profile};
use snap_update_ns::plan::{Item, Plan, Profile, State, Step};
use snap_update_ns::text::arena::Arena;
use snap_update_ns::text::{Out, lines, path};

/// Lends memory to one plan after the other.
fn in_memory<R>(work: impl FnOnce(Arena<'_>) -> R) -> R {
    static MEMORY: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut memory = MEMORY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if memory.is_empty() {
        *memory = vec![0; 512 << 20];
    }
    work(Arena::new(&mut memory))
}

struct Text(Vec<u8>);

impl Out for Text {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// The canonical line of an entry, without its end.
pub fn written(entry: &MountEntry<'_>) -> String {
    let mut text = Text(Vec::new());
    entry.write(&mut text);
    String::from_utf8(text.0).expect("tests write text")
}

fn parsed<'t>(text: &str, arena: &mut Arena<'t>) -> Profile<'t> {
    let mut profile = Profile::new();
    profile.claim(lines(text.as_bytes()), arena);
    let text = arena.copy(text.as_bytes()).expect("tests write short profiles");
    profile::parse(text, &mut profile).expect("tests write profiles that can be read");
    profile
}

/// The canonical lines of a profile.
pub fn formatted(text: &str) -> Vec<String> {
    in_memory(|mut arena| parsed(text, &mut arena).iter().map(written).collect())
}

/// Makes a plan where nothing is known of the mount table, so that the record is believed, and looks at it.
pub fn plan<R>(
    record: &str,
    desired: &str,
    survey: impl FnOnce(&mut Plan<'_>),
    look: impl FnOnce(&Plan<'_>) -> R,
) -> R {
    in_memory(|arena| {
        let arena = &mut { arena };
        let (record, desired) = (parsed(record, arena), parsed(desired, arena));
        let (mut plan, mut table) = (Plan::new(), Table::new());
        plan.begin(&record, &desired, arena);
        plan.judge(&mut table);
        survey(&mut plan);
        plan.decide();
        look(&plan)
    })
}

/// The same over a mount table, of which the lines are kept that the survey would keep. How many those are is told.
pub fn plan_over<R>(
    mountinfo: &str,
    record: &str,
    desired: &str,
    look: impl FnOnce(&Plan<'_>, usize) -> R,
) -> R {
    in_memory(|arena| {
        let arena = &mut { arena };
        let (record, desired) = (parsed(record, arena), parsed(desired, arena));
        let (mut plan, mut table) = (Plan::new(), Table::new());
        plan.begin(&record, &desired, arena);
        table.claim(KEPT_MOUNTS.max, arena);
        let mut kept = 0;
        for line in mountinfo.lines() {
            let mut line = line.as_bytes().to_vec();
            let info = parse_line(&mut line).expect("tests write lines of mountinfo");
            let dir = plan.paths.on_the_way(info.dir);
            if dir.is_some() || info.dir == b"/" || plan.binds_from_above(info.dir) {
                table.keep(&info, dir, arena).expect("room for the table");
                kept += 1;
            }
        }
        table.build(Some(1), arena);
        plan.judge(&mut table);
        plan.decide();
        look(&plan, kept)
    })
}

/// The steps of a plan as they are printed: verb, canonical entry, and the path that it is about.
pub fn printed(plan: &Plan<'_>) -> String {
    let mut text = String::new();
    plan.each_line(&mut |step, entry, about| {
        let mut verb = Text(Vec::new());
        Sentence::plain(step.says()).write(b"", &mut verb);
        let verb = String::from_utf8(verb.0).unwrap();
        text += &format!("{}{}", verb.strip_prefix("plan: ").unwrap(), written(entry));
        if let Some(about @ [_, ..]) = about {
            let word = if step == Step::Mount { "over" } else { "for" };
            text += &format!("  # {word} {}", String::from_utf8_lossy(about));
        }
        text.push('\n');
    });
    text
}

/// What there is at a path.
#[derive(PartialEq)]
enum What {
    Directory,
    File,
    Link(String),
}

/// What the survey would find out by asking the file system. Of each line of the text one:
///
/// * `/dir/`, `/file`, `/link -> text`: it is there, and so are the directories above it
/// * `writable /dir`, `read-only /dir`: whether names can be made there and below, as far as nothing deeper says
///   otherwise; nowhere but in `/` if nothing is said
#[derive(Default)]
pub struct Facts {
    there: BTreeMap<Vec<u8>, What>,
    writable: BTreeMap<Vec<u8>, bool>,
}

impl Facts {
    /// Reads them.
    pub fn parse(text: &str) -> Self {
        let mut facts = Facts::default();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (path, what) = match (word, rest.strip_prefix("-> ")) {
                ("writable" | "read-only", _) => {
                    facts.writable.insert(rest.into(), word == "writable");
                    continue;
                }
                (_, Some(text)) => (word, What::Link(text.into())),
                _ => match word.strip_suffix('/') {
                    Some(dir) => (dir, What::Directory),
                    None => (word, What::File),
                },
            };
            assert!(path.starts_with('/'), "no fact: {line}");
            for above in path::prefixes(path::parent(path.as_bytes())) {
                facts.there.insert(above.into(), What::Directory);
            }
            facts.there.insert(path.into(), what);
        }
        facts
    }

    fn is_writable(&self, dir: &[u8]) -> bool {
        let known = self.writable.iter().filter(|(at, _)| path::covers(at, dir));
        known.max_by_key(|(at, _)| at.len()).is_some_and(|(_, writable)| *writable)
    }

    /// Answers what `apply::survey::targets` asks.
    pub fn answer(&self, plan: &mut Plan<'_>) {
        for item in plan.items.iter_mut() {
            let what = self.there.get(item.entry.dir);
            match item.kind {
                Kind::Symlink if item.desired && item.entry.ignore_missing() => {}
                Kind::Symlink => {
                    if let Some(What::Link(text)) = what
                        && item.entry.symlink_text() == Some(text.as_bytes())
                    {
                        item.state = if item.desired { State::InEffect } else { State::Different };
                    }
                }
                Kind::EnsureDir if item.desired && what == Some(&What::Directory) => {
                    item.state = State::InEffect;
                }
                _ => {}
            }
            if item.desired && item.state == State::Absent && item.kind != Kind::EnsureDir {
                self.find_missing(item);
            }
        }
    }

    fn find_missing(&self, item: &mut Item<'_>) {
        let mut dir: &[u8] = b"/";
        for prefix in path::prefixes(item.entry.dir) {
            match self.there.get(prefix) {
                Some(What::Directory) => dir = prefix,
                Some(_) => return,
                None => {
                    item.under = Some(dir);
                    item.needs_mimic = dir != b"/" && !self.is_writable(dir);
                    return;
                }
            }
        }
    }
}
