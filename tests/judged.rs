// SPDX-License-Identifier: GPL-3.0-only
//! What the planner makes of a mount table that is not what the record says: small tables, written by hand, and the
//! plan over them as it is printed.
#![allow(missing_docs)]

mod planning;

use planning::{plan_over, printed};
use snap_update_ns::plan::Removal;

const ROOT: &str = "1 0 8:1 / / rw - ext4 none rw\n";
/// A mimic over `/opt`, its one part, and an entry in it.
const MIMIC: &str = "\
tmpfs /opt tmpfs x-snapd.synthetic,x-snapd.needed-by=/opt/new,mode=0755 0 0
/opt/box /opt/box none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/new 0 0
/a /opt/new none bind 0 0
";
const MIMIC_MOUNTS: &str = "\
2 1 0:9 / /opt rw - tmpfs tmpfs rw
3 2 8:1 /opt/box /opt/box rw - ext4 none rw
4 2 8:1 /a /opt/new rw - ext4 none rw
";

fn planned(mounts: &str, record: &str, desired: &str) -> Vec<String> {
    plan_over(&format!("{ROOT}{mounts}"), record, desired, |plan, _| {
        printed(plan)
            .lines()
            .map(|line| line.split(" none ").next().unwrap_or_default().to_string())
            .collect()
    })
}

fn changes(mounts: &str, record: &str, desired: &str) -> bool {
    plan_over(&format!("{ROOT}{mounts}"), record, desired, |plan, _| plan.changes_anything())
}

