// SPDX-License-Identifier: GPL-3.0-only
//! The record is not what was mounted: lost, cut off, turned round, of another namespace, or of a run that failed.

use crate::deeds::*;
use crate::support::sandbox::Sandbox;
use crate::support::story::*;
use crate::{ends, ends_with_snapd};

/// Three entries of three kinds; none needs a mimic.
const PLAIN: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0
    /var/snap/acorn/common/conf /opt/readme none bind,x-snapd.kind=file 0 0
    tmpfs /srv/site tmpfs mode=0755 0 0";
/// Two, the second in a mimic.
const WITH_MIMIC: &str = "/var/snap/acorn/common/b /srv/site none bind 0 0
    /var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0";

pub fn stories() -> Vec<Story> {
    [lost(), wrong(), older()].into_iter().flatten().collect()
}

fn plain() -> [Expect; 7] {
    [
        exit("0"),
        file("/opt/spare/v", "common a"),
        file("/opt/readme", "common conf"),
        gone("/srv/site/v"),
        layers("/opt/spare", 1),
        layers("/opt/readme", 1),
        layers("/srv/site", 1),
    ]
}

fn with_mimic() -> [Expect; 6] {
    [
        exit("0"),
        file("/srv/site/v", "common b"),
        file("/opt/fresh/v", "common a"),
        file("/opt/spare/v", "spare"),
        layers("/opt", 2),
        layers("/opt/fresh", 1),
    ]
}

/// Writes a record.
fn rewrite(sandbox: &Sandbox, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(sandbox.record()).expect("read the record");
    std::fs::write(sandbox.record(), change(&text)).expect("write the record");
}

fn lost() -> Vec<Story> {
    vec![
        ends(
            story("the record was lost, and everything was mounted a second time")
                .desire(PLAIN)
                .run()
                .both(plain())
                .disturb(preserve)
                .disturb(|sandbox| rewrite(sandbox, |_| format!("{ROOTFS}\n")))
                .refresh()
                .both(plain())
                .both([recorded("/opt/spare"), recorded("/opt/readme"), recorded("/srv/site")]),
        ),
        ends_with_snapd(
            story("the whole file of the record was gone, and everything was mounted a second time")
                .desire(PLAIN)
                .run()
                .both(plain())
                .disturb(preserve)
                .disturb(|sandbox| rm(&sandbox.record().to_string_lossy()))
                .refresh()
                .both(plain()),
        ),
        ends(
            story("one line was missing in the record, and that mount was stacked")
                .desire(PLAIN)
                .run()
                .both(plain())
                .disturb(|sandbox| {
                    rewrite(sandbox, |text| {
                        text.lines()
                            .filter(|line| !line.contains("/opt/spare"))
                            .map(|line| format!("{line}\n"))
                            .collect()
                    })
                })
                .run()
                .both(plain()),
        ),
        story("the record was cut off in the middle of a line, and nobody said so")
            .desire(PLAIN)
            .run()
            .both(plain())
            // In the third line's second field: there is no telling what it was, so nothing is touched.
            .disturb(|sandbox| {
                rewrite(sandbox, |text| {
                    text.split_once(" /opt/readme ").map_or(text, |(before, _)| before).to_string() + " /opt"
                })
            })
            .run()
            .both([exit("1"), says("cannot"), layers("/opt/spare", 1), layers("/opt/readme", 1)])
            // When the record is taken away as a whole, what is there is found.
            .disturb(preserve)
            .disturb(|sandbox| rewrite(sandbox, |_| format!("{ROOTFS}\n")))
            .refresh()
            .both(plain())
            .desire("")
            .run()
            .both([exit("0"), as_at_first(), only_root()]),
        ends(
            story("the record was cut off between two fields, and that mount was stacked")
                .desire(PLAIN)
                .run()
                .both(plain())
                // What is left of the line can be read as an entry that never was.
                .disturb(|sandbox| {
                    rewrite(sandbox, |text| {
                        text.replacen("/opt/readme none bind,x-snapd.kind=file 0 0\n", "/opt/readm none", 1)
                    })
                })
                .run()
                .both(plain()),
        ),
        ends(
            story("every line was in the record twice, and unmounting was tried twice")
                .desire(WITH_MIMIC)
                .run()
                .both(with_mimic())
                .disturb(|sandbox| rewrite(sandbox, |text| text.to_string() + text))
                .run()
                .both(with_mimic()),
        ),
        ends(
            story("what we had noted beside the record was lost, and an empty folder stayed on the host")
                .desire("/snap/birch/1/export /var/snap/acorn/common/slot none bind,ro 0 0")
                .run()
                .both([file("/var/snap/acorn/common/slot/v", "birch export 1")])
                .disturb(|sandbox| {
                    let _ = std::fs::remove_file(format!("{}.made", sandbox.record().display()));
                })
                .run()
                .both([exit("0")])
                .desire("/snap/birch/2/export /var/snap/acorn/common/slot none bind,ro 0 0")
                .run()
                .both([file("/var/snap/acorn/common/slot/v", "birch export 2")]),
        )
        .both([gone("/var/snap/acorn/common/slot"), host_gone("/var/snap/acorn/common/slot")]),
    ]
}

