// SPDX-License-Identifier: GPL-3.0-only
//! Directories, files, symbolic links and other file systems, one at a time.

use crate::support::story::*;

pub fn stories() -> Vec<Story> {
    vec![
        story("a bind shows its source at the target, writable")
            .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0")
            .run()
            .both([
                exit("0"),
                stdout(""),
                file("/opt/spare/v", "common a"),
                layers("/opt/spare", 1),
                recorded("/opt/spare"),
            ])
            .desire("")
            .run()
            .both([exit("0"), file("/opt/spare/v", "spare"), layers("/opt/spare", 0), record(&[ROOTFS])]),
        story("a read-only bind is read-only")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,ro 0 0")
            .run()
            .both([file("/opt/spare/v", "common a"), line("view /opt/spare", "dir 0755 0:0 ro")]),
        story("a namespace without a desired profile keeps its root and nothing else")
            .run()
            .both([exit("0"), record(&[ROOTFS])]),
    ]
}
