// SPDX-License-Identifier: GPL-3.0-only
//! Records that another version wrote: an upgrade meets them, and a downgrade leaves ours to the older version.
//! In each pair the second telling is the original's alone, so *equal* means that the handover was not noticed.

use crate::deeds::*;
use crate::support::story::*;

/// What the pairs are tried with, as in the table of the 2026 text.
const VARIANTS: [(&str, &str); 5] = [
    ("content", "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0"),
    ("content with a mimic", "/snap/birch/1/export /snap/acorn/1/newdir none bind,ro 0 0"),
    ("a layout with a mimic", "/snap/acorn/1/lib /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0"),
    (
        "a symbolic link in a mimic",
        "none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0",
    ),
    ("a tmpfs in a mimic", "tmpfs /opt/scratch tmpfs x-snapd.origin=layout 0 0"),
];

pub fn stories() -> Vec<Story> {
    [pairs(), constellations(), discarded()].into_iter().flatten().collect()
}

/// S1 to S5 of the 2026 text, as far as 2.57.6 can take part.
fn constellations() -> Vec<Story> {
    const MORE: &str = "/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0\n";
    const BOTH: &str = "/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0
        /snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0";
    const NESTED: &str = "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0
        /snap/birch/1/more /snap/acorn/1/import/sub none bind,ro 0 0";
    const OVER: &str = "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
        /snap/acorn/1/data /opt/spare none rbind,rw,x-snapd.origin=layout 0 0";
    const OVER_2: &str = "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
        /snap/acorn/2/data /opt/spare none rbind,rw,x-snapd.origin=layout 0 0";
    let clean = || {
        [exit("0"), record(&[ROOTFS]), layers("/opt", 1), layers("/opt/spare", 0), layers("/snap/acorn/1", 1)]
    };
    const IMPORT: [&str; 4] =
        ["view /snap/acorn/1/import", "mount /snap/acorn/1/import", "layers /snap/acorn/1/import", "record"];
    const SPARE: [&str; 4] = ["view /opt/spare", "mount /opt/spare", "layers /opt/spare", "record"];
    vec![
        story("S1: what the older version skipped over a mimic's child, ours mounts, and the older one takes down")
            .desire(MORE)
            .run()
            .by_original()
            .desire(BOTH)
            .run()
            .by_original()
            .run()
            .both([exit("0")])
            .differs("L5", IMPORT, [file("/snap/acorn/1/import/v", "birch export 1")])
            .run()
            .by_original()
            .differs("L5", IMPORT, [file("/snap/acorn/1/import/v", "birch export 1")])
            .desire("")
            .run()
            .by_original()
            .both(clean()),
        story("S2: the older version takes down what ours mounted over a mimic's child")
            .desire(BOTH)
            .run()
            .ignoring(["record", "layers"])
            .desire("")
            .run()
            .by_original()
            .both(clean()),
        story("S3: nested content that the older version made is stable with ours")
            .desire(NESTED)
            .run()
            .by_original()
            .run()
            .both([file("/snap/acorn/1/import/v", "birch export 1"), file("/snap/acorn/1/import/sub/v", "birch more 1")])
            .run()
            .both([file("/snap/acorn/1/import/v", "birch export 1"), file("/snap/acorn/1/import/sub/v", "birch more 1")])
            .desire("")
            .run()
            .both(clean()),
        story("S4: a layout that the older version mounted twice over a mimic's child changes, and leaves nothing").natively()
            .desire(OVER)
            .run()
            .by_original()
            .desire(OVER_2)
            .run()
            .both([exit("0")])
            .differs("L5", SPARE, [file("/opt/spare/v", "acorn data 2")])
            .desire("")
            .run()
            .both(clean()),
        story("S5: a layout that ours made over a mimic's child is kept and taken down by the older version")
            .desire(OVER)
            .run()
            .ignoring(["record", "layers"])
            .run()
            .by_original()
            .both([exit("0"), file("/opt/spare/v", "acorn data 1")])
            .ignoring(["record", "layers"])
            .desire("")
            .run()
            .by_original()
            .both(clean()),
    ]
}

/// A namespace is thrown away with its record; whatever else lies beside the record is stale then.
fn discarded() -> Vec<Story> {
    const SLOT: &str = "/snap/birch/1/export /var/snap/acorn/common/slot none bind,ro 0 0
        /var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0";
    vec![
        story("what lies beside a record that is gone does no harm")
            .desire(SLOT)
            .run()
            .disturb(|sandbox| {
                for path in ["/var/snap/acorn/common/slot", "/opt/fresh", "/opt"] {
                    detach(path);
                }
                std::fs::write(sandbox.record(), format!("{ROOTFS}\n")).expect("write the record anew");
            })
            .disturb(|_| bind("/srv", "/opt"))
            .desire("/var/snap/acorn/common/b /srv/site none bind 0 0")
            .run()
            .both([
                exit("0"),
                warnings(0),
                file("/srv/site/v", "common b"),
                dir("/var/snap/acorn/common/slot"),
            ])
            .desire("")
            .run()
            .both([exit("0"), dir("/var/snap/acorn/common/slot"), record(&[ROOTFS])]),
        story("notes without sense beside the record do no harm")
            .disturb(|_| {
                write("/run/snapd/ns/snap.acorn.fstab.made", "\u{0}/etc\n../..\n/var/snap/acorn/common/a\n")
            })
            .desire(SLOT)
            .run()
            .both([exit("0"), file("/var/snap/acorn/common/slot/v", "birch export 1")])
            .desire("")
            .run()
            .both([
                exit("0"),
                record(&[ROOTFS]),
                dir("/var/snap/acorn/common/a"),
                file("/etc/hosts", "localhost"),
            ]),
    ]
}

fn pairs() -> Vec<Story> {
    VARIANTS
        .iter()
        .flat_map(|(what, profile)| {
            let titled =
                |rest: &str| story(Box::leak(format!("{what}: {rest}").into_boxed_str())).desire(profile);
            let clean = [exit("0"), record(&[ROOTFS]), layers("/opt", 1), layers("/snap/acorn/1", 1)];
            let upgrade = titled("the older version builds, ours takes down");
            let reversed = titled("the older version builds and reverses, ours takes down");
            let unchanged = titled("the older version builds, ours runs unchanged and takes down");
            let downgrade = titled("ours builds, the older version takes down");
            let mixed = titled("ours builds, the older version runs unchanged and ours takes down");
            let symlink = *what == "a symbolic link in a mimic";
            // The older version alone stumbles over the record that it reversed (L1).
            let healed = |story: Story| match symlink {
                true => story.differs("L1", ["exit", "stdout", "record"], clean.clone()),
                false => story.both(clean.clone()),
            };
            [
                upgrade.run().by_original().desire("").run().both(clean.clone()),
                healed(reversed.run().by_original().run().by_original().desire("").run()),
                healed(unchanged.run().by_original().run().desire("").run()),
                downgrade.run().desire("").run().by_original().both(clean.clone()),
                healed(mixed.run().run().by_original().desire("").run()),
            ]
        })
        .collect()
}
