// SPDX-License-Identifier: GPL-3.0-only
//! What the program does by path or by name, and where somebody could meddle with it.

use crate::arena::Escape;

/// Who starts the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// snapd; the program joins the namespace.
    Snapd,
    /// snap-confine.
    SnapConfine,
    /// A set-uid snap-confine, for the user's own mounts.
    User,
}

/// What is swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The directory above the last but one, for a link to the victim.
    Grandparent,
    /// The directory in which the last component is, for a link to the victim.
    Parent,
    /// The same, for another directory with the same names.
    Directory,
    /// The last component, for a link into the victim.
    Leaf,
    /// Something that the last component holds, for a link into the victim.
    Child,
    /// A mount, from elsewhere to the target and back.
    Mount,
    /// The directory in which originals are kept safe (0), or one in it (1), for a link to the victim.
    Safe(u8),
}

/// What the victim has under the name that the program makes in a place: when that is taken away, only the place's
/// may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bait {
    Nothing,
    Directory,
    File,
    Link(&'static str),
}

impl Swap {
    /// Whether everything is at its path again when nobody meddles any more. What was made as the last component may
    /// have got the other's name, and a mount that was moved may have taken along what was mounted on it.
    pub fn is_undone(self) -> bool {
        matches!(self, Swap::Grandparent | Swap::Parent | Swap::Child | Swap::Safe(_))
    }
}

/// One thing that the program does.
pub struct Case {
    pub title: &'static str,
    pub context: Context,
    /// The directory that the arena is in.
    pub ground: &'static str,
    /// How many places there are.
    pub slots: usize,
    /// The entry of a place: of `{A}`, the arena, `{P}`, the place, and `{N}`, its number.
    pub entry: &'static str,
    /// The name in the place that is swapped.
    pub leaf: &'static str,
    /// And what in the victim it is swapped for a link to.
    pub like: &'static str,
    pub bait: Bait,
    pub swaps: &'static [Swap],
}

impl Case {
    pub fn is_users(&self) -> bool {
        self.context == Context::User
    }

    /// Nothing may be made in what the places have.
    pub fn is_hosts(&self) -> bool {
        self.ground == HOST
    }

    /// What it mounts is to be read-only.
    pub fn is_read_only(&self) -> bool {
        self.entry.contains(",ro")
    }

    pub fn profile(&self, base: &str, place: impl Fn(usize) -> String) -> String {
        let line = |at: usize| {
            let line = self.entry.replace("{A}", base).replace("{P}", &place(at));
            line.replace("{N}", &at.to_string()) + "\n"
        };
        (0..self.slots).map(line).collect()
    }
}

/// Names can be made here.
const FREE: &str = "/var/snap/acorn/common";
/// The host's: a mimic is needed.
const HOST: &str = "/etc";
const HOME: &str = "/home/user";

const ALL: &[Swap] = &[Swap::Grandparent, Swap::Parent, Swap::Directory, Swap::Leaf];
const ALL_AND_MOUNT: &[Swap] = &[Swap::Grandparent, Swap::Parent, Swap::Directory, Swap::Leaf, Swap::Mount];
const ALL_OF_A_MIMIC: &[Swap] =
    &[Swap::Grandparent, Swap::Parent, Swap::Directory, Swap::Leaf, Swap::Child, Swap::Mount];
const SAFE: &[Swap] = &[Swap::Safe(0), Swap::Safe(1)];

const PLAIN: Case = Case {
    title: "",
    context: Context::Snapd,
    ground: FREE,
    slots: 50,
    entry: "",
    leaf: "new",
    like: "empty",
    bait: Bait::Nothing,
    swaps: ALL,
};

/// What is known to be lost, and what it waits for.
pub fn awaited(escape: Escape, swap: Swap) -> Option<&'static str> {
    match (escape, swap) {
        (Escape::Writable, _) => Some("binds that are read-only before anybody can reach them"),
        (Escape::Unmounted | Escape::MountChanged, Swap::Directory | Swap::Mount) => {
            Some("mounts that are taken away and changed by descriptor, not by looking the path up again")
        }
        (Escape::Made, Swap::Directory | Swap::Mount) | (Escape::Hidden, _) => {
            Some("mimics that are filled before they cover anything")
        }
        (Escape::Forgotten, Swap::Safe(_)) => {
            Some("places of safe-keeping that are taken away by descriptor, or not needed")
        }
        (Escape::Forgotten, _) => Some("entries that stay on record while the way to them is barred"),
        _ => None,
    }
}

