// SPDX-License-Identifier: GPL-3.0-only
//! The examples of the specification, each as files in `tests/data/EXAMPLE/`, one set for every stage:
//!
//! * `STAGE.desired`, `STAGE.record`: the two profiles; a record that is missing is empty
//! * `STAGE.facts`: what there is, see [`planning::Facts`]
//! * `STAGE.plan`: the plan as it is printed. `UPDATE_GOLDEN=1` writes it anew; then read it against the text.
//!
//! Comments in the desired profiles say what differs from the text on purpose.
#![allow(missing_docs)]

mod planning;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use planning::Facts;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// The stages of an example, by the names of their desired profiles.
fn stages(example: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(example).unwrap_or_else(|e| panic!("{}: {e}", example.display()));
    let mut stages: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    stages.retain(|path| path.extension().is_some_and(|kind| kind == "desired"));
    stages.sort();
    stages
}

fn check(example: &str) {
    let mut wrong = String::new();
    let stages = stages(&data().join(example));
    assert!(!stages.is_empty(), "{example} has no stage");
    for stage in stages {
        let read = |kind: &str| fs::read_to_string(stage.with_extension(kind)).unwrap_or_default();
        let facts = Facts::parse(&read("facts"));
        let plan = planning::plan(
            &read("record"),
            &fs::read_to_string(&stage).unwrap(),
            |plan| facts.answer(plan),
            planning::printed,
        );
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(stage.with_extension("plan"), &plan).unwrap();
        } else if plan != read("plan") {
            wrong += &format!("{}:\n{plan}expected:\n{}", stage.display(), read("plan"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// One test for each example, and one for those that nobody named.
macro_rules! examples {
    ($($test:ident: $dir:literal,)*) => {
        $(#[test] fn $test() { check($dir) })*

        #[test]
        fn every_example_has_its_test() {
            let named = BTreeSet::from([$($dir.to_owned()),*]);
            let there = fs::read_dir(data()).unwrap();
            let there = there.map(|dir| dir.unwrap().file_name().into_string().unwrap());
            assert_eq!(there.collect::<BTreeSet<_>>(), named);
        }
    };
}

examples! {
    example_a_mounts_by_class_then_what_exists_then_by_mimic: "example-a",
    example_b_mounts_the_parallel_instance_first: "example-b",
    example_c_redoes_what_a_refresh_changes_and_keeps_the_mimic: "example-c",
    example_d_redoes_what_lies_in_a_changed_mount_but_not_its_neighbours: "example-d-neighbours",
    example_d_changes_an_inner_mount_alone: "example-d-inner",
    example_d_keeps_the_root: "example-d-root",
    example_d_mounts_one_of_two_entries_of_one_target: "example-d-twins",
    example_d_hands_a_mimic_over: "example-d-heir",
    the_example_of_2026_mounts_content_before_layouts: "passes-of-2026",
    a_layout_shows_what_is_connected_now: "content-in-layout",
    a_real_entry_covers_the_part_of_a_mimic: "mimic-part-covered",
}
