// SPDX-License-Identifier: GPL-3.0-only
//! How the time to plan grows with the number of entries, for profiles of several shapes; and with the mount table,
//! five mounts for each entry: `cargo run --release --example plan-growth`.

#[path = "../tests/planning/mod.rs"]
mod planning;

use std::time::Instant;

const COUNTS: [usize; 4] = [1_000, 4_000, 16_000, 50_000];

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|at| line(at) + "\n").collect()
}

/// Directories of 250 entries.
fn wide(count: usize) -> String {
    lines(count, |at| format!("/src/{at} /many/{}/{at} none bind 0 0", at / 250))
}

/// Each is bound from where the one before it is mounted.
fn chain(count: usize) -> String {
    lines(count, |at| format!("/many/{} /many/{} none bind 0 0", at + 1, at))
}

/// Each lies in another one, up to 400 levels, then from the top again.
fn deep(count: usize) -> String {
    lines(count, |at| format!("/src/{at} /{}{} none bind 0 0", at / 400, "/d".repeat(at % 400)))
}

/// All are binds of the same recursive source, in which all others lie.
fn recursive(count: usize) -> String {
    lines(count, |at| format!("/many /many/{at} none rbind 0 0"))
}

/// All want the same target.
fn one_target(count: usize) -> String {
    lines(count, |at| format!("/src/{at} /many none bind 0 0"))
}

/// Layouts, each with a mimic of its own on record, each mimic inside another one.
fn mimics(count: usize) -> String {
    let entries = count / 2;
    lines(entries, |at| {
        let dir = format!("/{}{}", at / 50, "/d".repeat(at % 50));
        format!(
            "tmpfs {dir} tmpfs x-snapd.synthetic,x-snapd.needed-by={dir}/new,mode=0755 0 0\n\
             /src/{at} {dir}/new none bind,x-snapd.origin=layout 0 0"
        )
    })
}

fn real(text: &str) -> String {
    text.lines().filter(|line| !line.contains("synthetic")).map(|line| format!("{line}\n")).collect()
}

/// Milliseconds from two profiles' texts to the plan, the reading included; the best of three.
fn time(record: &str, desired: &str) -> f64 {
    let once = || {
        let start = Instant::now();
        planning::plan(record, desired, |_| {}, |_| ());
        start.elapsed().as_secs_f64() * 1000.0
    };
    (0..3).map(|_| once()).fold(f64::MAX, f64::min)
}

/// A record that is in effect, its mount table, and how many mounts that has.
#[derive(Default)]
struct World {
    record: String,
    table: String,
    last: usize,
}

impl World {
    /// With the root and a directory of sources.
    fn new() -> Self {
        let mut world = World::default();
        world.mount(0, "8:1", "/", "/", "ext4");
        world
    }

    /// One more line; its number.
    fn mount(&mut self, on: usize, dev: &str, root: &str, dir: &str, fstype: &str) -> usize {
        self.last += 1;
        self.table += &format!("{} {on} {dev} {root} {dir} rw,relatime - {fstype} none rw\n", self.last);
        self.last
    }

    /// One more line of the record.
    fn record(&mut self, line: &str) {
        self.record += line;
        self.record += "\n";
    }
}

/// Every entry is mounted five times, as after five interrupted runs of the original.
fn stacked(count: usize) -> World {
    let mut world = World::new();
    for at in 0..count {
        let dir = format!("/many/{}/{at}", at / 250);
        world.record(&format!("/src/{at} {dir} none bind 0 0"));
        let mut on = 1;
        for _ in 0..5 {
            on = world.mount(on, "8:1", &format!("/src/{at}"), &dir, "ext4");
        }
    }
    world
}

/// Recursive binds of directories in which two mounts lie, and so two copies.
fn with_submounts(count: usize) -> World {
    let mut world = World::new();
    for at in 0..count {
        let (from, to) = (format!("/src/{at}"), format!("/many/{}/{at}", at / 250));
        world.record(&format!("{from} {to} none rbind 0 0"));
        let on = world.mount(1, "8:1", &from, &to, "ext4");
        for name in ["one", "two"] {
            world.mount(1, "8:2", &format!("/{at}/{name}"), &format!("{from}/{name}"), "xfs");
            world.mount(on, "8:2", &format!("/{at}/{name}"), &format!("{to}/{name}"), "xfs");
        }
    }
    world
}