pub const CASES: &[Case] = &[
    Case {
        title: "a target directory is made, and goes",
        entry: "{A}/src/dir {P}/new none bind,rw 0 0",
        bait: Bait::Directory,
        ..PLAIN
    },
    Case {
        title: "target directories are made three deep, and go",
        entry: "{A}/src/dir {P}/new/and/deep none bind,rw 0 0",
        bait: Bait::Directory,
        ..PLAIN
    },
    Case {
        title: "a target file is made, and goes",
        entry: "{A}/src/file {P}/new none bind,rw,x-snapd.kind=file 0 0",
        like: "file",
        bait: Bait::File,
        ..PLAIN
    },
    Case {
        title: "a symbolic link is made, and goes",
        entry: "none {P}/new none x-snapd.kind=symlink,x-snapd.symlink=/usr/share,x-snapd.origin=layout 0 0",
        bait: Bait::Link("/usr/share"),
        ..PLAIN
    },
    Case { title: "a source directory is made", entry: "{P}/new {A}/t/{N} none bind,rw 0 0", ..PLAIN },
    Case {
        title: "a source file is made",
        entry: "{P}/new {A}/tf/{N} none bind,rw,x-snapd.kind=file 0 0",
        like: "file",
        ..PLAIN
    },
    Case {
        title: "a source directory is bound",
        entry: "{P}/mount {A}/t/{N} none bind,rw 0 0",
        leaf: "mount",
        like: "mount",
        ..PLAIN
    },
    Case {
        title: "a source file is bound",
        entry: "{P}/file {A}/tf/{N} none bind,rw,x-snapd.kind=file 0 0",
        leaf: "file",
        like: "file",
        ..PLAIN
    },
    Case {
        title: "a directory is bound over, and seen again",
        entry: "{A}/src/dir {P}/mount none bind,rw 0 0",
        leaf: "mount",
        like: "mount",
        swaps: ALL_AND_MOUNT,
        ..PLAIN
    },
    Case {
        title: "a file is bound over, and seen again",
        entry: "{A}/src/file {P}/hollow none bind,rw,x-snapd.kind=file 0 0",
        leaf: "hollow",
        like: "hollow",
        ..PLAIN
    },
    Case {
        title: "a file system is mounted on a directory that is made",
        entry: "tmpfs {P}/new tmpfs rw,mode=0755 0 0",
        bait: Bait::Directory,
        ..PLAIN
    },
    Case {
        title: "a file system is mounted, and unmounted without detaching",
        entry: "ramfs {P}/mount ramfs rw 0 0",
        leaf: "mount",
        like: "mount",
        ..PLAIN
    },
    Case {
        title: "a bind is made read-only",
        entry: "{A}/src/dir {P}/mount none bind,ro 0 0",
        leaf: "mount",
        like: "mount",
        ..PLAIN
    },
    Case {
        title: "a recursive bind is made read-only",
        entry: "{A}/src/dir {P}/mount none rbind,ro 0 0",
        leaf: "mount",
        like: "mount",
        ..PLAIN
    },
    Case {
        title: "the propagation of a bind is changed",
        entry: "{A}/src/dir {P}/mount none bind,rw,slave 0 0",
        leaf: "mount",
        like: "mount",
        ..PLAIN
    },
    Case {
        title: "a mimic covers a directory, and is filled",
        ground: HOST,
        slots: 12,
        entry: "{A}/src/dir {P}/d/new none rbind,rw,x-snapd.origin=layout 0 0",
        leaf: "d",
        like: "d",
        swaps: ALL_OF_A_MIMIC,
        ..PLAIN
    },
    Case {
        title: "a mimic covers a directory, and is filled, under snap-confine",
        context: Context::SnapConfine,
        ground: HOST,
        slots: 12,
        entry: "{A}/src/dir {P}/d/new none rbind,rw,x-snapd.origin=layout 0 0",
        leaf: "d",
        like: "d",
        swaps: ALL_OF_A_MIMIC,
        ..PLAIN
    },
    Case {
        title: "what a mimic covers is kept safe under snap-confine",
        context: Context::SnapConfine,
        ground: HOST,
        slots: 12,
        entry: "{A}/src/dir {P}/d/new none rbind,rw,x-snapd.origin=layout 0 0",
        swaps: SAFE,
        ..PLAIN
    },
    Case {
        title: "a user's directory is ensured",
        context: Context::User,
        ground: HOME,
        entry: "none {P}/new/deep none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir={A}/s{N} 0 0",
        ..PLAIN
    },
    Case {
        title: "a user's directory is ensured below one that is swapped",
        context: Context::User,
        ground: HOME,
        entry: "none {P}/new/deep none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir={P} 0 0",
        ..PLAIN
    },
    Case {
        title: "a user's bind is made",
        context: Context::User,
        ground: HOME,
        entry: "{A}/src/dir {P}/mount none bind,rw 0 0",
        leaf: "mount",
        like: "mount",
        ..PLAIN
    },
];
