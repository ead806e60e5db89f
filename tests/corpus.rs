// SPDX-License-Identifier: GPL-3.0-only
//! The corpus of the fuzz targets, replayed without a fuzzer: `fuzz/corpus/TARGET/*`.

#[path = "../fuzz/inputs.rs"]
mod inputs;

use std::fs;
use std::path::Path;

/// Every file of a target's corpus; a target without one is a mistake.
fn replay(target: &str, what: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut replayed = 0;
    for file in fs::read_dir(&dir).expect("the corpus is in the repository") {
        let path = file.expect("a corpus can be listed").path();
        println!("{}", path.display());
        what(&fs::read(&path).expect("a corpus can be read"));
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", dir.display());
}

#[test]
fn profiles_of_the_corpus_are_read_as_they_are_written() {
    replay("profile", inputs::profile);
}

#[test]
fn mount_tables_of_the_corpus_come_out_the_same_however_they_are_cut() {
    replay("mountinfo", inputs::mountinfo);
}

#[test]
fn options_of_the_corpus_are_taken_apart() {
    replay("options", inputs::options);
}

#[test]
fn arguments_of_the_corpus_are_taken_or_refused() {
    replay("arguments", inputs::arguments);
}

#[test]
fn plans_of_the_corpus_are_made_twice_the_same() {
    replay("plan", inputs::plan);
}
