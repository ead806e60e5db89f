// SPDX-License-Identifier: GPL-3.0-only
//! What must hold for the plan of any two profiles, over a small tree in which everything meets everything.
#![allow(missing_docs)]

mod planning;

use std::collections::{BTreeMap, HashMap};

use planning::{Facts, formatted, plan, printed, written};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use snap_update_ns::mount::Kind;
use snap_update_ns::plan::{Action, Item, Plan, Removal, State, Step};
use snap_update_ns::text::path;

/// A path of up to four levels, of three names; two of them are the beginning of another.
fn some_path() -> impl Strategy<Value = String> {
    prop::collection::vec(select(vec!["a", "a-1", "b"]), 1..=4)
        .prop_map(|names| names.iter().map(|name| format!("/{name}")).collect())
}

/// A line of a profile: every kind that there is, and every origin.
fn some_line() -> impl Strategy<Value = String> {
    let origin =
        select(vec!["", ",x-snapd.origin=layout", ",x-snapd.origin=overname", ",x-snapd.origin=other"]);
    let source = prop_oneof![some_path(), some_path().prop_map(|path| format!("/src{path}"))];
    (some_path(), source, 0..8usize, origin).prop_map(|(dir, source, kind, origin)| match kind {
        0 | 1 => format!("{source} {dir} none bind{origin} 0 0"),
        2 => format!("{source} {dir} none bind,ro{origin} 0 0"),
        3 => format!("{source} {dir} none rbind,rw{origin} 0 0"),
        4 => format!("tmpfs {dir} tmpfs mode=0755{origin} 0 0"),
        5 => format!("{source} {dir} none bind,x-snapd.kind=file{origin} 0 0"),
        6 => format!("none {dir} none x-snapd.kind=symlink,x-snapd.symlink={source}{origin} 0 0"),
        _ => format!("none {dir} none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=/{origin} 0 0"),
    })
}

fn some_lines() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(some_line(), 0..12)
}

fn target(line: &str) -> &str {
    line.split(' ').nth(1).unwrap()
}

/// Of each target only the first line.
fn distinct(lines: Vec<String>) -> Vec<String> {
    let mut taken = std::collections::HashSet::new();
    lines.into_iter().filter(|line| taken.insert(target(line).to_owned())).collect()
}

/// Some lines, their record with mimics over the directories of some of them, and the lines that are desired now.
#[derive(Clone, Debug)]
struct Case {
    record: Vec<String>,
    desired: Vec<String>,
    facts: Vec<String>,
}

