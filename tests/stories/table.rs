// SPDX-License-Identifier: GPL-3.0-only
//! The table of stories.

use std::collections::BTreeMap;

/// What became of a story.
pub fn verdict(told: &Result<Vec<&'static str>, String>) -> String {
    match told {
        Ok(rows) if rows.is_empty() => "equal".to_string(),
        Ok(rows) => format!("intended {}", rows.join(" ")),
        Err(_) => "OTHER".to_string(),
    }
}

/// The table of all.
pub fn table(lines: &[String]) -> String {
    let count = |verdict: &str| lines.iter().filter(|line| line.starts_with(verdict)).count();
    let mut table = String::new();
    for line in lines {
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
