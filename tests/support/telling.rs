// SPDX-License-Identifier: GPL-3.0-only
//! Stories as tests, one at a time, and the table of what became of them. Each story leaves a line in a file of its own,
//! so that stories told by many processes (cargo-nextest starts one for each) still make one table.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use libtest_mimic::{Arguments, Failed, Trial};

use super::program::{is_emulated, target};
use super::sandbox;
use super::story::Story;

/// A collection of stories.
pub struct Telling {
    /// `target/NAME.txt` is its table, `target/NAME/` has the lines.
    pub name: &'static str,
    /// Whether all of them can only be told where the program runs on the machine itself.
    pub natively: bool,
    /// Tells one of them.
    pub tell: fn(&Story) -> Result<(), Failed>,
    /// Makes the table from the lines, each a verdict, a tabulator and a title.
    pub table: fn(&[String]) -> String,
}

impl Telling {
    /// Tells those stories that are asked for, besides other tests.
    pub fn run(&self, stories: Vec<Story>, mut trials: Vec<Trial>) -> ! {
        let mut arguments = Arguments::from_args();
        arguments.test_threads = Some(1); // mounting is machine-wide work: one story at a time
        let listing = arguments.list;
        if let Err(why) = sandbox::possible() {
            if !listing {
                eprintln!("SKIPPED, all of {}: {why}", self.name);
            }
            libtest_mimic::run(&arguments, Vec::new()).exit();
        }
        self.forget_all_but(&stories);
        for story in stories {
            let cannot = (self.natively || story.natively) && is_emulated();
            if cannot && !listing {
                eprintln!("SKIPPED, an emulator cannot do it: {}", story.title);
            }
            let tell = self.tell;
            trials.push(Trial::test(story.title, move || tell(&story)).with_ignored_flag(cannot));
        }
        let conclusion = libtest_mimic::run(&arguments, trials);
        if !listing && conclusion.num_filtered_out == 0 {
            print!("{}", fs::read_to_string(self.file()).unwrap_or_default());
        }
        conclusion.exit()
    }

    fn file(&self) -> PathBuf {
        target().join(self.name).with_extension("txt")
    }

    /// Removes the lines of stories that are no longer told.
    fn forget_all_but(&self, stories: &[Story]) {
        let titles: BTreeSet<String> = stories.iter().map(|story| slug(story.title)).collect();
        assert_eq!(titles.len(), stories.len(), "two stories have the same title");
        for old in fs::read_dir(target().join(self.name)).into_iter().flatten().filter_map(Result::ok) {
            if !titles.contains(&*old.file_name().to_string_lossy()) {
                let _ = fs::remove_file(old.path());
            }
        }
    }

    /// Notes what became of a story, and writes the table anew.
    pub fn note(&self, title: &str, verdict: &str) {
        let place = target().join(self.name);
        fs::create_dir_all(&place).expect("a place for verdicts");
        fs::write(place.join(slug(title)), format!("{verdict}\t{title}\n")).expect("note a verdict");
        let mut lines: Vec<String> = fs::read_dir(place)
            .expect("the verdicts")
            .filter_map(Result::ok)
            .filter_map(|entry| fs::read_to_string(entry.path()).ok())
            .collect();
        lines.sort_by(|a, b| a.split('\t').next_back().cmp(&b.split('\t').next_back()));
        fs::write(self.file(), (self.table)(&lines)).expect("write the table");
    }
}

fn slug(title: &str) -> String {
    let mut name: String =
        title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    name.truncate(200);
    name
}
