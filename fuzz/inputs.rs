// SPDX-License-Identifier: GPL-3.0-only
//! What is done with arbitrary bytes, one function a fuzz target; `tests/corpus.rs` does the same with the corpus.
//!
//! Each does more than not to crash: what must hold for any input is asserted.

use std::sync::Mutex;

use snap_update_ns::error::Sentence;
use snap_update_ns::invocation::{self, Invocation};
use snap_update_ns::mount::{MountEntry, Options, info, profile};
use snap_update_ns::plan::{Plan, Profile, State};
use snap_update_ns::text;
use snap_update_ns::text::arena::Arena;
use snap_update_ns::text::{Out, lines};

struct Text(Vec<u8>);

impl text::Out for Text {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

fn written<'t>(entries: impl IntoIterator<Item = &'t MountEntry<'t>>) -> Vec<u8> {
    let mut out = Text(Vec::new());
    for entry in entries {
        entry.write(&mut out);
        out.put(b"\n");
    }
    out.0
}

/// A profile that can be read is written in a form that reads and writes the same.
pub fn profile(data: &[u8]) {
    in_memory(|arena| {
        let arena = &mut { arena };
        if let Some(entries) = parsed(data, arena) {
            reads_the_same(&entries, arena);
        }
    });
}

fn reads_the_same(entries: &Profile<'_>, arena: &mut Arena<'_>) {
    // Cleaning can bring a `#` to the front of a target that is no absolute path (`x/../#y`), where it begins a
    // comment. Nothing is ever mounted there, and the format has no escape for it.
    if entries.iter().any(|entry| entry.dir.starts_with(b"#")) {
        return;
    }
    let first = written(entries.iter());
    // Escapes make a line longer: only then may what we wrote be refused.
    let Some(again) = parsed(&first, arena) else {
        assert!(
            first.split(|&byte| byte == b'\n').any(|line| line.len() > 65_535),
            "our own line is refused"
        );
        return;
    };
    assert_eq!(written(again.iter()), first);
}

/// However the text is cut into pieces, the same lines come out; and lines are taken apart without a panic.
pub fn mountinfo(data: &[u8]) {
    let [piece, data @ ..] = data else { return };
    let lines = |piece: usize| {
        let mut buffer = [0; 4096];
        let mut lines = info::Lines::new(&mut buffer);
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut rest = data;
        while !rest.is_empty() {
            let room = lines.fill();
            let len = piece.min(room.len()).min(rest.len());
            assert!(len > 0, "no room for the next piece");
            room[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            lines.advance(len);
            while let Some(line) = lines.next() {
                seen.push(line.to_vec());
                let _ = info::parse_line(line);
            }
        }
        if let Some(line) = lines.last() {
            seen.push(line.to_vec());
            let _ = info::parse_line(line);
        }
        (seen, lines.skipped)
    };
    assert_eq!(lines(usize::from(*piece).max(1)), lines(4096));
}

/// Options are the same as themselves, and a word that is listed is there.
pub fn options(data: &[u8]) {
    let options = Options(data);
    assert!(options.same(options));
    for word in options.iter() {
        assert!(options.has(word));
    }
    let _ = options.flags();
    assert!(options.data().count() <= options.iter().count());
    assert!(options.ignored_on_bind().count() <= options.iter().count());
}

/// Arguments that are accepted name an instance that is accepted.
pub fn arguments(data: &[u8]) {
    let mut accepted = Invocation::default();
    if accepted.read(&mut data.split(|&byte| byte == 0)).is_ok() {
        assert!(invocation::check_instance_name(accepted.instance).is_ok());
        assert!(accepted.instance.starts_with(accepted.snap_name()));
    }
}

/// A record and a desired profile, with the byte 0 between them and before the states of their items: a plan is
/// made, names only items that exist, and comes out the same a second time.
pub fn plan(data: &[u8]) {
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (record, desired, states) = (part(), part(), part());
    in_memory(|arena| {
        let arena = &mut { arena };
        if let (Some(old), Some(new)) = (parsed(record, arena), parsed(desired, arena)) {
            let mut plan = Plan::new();
            let first = decided(&mut plan, &old, &new, states, arena);
            assert_eq!(decided(&mut plan, &old, &new, states, arena), first);
        }
    });
}

/// Lends memory to one input after the other.
fn in_memory(work: impl FnOnce(Arena<'_>)) {
    static MEMORY: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut memory = MEMORY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if memory.is_empty() {
        *memory = vec![0; 512 << 20];
    }
    work(Arena::new(&mut memory));
}

fn parsed<'t>(text: &[u8], arena: &mut Arena<'t>) -> Option<Profile<'t>> {
    let mut profile = Profile::new();
    profile.claim(lines(text), arena);
    let text = arena.copy(text).ok()?;
    profile::parse(text, &mut profile).is_ok().then_some(profile)
}

fn decided<'t>(
    plan: &mut Plan<'t>,
    old: &'t Profile<'t>,
    new: &'t Profile<'t>,
    states: &[u8],
    arena: &mut Arena<'t>,
) -> Vec<u8> {
    plan.begin(old, new, arena);
    for (item, state) in plan.items.iter_mut().zip(states.iter().cycle()) {
        item.state = match state % 3 {
            0 => State::InEffect,
            1 => State::Different,
            _ => State::Absent,
        };
    }
    plan.decide();
    for &at in plan.mounts.iter().chain(plan.schedule.iter()).chain(plan.readying.iter()) {
        assert!((at as usize) < plan.items.len(), "no item {at}");
    }
    let mut out = Text(Vec::new());
    plan.each_line(&mut |step, entry, about| {
        Sentence::plain(step.says()).write(b"", &mut out);
        entry.write(&mut out);
        out.put(about.unwrap_or_default());
    });
    out.0
}
