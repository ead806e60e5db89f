// SPDX-License-Identifier: GPL-3.0-only
//! The table of stories. Each story leaves a line in a file of its own, so that stories told by many processes
//! (cargo-nextest starts one for each) still make one table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::support::program::target;
use crate::support::story::Story;

fn place() -> PathBuf {
    target().join("stories")
}

/// Removes the lines of stories that are no longer told.
pub fn forget_all_but(stories: &[Story]) {
    let titles: BTreeSet<String> = stories.iter().map(|story| slug(story.title)).collect();
    assert_eq!(titles.len(), stories.len(), "two stories have the same title");
    let Ok(old) = fs::read_dir(place()) else { return };
    for name in old.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        if !titles.contains(&name) {
            let _ = fs::remove_file(place().join(name));
        }
    }
}

/// Notes what became of a story, and writes the table anew.
pub fn note(title: &str, told: &Result<Vec<&'static str>, String>) {
    let verdict = match told {
        Ok(rows) if rows.is_empty() => "equal".to_string(),
        Ok(rows) => format!("intended {}", rows.join(" ")),
        Err(_) => "OTHER".to_string(),
    };
    fs::create_dir_all(place()).expect("a place for verdicts");
    fs::write(place().join(slug(title)), format!("{verdict}\t{title}\n")).expect("note a verdict");
    fs::write(target().join("stories.txt"), make()).expect("write the table");
}

/// The table as it was last written.
pub fn read() -> String {
    fs::read_to_string(target().join("stories.txt")).unwrap_or_default()
}

fn make() -> String {
    let mut lines: Vec<String> = fs::read_dir(place())
        .expect("the verdicts")
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect();
    lines.sort_by(|a, b| a.split('\t').next_back().cmp(&b.split('\t').next_back()));
    let count = |verdict: &str| lines.iter().filter(|line| line.starts_with(verdict)).count();
    let mut table = String::new();
    for line in &lines {
        let (verdict, title) = line.trim_end().split_once('\t').unwrap_or(("OTHER", line));
        table += &format!("{verdict:<20} {title}\n");
    }
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for row in lines.iter().filter_map(|line| line.strip_prefix("intended ")) {
        for id in row.split('\t').next().unwrap_or_default().split(' ') {
            *rows.entry(id).or_default() += 1;
        }
    }
    let rows: Vec<String> = rows.iter().map(|(row, times)| format!("{row} in {times}")).collect();
    table += &format!("\nintended differences, and how many stories show each: {}\n", rows.join(", "));
    table += &format!(
        "{} stories: {} equal, {} with intended differences, {} with others\n",
        lines.len(),
        count("equal"),
        count("intended"),
        count("OTHER")
    );
    table
}

fn slug(title: &str) -> String {
    title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
