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

use libtest_mimic::Failed;
use support::program::Which;
use support::sandbox::Sandbox;
use support::story::*;
use support::telling::Telling;

const DRIFT: Telling = Telling { name: "drift", natively: true, tell, table };

fn main() {
    let stories =
        [mounts::stories(), records::stories(), layers::stories(), mimics::stories(), interrupted::stories()];
    DRIFT.run(stories.into_iter().flatten().collect(), Vec::new());
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

/// Notes what became of a story with either.
fn note(title: &str, ours: &Verdict, theirs: &Verdict) {
    // That the original writes its record at every run is known, and no fault of what is seen (L38).
    let words = |verdict: &Verdict, known: &str| {
        let words: Vec<&str> = verdict.words.iter().copied().filter(|word| *word != known).collect();
        if words.is_empty() { "made right".to_string() } else { words.join(", ") }
    };
    DRIFT.note(title, &format!("{}\t{}", words(ours, ""), words(theirs, "writes")));
}

fn table(lines: &[String]) -> String {
    let mut table = format!("{:<12} {:<44} complaint\n", "ours", "the original");
    let mut right = [0, 0];
    for line in lines {
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
    table
}
