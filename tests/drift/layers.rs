// SPDX-License-Identifier: GPL-3.0-only
//! What is mounted on what is mounted: layouts of content, content in content, and what becomes of the upper when the
//! lower changes.

use crate::deeds::*;
use crate::ends;
use crate::support::story::*;

const CONTENT_1: &str = "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0\n";
const CONTENT_2: &str = "/snap/birch/2/export /snap/acorn/1/import none bind,ro 0 0\n";
const LAYOUT: &str = "/snap/acorn/1/import /opt/spare none rbind,rw,x-snapd.origin=layout 0 0\n";
const SECOND: &str = "/opt/spare /srv/site none rbind,rw,x-snapd.origin=layout 0 0\n";

pub fn stories() -> Vec<Story> {
    [content(), nested()].into_iter().flatten().collect()
}

fn content() -> Vec<Story> {
    let with = |content: &str| format!("{content}{LAYOUT}");
    let both = |content: &str| format!("{content}{LAYOUT}{SECOND}");
    vec![
        ends(
            story("the content was connected after the layout, and the layout stays empty")
                .desire(LAYOUT)
                .run()
                .both([exit("0"), gone("/opt/spare/v")])
                .disturb(|_| ())
                .desire(&with(CONTENT_1))
                .run()
                .both([
                    exit("0"),
                    warnings(0),
                    file("/opt/spare/v", "birch export 1"),
                    layers("/opt/spare", 1),
                ]),
        ),
        ends(
            story("the content snap was refreshed, and the layout shows the old one")
                .desire(&with(CONTENT_1))
                .run()
                .both([file("/opt/spare/v", "birch export 1")])
                .disturb(|_| ())
                .desire(&with(CONTENT_2))
                .run()
                .both([
                    exit("0"),
                    warnings(0),
                    file("/opt/spare/v", "birch export 2"),
                    layers("/opt/spare", 1),
                ]),
        ),
        ends(
            story("the content was disconnected, and the layout still shows it")
                .desire(&with(CONTENT_1))
                .run()
                .both([file("/opt/spare/v", "birch export 1")])
                .disturb(|_| ())
                .desire(LAYOUT)
                .run()
                .both([exit("0"), warnings(0), gone("/opt/spare/v"), layers("/opt/spare", 1)]),
        ),
        ends(
            story("somebody unmounted the content, and the layout of it was never mended")
                .desire(&with(CONTENT_1))
                .run()
                .both([file("/opt/spare/v", "birch export 1")])
                .disturb(|_| {
                    detach("/opt/spare");
                    detach("/snap/acorn/1/import");
                })
                .run()
                .both([
                    exit("0"),
                    warnings(0),
                    file("/opt/spare/v", "birch export 1"),
                    layers("/opt/spare", 1),
                ])
                .both([layers("/snap/acorn/1/import", 1)]),
        ),
        ends(
            story("a layout of a layout shows what the first one showed long ago")
                .desire(&both(CONTENT_1))
                .run()
                .both([file("/srv/site/v", "birch export 1")])
                .disturb(|_| ())
                .desire(&both(CONTENT_2))
                .run()
                .both([
                    exit("0"),
                    warnings(0),
                    file("/opt/spare/v", "birch export 2"),
                    file("/srv/site/v", "birch export 2"),
                ])
                .both([layers("/opt/spare", 1), layers("/srv/site", 1)]),
        ),
        ends(
            story("the first of two layouts was unmounted, and the second was mounted over itself")
                .desire(&both(CONTENT_1))
                .run()
                .both([file("/srv/site/v", "birch export 1")])
                .disturb(|_| detach("/opt/spare"))
                .run()
                .both([
                    exit("0"),
                    warnings(0),
                    file("/opt/spare/v", "birch export 1"),
                    file("/srv/site/v", "birch export 1"),
                ])
                .both([layers("/opt/spare", 1), layers("/srv/site", 1)]),
        ),
    ]
}

fn nested() -> Vec<Story> {
    const INNER: &str = "/snap/birch/1/more /snap/acorn/1/import/sub none bind,ro 0 0\n";
    const IN_INNER: &str = "/var/snap/acorn/common/a /snap/acorn/1/import/sub/deep none bind 0 0\n";
    let two = |outer: &str| format!("{outer}{INNER}");
    let three = |outer: &str| format!("{outer}{INNER}{IN_INNER}");
    let seen = |outer: &str| {
        [
            exit("0"),
            warnings(0),
            file("/snap/acorn/1/import/v", outer),
            file("/snap/acorn/1/import/sub/v", "birch more 1"),
            file("/snap/acorn/1/import/sub/deep/v", "common a"),
        ]
    };
    vec![
        ends(
            story("content inside content was lost in an update that changed nothing")
                .disturb(|_| ())
                .desire(&two(CONTENT_1))
                .run()
                .both([exit("0"), file("/snap/acorn/1/import/v", "birch export 1")])
                .both([file("/snap/acorn/1/import/sub/v", "birch more 1")])
                .run()
                .both([
                    file("/snap/acorn/1/import/v", "birch export 1"),
                    file("/snap/acorn/1/import/sub/v", "birch more 1"),
                ]),
        ),
        ends(
            story("the outer content was unmounted, and the inner one went with it for ever")
                .desire(&two(CONTENT_1))
                .run()
                .both([file("/snap/acorn/1/import/sub/v", "birch more 1")])
                .disturb(|_| detach("/snap/acorn/1/import"))
                .run()
                .both([exit("0"), warnings(0), file("/snap/acorn/1/import/v", "birch export 1")])
                .both([file("/snap/acorn/1/import/sub/v", "birch more 1")])
                .both([layers("/snap/acorn/1/import", 1), layers("/snap/acorn/1/import/sub", 1)]),
        ),
        ends(
            story("three levels of content, and after a refresh of the outermost the inner ones are gone")
                .disturb(|_| ())
                .desire(&three(CONTENT_1))
                .run()
                .both(seen("birch export 1"))
                .desire(&three(CONTENT_2))
                .run()
                .both(seen("birch export 2")),
        ),
        ends(
            story("three levels of content, and the one in the middle was unmounted")
                .disturb(|_| ())
                .desire(&three(CONTENT_1))
                .run()
                .both(seen("birch export 1"))
                .disturb(|_| detach("/snap/acorn/1/import/sub"))
                .run()
                .both(seen("birch export 1")),
        ),
    ]
}