/// Layouts in mimics, each with three parts.
fn in_mimics(count: usize) -> World {
    let mut world = World::new();
    for at in 0..count {
        let dir = format!("/many/{}/{at}", at / 250);
        let options = format!("x-snapd.synthetic,x-snapd.needed-by={dir}/new");
        world.record(&format!("tmpfs {dir} tmpfs {options},mode=0755 0 0"));
        let on = world.mount(1, &format!("0:{}", at + 100), "/", &dir, "tmpfs");
        for name in ["one", "two", "three"] {
            world.record(&format!("{dir}/{name} {dir}/{name} none rbind,{options} 0 0"));
            world.mount(on, "8:1", &format!("{dir}/{name}"), &format!("{dir}/{name}"), "ext4");
        }
        world.record(&format!("/src/{at} {dir}/new none bind,x-snapd.origin=layout 0 0"));
        world.mount(on, "8:1", &format!("/src/{at}"), &format!("{dir}/new"), "ext4");
    }
    world
}

/// One in five mounts is an entry's; the others are somebody else's and cover it.
fn covered(count: usize) -> World {
    let mut world = World::new();
    for at in 0..count {
        let dir = format!("/many/{}/{at}", at / 250);
        world.record(&format!("/src/{at} {dir} none bind 0 0"));
        let mut on = world.mount(1, "8:1", &format!("/src/{at}"), &dir, "ext4");
        for foreign in 0..4 {
            on = world.mount(on, &format!("0:{}", 4 * at + foreign + 100), "/", &dir, "tmpfs");
        }
    }
    world
}

/// A name and what makes so many entries with five mounts for each.
type Real = (&'static str, fn(usize) -> World);

fn over_a_table() {
    const ENTRIES: [usize; 4] = [500, 1_000, 2_000, 4_000];
    let shapes: [Real; 4] =
        [("stacked", stacked), ("recursive", with_submounts), ("in mimics", in_mimics), ("covered", covered)];
    println!(
        "milliseconds to plan {ENTRIES:?} entries over a table of five mounts for each, the table's text included"
    );
    for (name, shape) in shapes {
        for (what, wants) in [("keep", true), ("disconnect", false)] {
            let mut mounts = 0;
            let times = ENTRIES.map(|count| {
                let world = shape(count);
                let desired = if wants { real(&world.record) } else { String::new() };
                let once = || {
                    let start = Instant::now();
                    let kept = planning::plan_over(&world.table, &world.record, &desired, |plan, kept| {
                        let stays = what == "keep" && name != "covered";
                        assert_ne!(plan.changes_anything(), stays, "{name}, {what}");
                        kept
                    });
                    (start.elapsed().as_secs_f64() * 1000.0, kept)
                };
                let mut best = f64::MAX;
                for _ in 0..3 {
                    let (time, kept) = once();
                    (best, mounts) = (best.min(time), kept);
                }
                best
            });
            println!(
                "{name:17} {what:11} {:8.1} {:8.1} {:8.1} {:8.1}   {mounts} mounts kept in the last",
                times[0], times[1], times[2], times[3]
            );
        }
    }
}

/// A name and what makes a profile of so many lines.
type Shape = (&'static str, fn(usize) -> String);

fn main() {
    let shapes: [Shape; 6] = [
        ("wide", wide),
        ("chain of sources", chain),
        ("deep", deep),
        ("recursive", recursive),
        ("one target", one_target),
        ("mimics in mimics", mimics),
    ];
    println!("milliseconds to plan {COUNTS:?} lines");
    for (name, shape) in shapes {
        for (what, has, wants) in [
            ("connect", false, true),
            ("keep", true, true),
            ("disconnect", true, false),
            ("refresh", true, true),
        ] {
            let times = COUNTS.map(|count| {
                let text = shape(count);
                let desired = real(&text);
                let desired = if what == "refresh" { desired.replace("bind", "bind,ro") } else { desired };
                time(if has { &text } else { "" }, if wants { &desired } else { "" })
            });
            println!(
                "{name:17} {what:11} {:8.1} {:8.1} {:8.1} {:8.1}",
                times[0], times[1], times[2], times[3]
            );
        }
    }
    over_a_table();
}
