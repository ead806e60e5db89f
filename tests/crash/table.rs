// SPDX-License-Identifier: GPL-3.0-only
//! The table of trials, and the list of what went wrong. Each trial leaves files of its own, so that trials told by many
//! processes (cargo-nextest starts one for each) still make one table.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::case::{Course, Fault, Wrong, compare};
use crate::support::program::target;
use crate::tracer::{Blow, End};

/// What became of the cases of one trial.
pub struct Row {
    trial: String,
    /// Whether the program has a guard.
    guarded: bool,
    cases: usize,
    whole: usize,
    counts: BTreeMap<Wrong, usize>,
    /// Exit statuses of runs in which a call failed: nothing missed, something missed and status 0, status 1.
    exits: [usize; 3],
    /// By the error that was given: all cases, and those made whole.
    errors: BTreeMap<String, [usize; 2]>,
    /// The longest time that processes were frozen after the end of a program that was killed.
    frozen: Duration,
    /// By their kind: how many, and the first of them.
    classes: BTreeMap<String, (usize, String)>,
    lines: Vec<String>,
}

impl Row {
    /// None yet.
    pub fn new(story: &str, family: &str, forked: usize) -> Row {
        Row {
            trial: format!("{story}/{family}"),
            guarded: forked > 0,
            cases: 0,
            whole: 0,
            counts: BTreeMap::new(),
            exits: [0; 3],
            errors: BTreeMap::new(),
            frozen: Duration::ZERO,
            classes: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    /// Counts a case.
    pub fn count(&mut self, case: &str, blow: Blow, course: &Course, reference: &Course, faults: Vec<Fault>) {
        self.cases += 1;
        if blow == (Blow::Kill { guard: false }) {
            self.frozen = self.frozen.max(course.frozen_for);
        }
        if let Blow::Fail { errno, .. } = blow {
            let counts = self.errors.entry(format!("{errno:?}")).or_default();
            counts[0] += 1;
            counts[1] += usize::from(faults.is_empty());
            let missed = !compare(&course.struck, &reference.struck).is_empty();
            match course.trace.as_ref().map(|trace| &trace.end) {
                Some(End::Exit(0)) if missed => self.exits[1] += 1,
                Some(End::Exit(0)) => self.exits[0] += 1,
                _ => self.exits[2] += 1,
            }
        }
        let struck = course.trace.as_ref().and_then(|trace| trace.struck.as_ref());
        let struck = struck.map_or_else(|| "nothing was struck".to_string(), ToString::to_string);
        let mut kinds: Vec<Wrong> = faults.iter().map(|fault| fault.wrong).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            *self.counts.entry(kind).or_default() += 1;
        }
        match faults.first() {
            None => self.whole += 1,
            Some(first) => {
                let rest = faults.len() - 1;
                let line = format!("{case} {struck}: {first} (and {rest} more)");
                let class = class_of(&first.to_string());
                let entry = self.classes.entry(class).or_insert_with(|| (0, line.clone()));
                entry.0 += 1;
                self.lines.push(line);
            }
        }
    }

    /// Whether nothing was wrong in any case.
    pub fn is_good(&self) -> bool {
        self.whole == self.cases
    }

    fn number(&self, wrong: Wrong) -> usize {
        self.counts.get(&wrong).copied().unwrap_or(0)
    }

    fn text(&self) -> String {
        let frozen = match self.guarded || !self.trial.ends_with("/kill") {
            true => self.number(Wrong::Frozen).to_string(),
            false => format!("{} (no guard)", self.number(Wrong::Frozen)),
        };
        let exits = match self.exits {
            [0, 0, 0] => String::new(),
            [done, warned, fatal] => format!("{done}/{warned}/{fatal}"),
        };
        format!(
            "{:<34} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>6} {:>6} {:>14}",
            self.trial,
            self.cases,
            self.whole,
            frozen,
            self.number(Wrong::Leaked),
            self.number(Wrong::Lost),
            self.number(Wrong::Untrue),
            self.number(Wrong::Silent),
            self.number(Wrong::Hung),
            exits,
        )
    }

    /// Leaves a line for the table, and the list of what went wrong.
    pub fn note(&self) {
        fs::create_dir_all(place()).expect("a place for the table");
        let name = self.trial.replace(['/', '>'], "-");
        fs::write(place().join(format!("{name}.row")), self.text() + "\n").expect("note a line");
        let mut sums: String =
            self.errors.iter().map(|(errno, [cases, whole])| format!("{errno} {cases} {whole}\n")).collect();
        if self.guarded && self.trial.ends_with("/kill") {
            sums += &format!("{FROZEN} {} 0\n", self.frozen.as_micros());
        }
        fs::write(place().join(format!("{name}.sums")), sums).expect("note the sums");
        let lines: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(place().join(format!("{name}.wrong")), lines).expect("note what is wrong");
    }

    /// What was wrong, class by class.
    pub fn report(&self) -> String {
        let mut classes: Vec<&(usize, String)> = self.classes.values().collect();
        classes.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let mut text = format!("{HEAD}\n{}\n", self.text());
        for (count, first) in classes.iter().take(12) {
            text += &format!("{count:>5} x {first}\n");
        }
        if classes.len() > 12 {
            text += &format!("      and {} classes more\n", classes.len() - 12);
        }
        text
    }
}

/// What is wrong and where, whatever the call was: without values, and without numbers.
fn class_of(fault: &str) -> String {
    let mut class = String::new();
    for c in fault.split(": ").take(2).flat_map(str::chars) {
        match c.is_ascii_digit() {
            true if class.ends_with('#') => {}
            true => class.push('#'),
            false => class.push(c),
        }
    }
    class
}

const HEAD: &str = "trial                               cases  whole frozen leaked   lost  untrue silent   hung  done/warned/1";

fn place() -> PathBuf {
    target().join("crash")
}

/// The mark of a time among the sums of a trial, in microseconds.
const FROZEN: &str = "frozen";

/// What trials left in files of this kind.
fn left(kind: &str) -> Vec<String> {
    let mut texts: Vec<String> = fs::read_dir(place())
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|end| end == kind))
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect();
    texts.sort();
    texts
}

/// The tables as far as they were told: trial by trial, error by error; and how long anybody was frozen.
pub fn read() -> String {
    let mut text = format!("{HEAD}\n{}", left("row").concat());
    let mut errors: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    let mut longest = None;
    for line in left("sums").iter().flat_map(|sums| sums.lines()) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, first, second] = fields[..] else { continue };
        let [first, second] = [first, second].map(|number| number.parse().unwrap_or(0));
        if name == FROZEN {
            longest = longest.max(Some(first));
        } else {
            let sums = errors.entry(name.to_string()).or_default();
            sums[0] += first;
            sums[1] += second;
        }
    }
    if !errors.is_empty() {
        text += "\nerror            cases  whole\n";
    }
    for (errno, [cases, whole]) in errors {
        text += &format!("{errno:<15} {cases:>6} {whole:>6}\n");
    }
    if let Some(longest) = longest {
        text +=
            &format!("\nlongest time frozen after a death, with the guard alive: {longest} microseconds\n");
    }
    text
}
