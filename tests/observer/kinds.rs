// SPDX-License-Identifier: GPL-3.0-only
//! The kinds of change, and what a process of the snap must go on seeing during each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mount::MountFlags;

use crate::eye::Watch::{self, Names, Replaced, Same};

/// When an error is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gapless {
    /// There is a gap, which is only measured; but for frozen observers.
    NotYet,
    /// Where the kernel knows the newer calls for mounting.
    WithNewerCalls,
    Always,
}

/// Two profiles that take turns.
pub struct Kind {
    /// What the update to the first profile is, and that to the second.
    pub titles: [&'static str; 2],
    /// In which circumstances each is without a gap already; in the end all have to be, with the newer calls.
    pub gapless: [Gapless; 2],
    pub profiles: [&'static str; 2],
    /// What there has to be before.
    pub prepare: fn(),
    /// What happens before each update.
    pub before: fn(),
    pub watch: &'static [Watch],
}

const NEIGHBOUR: Watch = Same("/srv/site/v", "common b");

const PLAIN: Kind = Kind {
    titles: ["", ""],
    gapless: [Gapless::WithNewerCalls; 2],
    profiles: ["", ""],
    prepare: || {},
    before: || {},
    watch: &[],
};

pub const KINDS: &[Kind] = &[
    Kind {
        titles: ["content refreshed"; 2],
        profiles: [
            "/snap/birch/1/export /snap/acorn/1/import none bind,rw 0 0
             /var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0",
            "/snap/birch/2/export /snap/acorn/1/import none bind,rw 0 0
             /var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        watch: &[NEIGHBOUR, Replaced("/snap/acorn/1/import/v", "birch export")],
        ..PLAIN
    },
    Kind {
        titles: ["content whose directory was replaced"; 2],
        profiles: ["/var/snap/birch/common/moving /snap/acorn/1/import none bind,rw 0 0
             /var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0"; 2],
        prepare: || directory("/var/snap/birch/common/moving", "moving"),
        before: || {
            // The old ones stay: somebody may be about to list one.
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let at = "/var/snap/birch/common/moving";
            directory(&format!("{at}.new"), "moving");
            fs::rename(at, format!("{at}.{}", NUMBER.fetch_add(1, Ordering::Relaxed))).expect("rename");
            fs::rename(format!("{at}.new"), at).expect("rename");
        },
        watch: &[
            NEIGHBOUR,
            Replaced("/snap/acorn/1/import/v", "moving"),
            Names("/snap/acorn/1/import", &["v"]),
        ],
        ..PLAIN
    },
    Kind {
        titles: ["file bind replaced"; 2],
        profiles: ["/var/snap/acorn/common/conf /opt/readme none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0"; 2],
        before: || {
            let at = "/var/snap/acorn/common/conf";
            fs::write(format!("{at}.new"), "common conf").expect("write");
            fs::rename(format!("{at}.new"), at).expect("rename");
        },
        watch: &[NEIGHBOUR, Replaced("/opt/readme", "common conf")],
        ..PLAIN
    },
    Kind {
        titles: ["layout follows its content"; 2],
        profiles: [
            "/snap/birch/1/export /snap/acorn/1/import none bind,rw 0 0
             /snap/acorn/1/import /opt/depot none rbind,rw,x-snapd.origin=layout 0 0",
            "/snap/birch/2/export /snap/acorn/1/import none bind,rw 0 0
             /snap/acorn/1/import /opt/depot none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        watch: &[
            Replaced("/snap/acorn/1/import/v", "birch export"),
            Replaced("/opt/depot/v", "birch export"),
            Same("/opt/readme", "read me"),
        ],
        ..PLAIN
    },
    Kind {
        titles: ["recursive bind with mounts below"; 2],
        profiles: [
            "/var/snap/acorn/common/tree1 /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0",
            "/var/snap/acorn/common/tree2 /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        prepare: || {
            for tree in ["tree1", "tree2"] {
                let tree = format!("/var/snap/acorn/common/{tree}");
                directory(&tree, "tree");
                fs::create_dir(format!("{tree}/below")).expect("make a directory");
                rustix::mount::mount(
                    "tmpfs",
                    format!("{tree}/below"),
                    "tmpfs",
                    MountFlags::empty(),
                    c"mode=0755",
                )
                .expect("mount a tmpfs");
                fs::write(format!("{tree}/below/v"), "below").expect("write");
            }
        },
        watch: &[NEIGHBOUR, Replaced("/opt/spare/v", "tree"), Replaced("/opt/spare/below/v", "below")],
        ..PLAIN
    },
    Kind {
        titles: ["read-only bind replaced"; 2],
        profiles: [
            "/var/snap/acorn/common/a /opt/depot none bind,ro 0 0
             /var/snap/acorn/common/b /srv/site none bind,ro 0 0",
            "/var/snap/acorn/common/c /opt/depot none bind,ro 0 0
             /var/snap/acorn/common/b /srv/site none bind,ro 0 0",
        ],
        watch: &[NEIGHBOUR, Replaced("/opt/depot/v", "common")],
        ..PLAIN
    },
    Kind {
        titles: ["part of a mimic replaced"; 2],
        profiles: [
            "/var/snap/acorn/common/d /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/a /opt/spare none rbind,rw,x-snapd.origin=layout 0 0",
            "/var/snap/acorn/common/d /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/c /opt/spare none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        watch: &[
            Replaced("/opt/spare/v", "common"),
            Same("/opt/fresh/v", "common d"),
            Same("/opt/box/file", "boxed"),
            Same("/opt/readme", "read me"),
            Names("/opt", &["alias", "box", "depot", "fresh", "private", "readme", "spare"]),
        ],
        ..PLAIN
    },
    Kind {
        titles: ["entry with mounts on top replaced"; 2],
        profiles: [
            "/var/snap/acorn/common/top1 /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/b /opt/spare/sub none rbind,rw,x-snapd.origin=layout 0 0",
            "/var/snap/acorn/common/top2 /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/b /opt/spare/sub none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        prepare: || {
            for name in ["top1", "top2"] {
                let name = format!("/var/snap/acorn/common/{name}");
                directory(&name, "top");
                fs::create_dir(format!("{name}/sub")).expect("make a directory");
            }
        },
        watch: &[
            Replaced("/opt/spare/v", "top"),
            Replaced("/opt/spare/sub/v", "common b"),
            Same("/opt/readme", "read me"),
        ],
        ..PLAIN
    },
    Kind {
        // That is seen only when it is mounted: then the processes of the snap are held still.
        titles: ["entry replaced by one with a place less", "entry replaced by one with a place more"],
        gapless: [Gapless::NotYet; 2],
        profiles: [
            "/var/snap/acorn/common/less /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/b /opt/spare/sub none rbind,rw,x-snapd.origin=layout 0 0",
            "/var/snap/acorn/common/more /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/b /opt/spare/sub none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        prepare: || {
            directory("/var/snap/acorn/common/less", "top");
            directory("/var/snap/acorn/common/more", "top");
            fs::create_dir("/var/snap/acorn/common/more/sub").expect("make a directory");
        },
        watch: &[
            Replaced("/opt/spare/v", "top"),
            Replaced("/opt/spare/sub/v", "common b"),
            Same("/opt/readme", "read me"),
        ],
        ..PLAIN
    },
    Kind {
        titles: ["mimic made", "mimic undone"],
        // Who is on the way through the tmpfs when it is detached finds its parts gone: some two in three hundred times.
        gapless: [Gapless::WithNewerCalls, Gapless::NotYet],
        profiles: [
            "/var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/d /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0",
            "/var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        watch: &[
            NEIGHBOUR,
            Same("/opt/box/file", "boxed"),
            Same("/opt/readme", "read me"),
            Same("/opt/depot/inner/v", "inner"),
            Names("/opt", &["alias", "box", "depot", "private", "readme", "spare"]),
        ],
        ..PLAIN
    },
    Kind {
        titles: ["mimic grown", "mimic shrunk"],
        gapless: [Gapless::Always; 2],
        profiles: [
            "/var/snap/acorn/common/d /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
             /var/snap/acorn/common/b /opt/other none rbind,rw,x-snapd.origin=layout 0 0",
            "/var/snap/acorn/common/d /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        watch: &[
            Same("/opt/fresh/v", "common d"),
            Same("/opt/box/file", "boxed"),
            Same("/opt/readme", "read me"),
            Names("/opt", &["alias", "box", "depot", "fresh", "private", "readme", "spare"]),
        ],
        ..PLAIN
    },
    Kind {
        titles: ["neighbour connected", "neighbour disconnected"],
        gapless: [Gapless::Always; 2],
        profiles: [
            "/var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0
             /snap/birch/1/export /snap/acorn/1/import none bind,rw 0 0",
            "/var/snap/acorn/common/b /srv/site none rbind,rw,x-snapd.origin=layout 0 0",
        ],
        watch: &[
            NEIGHBOUR,
            Same("/snap/acorn/1/data/v", "acorn data"),
            Names("/snap/acorn/1", &["bin", "data", "import", "lib", "settings"]),
        ],
        ..PLAIN
    },
];

/// A directory with one file.
fn directory(at: &str, text: &str) {
    fs::create_dir_all(at).expect("make a directory");
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::write(format!("{at}/v"), text).expect("write");
}
