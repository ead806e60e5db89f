// SPDX-License-Identifier: GPL-3.0-only
//! Drift: the record says one thing, and the namespace is another. Each story is a user's complaint; one run has to
//! put it right, without stacking mounts and without guessing, a second run has nothing to do, and when the profile
//! becomes empty the namespace is as it was at first.
//!
//! Each is told by Debian's original and by ours, each in a namespace of its own, and both are judged by the same
//! expectations. Ours has to meet them all. What became of it with either is a line of `target/drift.txt`, in these
//! words:
//!
//! | word | means |
//! | --- | --- |
//! | made right | all is as expected |
//! | still wrong | what is seen is not what the profile asks for |
//! | lost | something that should be seen, or mounted, is not there |
//! | stacked | there are more mounts than asked for |
//! | left over | something stays when it should be gone |
//! | restless | a run that has nothing to do changes something |
//! | writes | such a run writes the record; not counted against the original, which always does |
//! | record wrong | the record is not what is there |
//! | fails, complains | the run fails, or warns without a reason |
//! | silent | what should be said is not |
//! | cannot begin | the story's beginning is beyond the program |

#[path = "../support/mod.rs"]
mod support;

#[path = "../stories/deeds.rs"]
#[allow(dead_code, reason = "each test crate uses its own part")]
mod deeds;

mod interrupted;
mod layers;
mod mimics;
mod mounts;
mod records;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use libtest_mimic::{Arguments, Failed, Trial};
use support::program::{Which, is_emulated, target};
use support::sandbox::{self, Sandbox};
use support::story::*;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1); // mounting is machine-wide work: one story at a time
    let listing = arguments.list;
    if let Err(why) = sandbox::possible() {
        if !listing {
            eprintln!("SKIPPED, all of drift: {why}");
        }
        libtest_mimic::run(&arguments, Vec::new()).exit();
    }
    let stories: Vec<Story> =
        [mounts::stories(), records::stories(), layers::stories(), mimics::stories(), interrupted::stories()]
            .into_iter()
            .flatten()
            .collect();
    let titles: BTreeSet<String> = stories.iter().map(|story| slug(story.title)).collect();
    assert_eq!(titles.len(), stories.len(), "two stories have the same title");
    forget_all_but(&titles);
    let trials = stories
        .into_iter()
        .map(|story| {
            let why = match story.awaits {
                Some(what) => Some(format!("waits for {what}")),
                None => is_emulated().then(|| "an emulator cannot tell mounts apart".to_string()),
            };
            if let Some(why) = why.as_ref().filter(|_| !listing) {
                eprintln!("SKIPPED, {why}: {}", story.title);
            }
            Trial::test(story.title, move || tell(&story)).with_ignored_flag(why.is_some())
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !listing && conclusion.num_filtered_out == 0 {
        print!("{}", fs::read_to_string(target().join("drift.txt")).unwrap_or_default());
    }
    conclusion.exit();
}

/// A second run has nothing to do; when nothing is wanted any more, all is as it was at first.
fn ends(story: Story) -> Story {
    rests(story).desire("").run().both([exit("0"), warnings(0), as_at_first(), only_root()])
}

/// The same, when it is snapd that starts the program: snap-confine only does so in a namespace that is new.
fn ends_with_snapd(story: Story) -> Story {
    let story = story.refresh().both([exit("0"), warnings(0), same(), not_saved()]);
    story.desire("").refresh().both([exit("0"), warnings(0), as_at_first(), only_root()])
}

/// The same, when in the end what the story had disturbed is put back by hand.
fn ends_when(story: Story, put_back: fn(&Sandbox)) -> Story {
    let story = rests(story).desire("").run().both([exit("0"), warnings(0), only_root()]);
    story.disturb(put_back).run().both([exit("0"), warnings(0), as_at_first()])
}

/// A second run has nothing to do.
fn rests(story: Story) -> Story {
    story.run().both([exit("0"), warnings(0), same(), not_saved()])
}

fn tell(story: &Story) -> Result<(), Failed> {
    let theirs = story.tell_alone(Which::Original)?;
    let ours = story.tell_alone(Which::Ours)?;
    note(story.title, &ours, &theirs);
    if std::env::var_os("STORIES_SHOW").is_some() {
        eprintln!("the original:\n{}", theirs.faults);
    }
    match ours.words.is_empty() {
        true => Ok(()),
        false => Err(Failed::from(ours.faults)),
    }
}

/// Where each story leaves its line; a process may tell only one of them.
fn place() -> PathBuf {
    target().join("drift")
}

fn forget_all_but(titles: &BTreeSet<String>) {
    let Ok(old) = fs::read_dir(place()) else { return };
    for name in old.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        if !titles.contains(&name) {
            let _ = fs::remove_file(place().join(name));
        }
    }
}

/// Notes what became of a story, and writes the table anew.
fn note(title: &str, ours: &Verdict, theirs: &Verdict) {
    // That the original writes its record at every run is known, and no fault of what is seen (L38).
    let words = |verdict: &Verdict, known: &str| {
        let words: Vec<&str> = verdict.words.iter().copied().filter(|word| *word != known).collect();
        if words.is_empty() { "made right".to_string() } else { words.join(", ") }
    };
    fs::create_dir_all(place()).expect("a place for verdicts");
    let line = format!("{}\t{}\t{title}\n", words(ours, ""), words(theirs, "writes"));
    fs::write(place().join(slug(title)), line).expect("note a verdict");
    let mut lines: Vec<String> = fs::read_dir(place())
        .expect("the verdicts")
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect();
    lines.sort_by(|a, b| a.split('\t').next_back().cmp(&b.split('\t').next_back()));
    let mut table = format!("{:<12} {:<44} complaint\n", "ours", "the original");
    let mut right = [0, 0];
    for line in &lines {
        let mut fields = line.trim_end().split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let (ours, theirs, title) = (next(), next(), next());
        right[0] += usize::from(ours == "made right");
        right[1] += usize::from(theirs == "made right");
        table += &format!("{ours:<12} {theirs:<44} {title}\n");
    }
    table += &format!(
        "\n{} complaints; made right by ours: {}; by the original: {}\n",
        lines.len(),
        right[0],
        right[1]
    );
    fs::write(target().join("drift.txt"), table).expect("write the table");
}

fn slug(title: &str) -> String {
    let mut name: String =
        title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    name.truncate(200);
    name
}
