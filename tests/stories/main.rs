// SPDX-License-Identifier: GPL-3.0-only
//! The same stories with Debian's `snap-update-ns` and with ours, in a namespace of their own each, and the states
//! compared: see `support::story` for the rules and `support::sandbox` for the world.
//!
//! Each story is a test of its own. What became of it is noted in `target/stories/`, and the table of all is
//! `target/stories.txt`; when all are told by one process, it is printed at the end.

#[path = "../support/mod.rs"]
mod support;

mod binds;
mod contexts;
mod deeds;
mod faults;
mod lives;
mod mimics;
mod profiles;
mod records;
mod table;

use libtest_mimic::{Arguments, Failed, Trial};
use support::sandbox;
use support::story::Story;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1); // mounting is machine-wide work: one story at a time
    let listing = arguments.list;
    if let Err(why) = sandbox::possible() {
        if !listing {
            eprintln!("SKIPPED, all stories: {why}");
        }
        libtest_mimic::run(&arguments, Vec::new()).exit();
    }
    let stories: Vec<Story> = [
        binds::stories(),
        contexts::stories(),
        faults::stories(),
        lives::stories(),
        mimics::stories(),
        profiles::stories(),
        records::stories(),
    ]
    .into_iter()
    .flatten()
    .collect();
    table::forget_all_but(&stories);
    let trials = stories.into_iter().map(|story| Trial::test(story.title, move || tell(&story))).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !listing && conclusion.num_passed + conclusion.num_failed > 1 {
        print!("{}", table::read());
    }
    conclusion.exit();
}

fn tell(story: &Story) -> Result<(), Failed> {
    let told = story.tell();
    table::note(story.title, &told);
    told.map(|_| ()).map_err(Failed::from)
}
