// SPDX-License-Identifier: GPL-3.0-only
//! System calls that fail on the way: strace(1) makes the K-th one of a kind fail.

use crate::deeds::*;
use crate::support::story::*;

const BIND: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0\n";
const FRESH: &str = "/var/snap/acorn/common/a /opt/fresh none bind,rw 0 0";

/// strace counts the calls of each thread by itself, and the original has several: which of its calls is the K-th is a
/// matter of luck, so where K is given, only ours is looked at.
const ALL: [&str; 8] = ["exit", "stdout", "warning", "view", "host", "mount", "layers", "record"];

pub fn stories() -> Vec<Story> {
    vec![
        story("a bind that the kernel refuses is a warning, and not on record")
            .desire(BIND)
            .run()
            .with(|start| start.inject = Some("mount:error=EPERM"))
            .both([exit("0"), warnings(1), layers("/opt/spare", 0), record(&[ROOTFS])]),
        story("an unmount that fails is a warning, and stays on record")
            .desire(BIND)
            .run()
            .desire("")
            .run()
            .with(|start| start.inject = Some("umount2:error=EBUSY"))
            .both([exit("0"), layers("/opt/spare", 1), file("/opt/spare/v", "common a")])
            .differs("L4", ["record"], [recorded("/opt/spare")])
            .ignoring(["warning"])
            .run()
            .differs(
                "L4",
                ["view /opt/spare", "mount /opt/spare", "layers /opt/spare"],
                [layers("/opt/spare", 0), record(&[ROOTFS])],
            ),
        story("a mount that cannot be made private is detached all the same")
            .desire(BIND)
            .run()
            .desire("")
            .run()
            .with(|start| start.inject = Some("mount:error=EACCES"))
            .both([exit("0")])
            .differs(
                "L3",
                ["view /opt/spare", "mount /opt/spare", "layers /opt/spare", "record", "warning"],
                [layers("/opt/spare", 0)],
            ),
        story("a mimic that fails at its tmpfs is undone")
            .desire(FRESH)
            .run()
            .with(|start| start.inject = Some("mount:error=EPERM:when=2"))
            .ignoring(ALL)
            .differs(
                "L20",
                [],
                [exit("0"), gone("/opt/fresh"), file("/opt/spare/v", "spare"), layers("/opt", 1)],
            )
            .differs("L20", [], [layers("/tmp/.snap/opt", 0), record(&[ROOTFS])]),
        story("a mimic that fails at a child is undone")
            .desire(FRESH)
            .run()
            .with(|start| start.inject = Some("mount:error=EPERM:when=4"))
            .ignoring(ALL)
            .differs(
                "L20",
                [],
                [exit("0"), gone("/opt/fresh"), file("/opt/spare/v", "spare"), layers("/opt", 1)],
            )
            .differs("L20", [], [layers("/opt/depot", 0), layers("/tmp/.snap/opt", 0), record(&[ROOTFS])]),
        story("a read-only bind that cannot be made read-only is not left writable")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,ro 0 0")
            .run()
            .with(|start| start.inject = Some("mount:error=EPERM:when=2;mount_setattr:error=ENOSYS"))
            .ignoring(ALL)
            .differs("L11", [], [exit("0"), warnings(1), layers("/opt/spare", 0), record(&[ROOTFS])]),
        story("an update that is killed in the middle of a mimic is finished by the next")
            .desire(FRESH)
            .run()
            .with(|start| start.inject = Some("mount:signal=SIGKILL:when=4"))
            .ignoring(ALL)
            .run()
            .ignoring(ALL)
            .differs("L7", [], [exit("0"), file("/opt/fresh/v", "common a"), file("/opt/spare/v", "spare")])
            .differs("L7", [], [file("/opt/depot/inner/v", "inner"), link("/opt/alias", "readme")])
            .desire("")
            .run()
            .ignoring(ALL)
            .differs("L7", [], [layers("/opt", 1), file("/opt/spare/v", "spare"), record(&[ROOTFS])]),
        story("a mimic that cannot be taken away is used, and not covered by another")
            .desire(FRESH)
            .run()
            .disturb(|_| detach("/opt/spare"))
            .run()
            .with(|start| start.inject = Some("umount2:error=EACCES:when=2+"))
            .ignoring(ALL)
            .differs("L7", [], [exit("0"), file("/opt/fresh/v", "common a"), layers("/opt", 2)])
            .run()
            .ignoring(ALL)
            .differs("L7", [], [exit("0"), file("/opt/fresh/v", "common a"), file("/opt/spare/v", "spare")])
            .desire("")
            .run()
            .ignoring(ALL)
            .differs("L7", [], [layers("/opt", 1), file("/opt/spare/v", "spare"), record(&[ROOTFS])]),
    ]
}
