// SPDX-License-Identifier: GPL-3.0-only
//! The same stories with Debian's `snap-update-ns` and with ours, in a namespace of their own each, and the states
//! compared: see `support::story` for the rules and `support::sandbox` for the world.
//!
//! Each story is a test of its own. What became of it is noted in `target/stories/`, and the table of all is
//! `target/stories.txt`; when all are told by one process, it is printed at the end.
//!
//! Rows of `docs/compatibility.md` that stories announce, besides the known faults L1–L45 and N1–N7:
//!
//! | row | ours, where Debian's 2.57.6 does something else |
//! | --- | --- |
//! | V1 | the record is written class by class, kept entries in their old order |
//! | V2 | the kind `ensure-dir` and the user's home are known |
//! | V3 | the placeholder `/tmp/.X11-unix` has mode 01777 |
//! | V4 | a line may have more than six fields; the text for fewer than three |
//! | V5 | capabilities are checked before anything else |
//! | V6 | the record belongs to root, whoever started the program |
//! | V7 | the opt-in log is written |
//! | V8 | without control groups there is no freezing, and no update |
//! | V9 | processes must really be frozen |
//! | V10 | per-user mounts for a user with three ambient capabilities |
//! | V11 | all content is mounted before any layout |
//! | V12 | a mimic over a source is noted under the entry's id, and so kept; 2.57.6 notes the source and rebuilds it |
//! | P1 | a layout is made again when the content at its source changed |
//! | P2 | layouts after a failing one are made |
//! | P3 | a bind whose source was replaced is made again |

#[path = "../support/mod.rs"]
mod support;

mod binds;
mod contexts;
#[allow(dead_code, reason = "shared with tests/drift")]
mod deeds;
mod faults;
mod lives;
mod mimics;
mod profiles;
mod records;
mod table;

use libtest_mimic::{Failed, Trial};
use support::story::Story;
use support::telling::Telling;

const STORIES: Telling = Telling { name: "stories", natively: false, tell, table: table::table };

fn main() {
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
    let papers = papers(&stories);
    STORIES.run(stories, vec![papers]);
}

fn tell(story: &Story) -> Result<(), Failed> {
    let told = story.tell();
    STORIES.note(story.title, &table::verdict(&told));
    told.map(|_| ()).map_err(Failed::from)
}

/// What is announced in a story must be explained to people.
fn papers(stories: &[Story]) -> Trial {
    let mut rows: Vec<&str> = stories.iter().flat_map(Story::rows).collect();
    rows.sort_unstable();
    rows.dedup();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");
    let text = std::fs::read_to_string(page).ok();
    let missing = text.is_none();
    Trial::test("every intended difference is a row of docs/compatibility.md", move || {
        let text = text.ok_or("there is no docs/compatibility.md")?;
        let unexplained: Vec<&str> =
            rows.into_iter().filter(|row| !text.contains(&format!("| {row} |"))).collect();
        match unexplained.is_empty() {
            true => Ok(()),
            false => Err(Failed::from(format!("rows that are missing there: {}", unexplained.join(" ")))),
        }
    })
    .with_ignored_flag(missing)
}
