// SPDX-License-Identifier: GPL-3.0-only
//! What a run leaves that was killed, or could not do all that it wanted: mounts above and beneath each other, and places
//! that were made for entries which never came.

use crate::deeds::*;
use crate::ends;
use crate::support::story::*;

const OLD: &str = "/snap/birch/1/export /opt/spare none rbind,ro,x-snapd.origin=layout 0 0\n";
const CONTENT: &str = "/snap/birch/1/export /opt/spare none bind 0 0\n";
const NEW: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0\n";
/// Keeps a mimic over `/opt`.
const OTHER: &str = "/var/snap/acorn/common/b /opt/other none bind 0 0\n";

pub fn stories() -> Vec<Story> {
    vec![
        ends(
            story("a kill had left the new content beneath the old one, and the next update took away both")
                .desire(CONTENT)
                .run()
                .both([exit("0"), file("/opt/spare/v", "birch export 1")])
                .disturb(|_| {
                    detach("/opt/spare");
                    bind("/var/snap/acorn/common/a", "/opt/spare");
                    bind("/snap/birch/1/export", "/opt/spare");
                    doom("/opt/spare");
                })
                .desire(NEW)
                .run()
                .both([exit("0"), warnings(0), file("/opt/spare/v", "common a"), layers("/opt/spare", 1)]),
        ),
        ends(
            story("what could not be unmounted lay beneath the new content, and every later update complained")
                .desire(OLD)
                .run()
                .both([exit("0"), file("/opt/spare/v", "birch export 1")])
                .disturb(|sandbox| {
                    bind("/var/snap/acorn/common/a", "/opt/spare");
                    let text = std::fs::read_to_string(sandbox.record()).expect("read the record");
                    std::fs::write(sandbox.record(), text + NEW).expect("write the record");
                })
                .desire(NEW)
                .run()
                .both([exit("0"), warnings(0), file("/opt/spare/v", "common a"), layers("/opt/spare", 1)]),
        ),
        ends(
            story("a layout came to lie over an instance's directory, and that could not be disconnected any more")
                .desire(&both())
                .run()
                .both([exit("0"), file("/opt/spare/v", "common a")])
                .desire(LAYOUT)
                .run()
                .both([exit("0"), warnings(0), file("/opt/spare/v", "common a"), layers("/opt/spare", 1)]),
        ),
        ends(
            story("content could not be replaced, and the empty directory that it left was in the way for ever")
                .desire(&format!("{OTHER}/snap/birch/1/export /opt/fresh none bind,ro 0 0\n"))
                .run()
                .both([exit("0"), file("/opt/fresh/v", "birch export 1")])
                .desire(&format!("{OTHER}/var/snap/acorn/common/conf /opt/fresh none bind 0 0\n"))
                .run()
                .both([exit("0"), warnings(1), gone("/opt/fresh")])
                .desire(&format!("{OTHER}none /opt/fresh none x-snapd.kind=symlink,x-snapd.symlink=other 0 0\n"))
                .run()
                .both([exit("0"), warnings(0), link("/opt/fresh", "other")]),
        ),
    ]
}

const LAYOUT: &str = "/var/snap/acorn/common/a /opt/spare none bind,x-snapd.origin=layout 0 0\n";

fn both() -> String {
    format!("/var/snap/acorn/common/b /opt/spare/new none bind,x-snapd.origin=overname 0 0\n{LAYOUT}")
}
