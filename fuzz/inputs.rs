// SPDX-License-Identifier: GPL-3.0-only
//! What is done with arbitrary bytes, one function a fuzz target; `tests/corpus.rs` does the same with the corpus.
//!
//! Each does more than not to crash: what must hold for any input is asserted.

use std::sync::Mutex;

use heapless::Vec as Fixed;
use snap_update_ns::error::Sentence;
use snap_update_ns::invocation::{self, Invocation};
use snap_update_ns::mount::{MountEntry, Options, info, profile};
use snap_update_ns::plan::{Plan, Profile, State};
use snap_update_ns::text;
use snap_update_ns::text::Out;

/// More lines than a fuzzer writes, and small enough for a stack.
const ENTRIES: usize = 1024;

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
    let mut text = data.to_vec();
    let mut entries: Fixed<MountEntry, ENTRIES> = Fixed::new();
    if profile::parse(&mut text, &mut entries).is_err() {
        return;
    }
    // Cleaning can bring a `#` to the front of a target that is no absolute path (`x/../#y`), where it begins a
    // comment. Nothing is ever mounted there, and the format has no escape for it.
    if entries.iter().any(|entry| entry.dir.starts_with(b"#")) {
        return;
    }
    let first = written(&entries);
    let mut again_text = first.clone();
    let mut again: Fixed<MountEntry, ENTRIES> = Fixed::new();
    let read = profile::parse(&mut again_text, &mut again);
    // Escapes make a line longer: only then may what we wrote be refused.
    if read.is_err() {
        assert!(
            first.split(|&byte| byte == b'\n').any(|line| line.len() > 65_535),
            "our own line is refused"
        );
        return;
    }
    assert_eq!(written(&again), first);
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

/// As large as a plan is, there is one; and the profiles that it is made from.
struct Planning {
    plan: Plan<'static>,
    profiles: [Box<Profile<'static>>; 2],
}

/// Unoptimised code makes the value on the stack before it is in its box; so on one that is large enough.
fn boxed<T: Default + Send + 'static>() -> Box<T> {
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(Box::default);
    thread.expect("a thread can be started").join().expect("nothing is done in it")
}

static PLANNING: Mutex<Option<Planning>> = Mutex::new(None);

/// A record and a desired profile, with the byte 0 between them and before the states of their items: a plan is
/// made, names only items that exist, and comes out the same a second time.
pub fn plan(data: &[u8]) {
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let mut part = || Box::leak(parts.next().unwrap_or_default().to_vec().into_boxed_slice());
    let (record, desired, states) = (part(), part(), part());
    let again: [*mut [u8]; 3] = [record, desired, states];

    let mut planning = PLANNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Planning { plan, profiles } = planning.get_or_insert_with(|| Planning {
        plan: Plan::new(Box::leak(boxed())),
        profiles: [boxed(), boxed()],
    });
    let [old, new] = profiles;
    old.clear();
    new.clear();
    if profile::parse(record, &mut **old).is_ok() && profile::parse(desired, &mut **new).is_ok() {
        // SAFETY: the profiles are not touched again before the plan has forgotten them, below.
        let (old, new) = unsafe { (&*core::ptr::from_ref(&**old), &*core::ptr::from_ref(&**new)) };
        let first = decided(plan, old, new, states);
        assert_eq!(decided(plan, old, new, states), first);
    }
    plan.begin(&[], &[]);
    for part in again {
        // SAFETY: leaked above, by this call; the plan no longer refers to it.
        drop(unsafe { Box::from_raw(part) });
    }
}

type Entries = [MountEntry<'static>];

fn decided(plan: &mut Plan<'static>, old: &'static Entries, new: &'static Entries, states: &[u8]) -> Vec<u8> {
    plan.begin(old, new);
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
        out.put(about);
    });
    out.0
}