/// The lines that are not synthetic.
fn real(record: &str) -> String {
    record.lines().filter(|line| !line.contains("synthetic")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_mimic_that_is_whole_stays() {
    assert!(!changes(MIMIC_MOUNTS, MIMIC, &real(MIMIC)));
}

#[test]
fn a_mimic_without_its_part_goes() {
    let mounts = MIMIC_MOUNTS.replace("/opt/box /opt/box", "/opt/other /opt/other");
    assert!(changes(&mounts, MIMIC, &real(MIMIC)));
}

#[test]
fn a_mimic_that_a_later_entry_covers_is_whole() {
    let record = format!("{MIMIC}/b /opt none bind,x-snapd.origin=layout 0 0\n");
    let mounts = format!("{MIMIC_MOUNTS}5 2 8:1 /b /opt rw - ext4 none rw\n");
    assert!(!changes(&mounts, &record, &real(&record)));
    // And so is one below the directory that is covered.
    let down = |text: &str| text.replace("/opt", "/opt/depot");
    let record = format!("{}/b /opt none bind,x-snapd.origin=layout 0 0\n", down(MIMIC));
    let mounts = format!("{}5 1 8:1 /b /opt rw - ext4 none rw\n", down(MIMIC_MOUNTS));
    assert!(!changes(&mounts, &record, &real(&record)));
}

#[test]
fn a_mimic_without_parts_is_not_taken_for_a_tmpfs_on_the_same_directory() {
    let without = |text: &str| -> String {
        text.lines().filter(|line| !line.contains("box")).map(|line| format!("{line}\n")).collect()
    };
    let record = format!("{}tmpfs /opt tmpfs x-snapd.origin=layout 0 0\n", without(MIMIC));
    let mounts = format!("{}5 2 0:10 / /opt rw - tmpfs tmpfs rw\n", without(MIMIC_MOUNTS));
    assert!(!changes(&mounts, &record, &real(&record)));
}

#[test]
fn what_was_removed_is_taken_off_its_target_also_when_it_is_on_no_record() {
    let mounts = "2 1 8:1 /a//deleted /opt/new rw - ext4 none rw\n";
    assert_eq!(
        planned(mounts, "", "/a /opt/new none bind 0 0\n"),
        ["unmount, to be mounted again: /a /opt/new", "mount /a /opt/new"]
    );
}

#[test]
fn a_mimic_that_was_about_to_go_goes() {
    // Nothing in it could be bound.
    let mounts = MIMIC_MOUNTS.replace("/opt rw - tmpfs", "/opt rw unbindable - tmpfs");
    assert!(changes(&mounts, MIMIC, &real(MIMIC)));
}

#[test]
fn what_lies_on_a_mount_of_a_later_entry_is_found() {
    // Mounted by a run that was killed, and by a later one that could not see what it was.
    let mounts = "2 1 8:1 /c /opt rw - ext4 none rw\n3 2 8:1 /a /opt rw - ext4 none rw\n";
    let (record, desired) = ("/a /opt none bind 0 0\n", "/c /opt none bind 0 0\n");
    plan_over(&format!("{ROOT}{mounts}"), record, desired, |plan, _| {
        let goes = plan.items.iter().find(|item| !item.desired).expect("what is on record");
        // The last line of the table.
        assert_eq!(goes.mount.0, 2);
    });
}

#[test]
fn what_somebody_else_has_mounted_is_not_taken_away() {
    let mounts = "2 1 8:1 /b /opt/new rw - ext4 none rw\n";
    assert_eq!(planned(mounts, "", "/a /opt/new none bind 0 0\n"), ["mount /a /opt/new"]);
}

#[test]
fn what_is_there_already_is_adopted() {
    let mounts = "2 1 8:1 /a /opt/new rw - ext4 none rw\n";
    assert_eq!(planned(mounts, "", "/a /opt/new none bind 0 0\n"), ["adopt /a /opt/new"]);
}

#[test]
fn a_bind_of_a_directory_is_made_again_when_a_mimic_comes_over_that() {
    // Its source becomes the mimic; that is known only from where the new entry's target would be made.
    let record = "/opt /srv/view none bind 0 0\n";
    let desired = "/opt /srv/view none bind 0 0\n/a /opt/new none bind 0 0\n";
    let printed = planning::plan(
        record,
        desired,
        |plan| planning::Facts::parse("/opt/\n/srv/view/\n/a/\nread-only /opt\n").answer(plan),
        printed,
    );
    assert!(printed.contains("unmount, to be mounted again: /opt /srv/view"), "{printed}");
}

#[test]
fn an_entry_waits_that_covers_the_source_of_one_before_it() {
    // The second is mounted in the second round, after what makes its target; so the layout has to wait for it.
    let desired =
        "/a /opt none bind 0 0\n/etc /opt/x none bind 0 0\n/b /etc none bind,x-snapd.origin=layout 0 0\n";
    let order: Vec<String> = plan_over(ROOT, "", desired, |plan, _| {
        let entries = plan.schedule.iter().filter_map(|at| plan.items.get(*at as usize));
        entries.map(|item| String::from_utf8_lossy(item.entry.dir).into_owned()).collect()
    });
    assert_eq!(order, ["/opt", "/opt/x", "/etc"]);
}

/// A bind, one on it, and the new sources that the first may have.
const NESTED: &str = "/a /opt none rbind,rw 0 0\n/c /opt/sub none rbind,rw 0 0\n";
const NESTED_MOUNTS: &str = "2 1 8:1 /a /opt rw - ext4 none rw\n3 2 8:1 /c /opt/sub rw - ext4 none rw\n";

/// Whether each step of taking away waits until another mount has taken the place; and whether a process could look at a
/// moment at which something is missing.
fn gap(mounts: &str, record: &str, desired: &str) -> (Vec<bool>, bool) {
    plan_over(&format!("{ROOT}{mounts}"), record, desired, |plan, _| {
        let waits = plan.removals.iter().map(|removal| match removal {
            Removal::Item(at) => plan.items[*at as usize].replaced.get(),
            Removal::Mimic(_) => false,
        });
        (waits.collect(), plan.has_gap(true, &|| true))
    })
}

#[test]
fn what_is_mounted_on_an_entry_that_is_replaced_waits_with_it() {
    let desired = NESTED.replace("/a ", "/b ");
    assert_eq!(gap(NESTED_MOUNTS, NESTED, &desired), (vec![true, true], false));
    // Without the means every step is one.
    plan_over(&format!("{ROOT}{NESTED_MOUNTS}"), NESTED, &desired, |plan, _| {
        assert!(plan.has_gap(false, &|| true))
    });
    // Three of them.
    let third = "/d /opt/sub/sub none bind 0 0\n";
    let mounts = format!("{NESTED_MOUNTS}4 3 8:1 /d /opt/sub/sub rw - ext4 none rw\n");
    assert_eq!(
        gap(&mounts, &format!("{NESTED}{third}"), &format!("{desired}{third}")),
        (vec![true, true, true], false)
    );
}

#[test]
fn what_is_mounted_on_an_entry_that_is_no_bind_any_more_goes_first() {
    let desired = NESTED.replace("/a /opt none rbind,rw", "tmpfs /opt tmpfs rw");
    assert_eq!(gap(NESTED_MOUNTS, NESTED, &desired), (vec![false, false], true));
}

#[test]
fn what_is_mounted_where_an_entry_comes_anew_goes_first() {
    // Beneath that nobody would find it.
    let record = "/c /opt/sub none rbind,rw 0 0\n";
    let mounts = "3 1 8:1 /c /opt/sub rw - ext4 none rw\n";
    assert_eq!(gap(mounts, record, NESTED), (vec![false], true));
}

#[test]
fn what_is_mounted_on_an_entry_that_goes_for_good_goes_first() {
    let desired = "/c /opt/sub none rbind,rw 0 0\n";
    assert_eq!(gap(NESTED_MOUNTS, NESTED, desired), (vec![false, false], true));
}

#[test]
fn what_another_mount_will_cover_does_not_wait_for_its_successor() {
    let mounts = "2 1 8:1 /a /opt/sub rw - ext4 none rw\n";
    let desired = "/t /opt none rbind,ro 0 0\n/c /opt/sub none bind,x-snapd.origin=layout 0 0\n";
    assert_eq!(gap(mounts, "/a /opt/sub none bind,ro 0 0\n", desired), (vec![false], true));
}

/// A mount that could not be taken away, and on it that of the entry that came after.
const LEFT: &str = "/a /opt none bind 0 0\n/b /opt none bind 0 0\n";
const LEFT_MOUNTS: &str = "2 1 8:1 /a /opt rw unbindable - ext4 none rw\n3 2 8:1 /b /opt rw - ext4 none rw\n";

#[test]
fn what_could_not_be_taken_away_goes_with_what_lies_on_it() {
    let plan = planned(LEFT_MOUNTS, LEFT, "/b /opt none bind 0 0\n");
    assert!(plan.iter().any(|line| line == "mount /b /opt"), "{plan:?}");
}

#[test]
fn what_lies_beneath_somebody_elses_mount_is_not_waited_for() {
    let record = "/b /opt none bind 0 0\n";
    let mounts = "2 1 8:1 /a /opt rw unbindable - ext4 none rw\n3 2 8:1 /x /opt rw - ext4 none rw\n\
        4 3 8:1 /b /opt rw - ext4 none rw\n";
    assert!(!changes(mounts, record, record));
}

#[test]
fn what_could_not_be_taken_away_is_none_of_an_entry_that_is_never_mounted() {
    let desired = "/b /opt none bind 0 0\n/c /opt none bind 0 0\n";
    let plan = planned(LEFT_MOUNTS, LEFT, desired);
    assert!(plan.iter().any(|line| line == "mount /b /opt"), "{plan:?}");
    // Else it would stay, as another entry's.
    let table = format!("{ROOT}{LEFT_MOUNTS}");
    plan_over(&table, LEFT, desired, |plan, _| {
        let mount =
            |name: &[u8]| plan.items.iter().find(|item| item.entry.name == name).map(|item| item.mount);
        assert_eq!(mount(b"/c"), mount(b"/b"));
    });
}