impl Case {
    fn plan<R>(&self, look: impl FnOnce(&Plan<'_>) -> R) -> R {
        plan(&self.record.join("\n"), &self.desired.join("\n"), |plan| self.survey(plan), look)
    }

    /// What is on record is there.
    fn survey(&self, plan: &mut Plan<'_>) {
        let targets = self.record.iter().map(|line| target(line).to_owned() + "/");
        let facts: Vec<_> = targets.chain(self.facts.iter().cloned()).collect();
        Facts::parse(&facts.join("\n")).answer(plan);
        for item in plan.items.iter_mut().filter(|item| item.record.is_some()) {
            item.state = if item.desired { State::InEffect } else { State::Different };
        }
    }
}

fn some_case() -> impl Strategy<Value = Case> {
    let facts = prop::collection::vec(some_path().prop_map(|path| path + "/"), 0..12);
    let writable = prop::collection::vec(some_path().prop_map(|path| format!("writable {path}")), 0..3);
    let mimics = prop::collection::vec(any::<Index>(), 0..3);
    (some_lines(), some_lines(), mimics, any::<u16>(), facts, writable).prop_map(
        |(old, new, mimics, kept, mut facts, writable)| {
            let old = distinct(old);
            // Some of what is on record is still desired.
            let stays =
                old.iter().zip(0..16).filter(|(_, at)| kept >> at & 1 == 1).map(|(line, _)| line.clone());
            let desired = stays.chain(new).collect();
            let mut over = BTreeMap::new();
            for at in mimics.iter().filter(|_| !old.is_empty()) {
                let owner = target(&old[at.index(old.len())]);
                over.insert(
                    String::from_utf8_lossy(path::parent(owner.as_bytes())).into_owned(),
                    owner.to_owned(),
                );
            }
            over.remove("/");
            let mimics = over.iter().flat_map(|(dir, owner)| {
                [
                    format!("tmpfs {dir} tmpfs x-snapd.synthetic,x-snapd.needed-by={owner},mode=0755 0 0"),
                    format!("{dir}/x {dir}/x none rbind,x-snapd.synthetic,x-snapd.needed-by={owner} 0 0"),
                ]
            });
            let record = mimics.chain(old).collect();
            facts.extend(writable);
            Case { record, desired, facts }
        },
    )
}

/// What is on record when a plan was performed without a fault, without the mimics.
fn result(plan: &Plan<'_>) -> Vec<String> {
    let there = |item: &&Item<'_>| matches!(item.action, Action::Keep | Action::Mount(_));
    plan.items.iter().filter(there).map(|item| written(item.entry)).collect()
}

fn is_inside(inner: &Item<'_>, outer: &Item<'_>) -> bool {
    path::is_inside(inner.entry.dir, outer.entry.dir)
}

/// Whether an entry, or one above it, is bound from where others of the plan may be mounted: such ones can form a circle,
/// in which not every directory can come before what lies in it.
fn follows(plan: &Plan<'_>, item: &Item<'_>) -> bool {
    plan.items.iter().any(|above| {
        let source = above.entry.name;
        above.class == item.class
            && path::covers(above.entry.dir, item.entry.dir)
            && above.entry.is_bind()
            && source.starts_with(b"/")
            && !source.starts_with(b"/src")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn what_is_there_already_is_only_kept(lines in some_lines()) {
        let lines = distinct(lines);
        let case = Case { record: lines.clone(), desired: lines.clone(), facts: vec![] };
        case.plan(|plan| {
            assert!(!plan.changes_anything(), "{}", printed(plan));
            assert!(plan.items.iter().all(|item| item.action == Action::Keep && item.record.is_some()));
            assert_eq!(plan.items.len(), lines.len());
        });
    }

    #[test]
    fn what_a_plan_leaves_behind_is_only_kept_by_the_next(case in some_case()) {
        let record = case.plan(result);
        let again = Case { record, ..case };
        again.plan(|plan| assert!(!plan.changes_anything(), "{}", printed(plan)));
        let sorted = |mut lines: Vec<String>| { lines.sort(); lines };
        assert_eq!(sorted(again.plan(result)), sorted(again.record));
    }

    #[test]
    fn what_lies_deeper_is_taken_away_first(case in some_case()) {
        case.plan(|plan| {
            let items: Vec<_> = plan.removals.iter().filter_map(|removal| match removal {
                Removal::Item(at) => plan.items.get(*at as usize),
                Removal::Mimic(_) => None,
            }).collect();
            for (at, first) in items.iter().enumerate() {
                for then in &items[at + 1..] {
                    // What a mimic covers waits until that is gone.
                    assert!(first.hidden <= then.hidden, "{}", printed(plan));
                    if first.hidden == then.hidden {
                        let wrong = first.class == then.class && is_inside(then, first) && !follows(plan, first);
                        assert!(!wrong, "{}", printed(plan));
                        assert!(first.class >= then.class, "{}", printed(plan));
                    }
                }
            }
            let mimics: Vec<_> = plan.removals.iter().filter_map(|removal| match removal {
                Removal::Item(_) => None,
                Removal::Mimic(at) => plan.line(plan.mimics[*at as usize].line),
            }).collect();
            for (at, first) in mimics.iter().enumerate() {
                assert!(mimics[at + 1..].iter().all(|then| !path::is_inside(then.dir, first.dir)), "{}", printed(plan));
            }
            assert!(plan.removals.is_sorted_by_key(|removal| match removal {
                Removal::Item(at) => 2 * u8::from(plan.items[*at as usize].hidden),
                Removal::Mimic(_) => 1,
            }));
        });
    }

    #[test]
    fn what_lies_above_is_mounted_first(case in some_case()) {
        case.plan(|plan| {
            let order: Vec<_> = plan.schedule.iter().map(|at| &plan.items[*at as usize]).collect();
            assert!(order.is_sorted_by_key(|item| item.round()));
            for (at, first) in order.iter().enumerate() {
                for then in &order[at + 1..] {
                    let wrong = first.class == then.class && is_inside(first, then) && !follows(plan, then);
                    assert!(!wrong, "{}", printed(plan));
                }
            }
            // What was made ready and what is mounted is the same, in the list and in the rounds.
            let sorted = |list: &[u64]| { let mut list = list.to_vec(); list.sort(); list };
            assert_eq!(sorted(&plan.mounts), sorted(&plan.schedule));
            assert_eq!(sorted(&plan.mounts), sorted(&plan.readying));
        });
    }

    #[test]
    fn an_entry_is_mounted_behind_all_that_it_depends_on(case in some_case()) {
        case.plan(|plan| {
            let place: HashMap<_, _> = plan.schedule.iter().zip(0..).map(|(at, place)| (*at as usize, place)).collect();
            for (at, item) in plan.items.iter().enumerate().filter(|(_, item)| item.round() != u32::MAX) {
                for (before, earlier) in plan.items.iter().enumerate().take(at) {
                    let comparable = |path: &[u8]| path::covers(path, earlier.entry.dir) || path::covers(earlier.entry.dir, path);
                    let depends = comparable(item.entry.dir) || (item.kind != Kind::Symlink && item.entry.is_bind() && path::covers(earlier.entry.dir, item.entry.name));
                    if depends && earlier.round() != u32::MAX {
                        assert!(place[&before] < place[&at], "{}", printed(plan));
                        assert!(earlier.round() < item.round(), "{}", printed(plan));
                    }
                    // An earlier entry that is redone takes the later one with it.
                    if depends && matches!(earlier.action, Action::Mount(_)) {
                        assert!(item.action != Action::Keep, "{}", printed(plan));
                    }
                }
            }
        });
    }

    #[test]
    fn the_order_of_the_lines_does_not_matter(case in some_case(), order in any::<u64>()) {
        let case = Case { desired: distinct(case.desired), ..case };
        let first = case.plan(printed);
        let mut desired = case.desired.clone();
        // Any order will do: by a keyed sum of the bytes.
        desired.sort_by_key(|line| line.bytes().fold(order, |sum, byte| sum.wrapping_mul(1_099_511_628_211) ^ u64::from(byte)));
        let other = Case { desired, ..case.clone() };
        assert_eq!(other.plan(printed), first);
        let reversed = Case { desired: case.desired.iter().rev().cloned().collect(), ..case };
        assert_eq!(reversed.plan(printed), first);
    }

    #[test]
    fn every_desired_entry_is_kept_mounted_or_skipped(case in some_case()) {
        let mut lines = case.plan(|plan| {
            let mut lines = Vec::new();
            plan.each_line(&mut |step, entry, _| {
                if matches!(step, Step::Keep | Step::Adopt | Step::Skip | Step::Mount) && !entry.is_synthetic() {
                    lines.push(written(entry));
                }
            });
            lines
        });
        lines.sort();
        let mut desired = case.desired;
        desired.sort();
        assert_eq!(lines, desired);
    }

    #[test]
    fn a_record_that_is_written_is_read_as_it_was(case in some_case()) {
        let record = case.plan(result);
        assert_eq!(formatted(&record.join("\n")), record);
    }
}

/// So many entries in directories of 250, each with its own source.
fn many(count: usize) -> String {
    (0..count).map(|at| format!("/src/{at} /many/{}/{at} none bind 0 0\n", at / 250)).collect()
}

fn counts(record: &str, desired: &str) -> (usize, usize, usize) {
    plan(
        record,
        desired,
        |_| {},
        |plan| {
            let kept = plan.items.iter().filter(|item| item.action == Action::Keep).count();
            (plan.removals.len(), kept, plan.schedule.len())
        },
    )
}

#[test]
fn fifty_thousand_entries_are_connected_kept_and_disconnected() {
    let all = many(50_000);
    assert_eq!(counts("", &all), (0, 0, 50_000));
    assert_eq!(counts(&all, &all), (0, 50_000, 0));
    assert_eq!(counts(&all, ""), (50_000, 0, 0));
}

#[test]
fn as_many_entries_as_a_profile_can_have_change_their_sources() {
    let (old, new) = (many(65_535), many(65_535).replace("/src/", "/new/"));
    assert_eq!(counts(&old, &new), (65_535, 0, 65_535));
}
