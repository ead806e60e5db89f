// SPDX-License-Identifier: GPL-3.0-only
//! Records that another version wrote: an upgrade meets them, and a downgrade leaves ours to the older version.
//! In each pair the second telling is the original's alone, so *equal* means that the handover was not noticed.

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