fn wrong() -> Vec<Story> {
    const LINK: &str =
        "none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0";
    vec![
        ends(
            story("the namespace was made anew, the old record stayed, and nothing was mounted")
                .recorded(&format!("{ROOTFS}\n{PLAIN}"))
                .disturb(|_| ())
                .desire(PLAIN)
                .run()
                .both(plain())
                .both([warnings(0)]),
        ),
        ends(
            story("the namespace was made anew, and of the old record's mimic there was nothing")
                .desire(WITH_MIMIC)
                .run()
                .both(with_mimic())
                .disturb(|_| {
                    detach("/opt");
                    detach("/srv/site");
                })
                .run()
                .both(with_mimic())
                .both([warnings(0)]),
        ),
        story("the old record stayed, and disconnecting from the new namespace complains")
            .recorded(&format!("{ROOTFS}\n{PLAIN}"))
            .disturb(|_| ())
            .desire("")
            .run()
            .both([exit("0"), warnings(0), as_at_first(), only_root()]),
        story("nothing was there of what the old record names, and a mount of somebody else beside it was taken away")
            .recorded(&format!("{ROOTFS}\n/var/snap/acorn/common/a /srv/site none bind 0 0"))
            .disturb(|_| tmpfs("/opt/spare", "foreign"))
            .desire("/var/snap/acorn/common/b /opt/depot none bind 0 0")
            .run()
            .both([exit("0"), warnings(0), file("/opt/depot/v", "common b"), file("/opt/spare/v", "foreign")])
            .desire("")
            .run()
            .both([exit("0"), warnings(0), file("/opt/spare/v", "foreign"), layers("/opt/depot", 0)]),
        ends(
            story("after two updates by the older version the layout's link could never be removed")
                .desire(LINK)
                .run()
                .by_original()
                .run()
                .by_original()
                .both([exit("0"), link("/opt/link", "spare")])
                .disturb(|_| ())
                .desire("")
                .run()
                .both([exit("0"), warnings(0), as_at_first(), only_root()]),
        ),
        ends(
            story("the record was the wrong way round, and the mimic went before what was in it")
                .desire(WITH_MIMIC)
                .run()
                .both(with_mimic())
                .disturb(|sandbox| {
                    rewrite(sandbox, |text| text.lines().rev().map(|line| format!("{line}\n")).collect())
                })
                .run()
                .both(with_mimic())
                .both([warnings(0)]),
        ),
    ]
}

/// What the original leaves behind when it fails.
fn older() -> Vec<Story> {
    const GOOD: &str = "/var/snap/acorn/common/a /opt/spare none rbind,rw,x-snapd.origin=layout 0 0";
    const BAD: &str = "/var/snap/acorn/common/a /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
        /var/snap/acorn/common/conf /srv/site none rbind,rw,x-snapd.origin=layout 0 0";
    let interrupted = |story: Story, times: usize| {
        let mut story = story.desire(BAD);
        for _ in 0..times {
            story = story.run().by_original();
        }
        story.disturb(|_| ()).desire(GOOD).run().both([
            exit("0"),
            warnings(0),
            file("/opt/spare/v", "common a"),
        ])
    };
    vec![
        ends(interrupted(
            story("a refresh failed twice, and two mounts stay when the snap is disconnected"),
            2,
        )),
        ends(interrupted(
            story("a refresh failed twenty times, and twenty mounts stay when the snap is disconnected"),
            20,
        )),
        ends_with_snapd(
            story("an older snap-confine began the namespace and wrote no record")
                .desire(PLAIN)
                .run()
                .by_original()
                .both(plain())
                .disturb(preserve)
                .disturb(|sandbox| rm(&sandbox.record().to_string_lossy()))
                .refresh()
                .both(plain())
                .both([warnings(0)]),
        ),
        ends(
            story("the older version left no notes, and its empty folder stayed in the snap's data")
                .desire("/snap/birch/1/export /var/snap/acorn/common/slot none bind,ro 0 0")
                .run()
                .by_original()
                .both([file("/var/snap/acorn/common/slot/v", "birch export 1")])
                .disturb(|_| detach("/var/snap/acorn/common/slot"))
                .run()
                .both([exit("0"), file("/var/snap/acorn/common/slot/v", "birch export 1")]),
        )
        .both([gone("/var/snap/acorn/common/slot"), host_gone("/var/snap/acorn/common/slot")]),
    ]
}
