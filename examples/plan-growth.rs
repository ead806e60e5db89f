// SPDX-License-Identifier: GPL-3.0-only
//! How the time to plan grows with the number of entries, for profiles of several shapes:
//! `cargo run --release --example plan-growth`.

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
}
