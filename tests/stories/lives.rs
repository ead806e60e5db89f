// SPDX-License-Identifier: GPL-3.0-only
//! Whole lives: refresh, disconnect, parallel instances, failures on the way, drift, and the worked examples and
//! scenarios of the two texts.

use crate::deeds::*;
use crate::support::story::*;

pub fn stories() -> Vec<Story> {
    [examples(), content_and_layouts(), nested_content(), failing(), drifting()]
        .into_iter()
        .flatten()
        .collect()
}

fn examples() -> Vec<Story> {
    vec![
        story("example A: mimics in mimics, content before layouts")
            .desire(
                "/var/snap/acorn/common/a /opt/depot/demo none rbind,rw,x-snapd.origin=layout 0 0
                /var/snap/acorn/common/b /opt/fresh/deep none rbind,rw,x-snapd.origin=layout 0 0
                /var/snap/acorn/common/c /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
                /var/snap/acorn/common/d /srv/zone none bind 0 0
                /var/snap/acorn/common/e /opt/annex none bind 0 0
                none /opt/alias none x-snapd.kind=symlink,x-snapd.symlink=readme,x-snapd.origin=layout 0 0
                tmpfs /opt/fresh tmpfs rw 0 0",
            )
            .run()
            .both([exit("0"), warnings(0), file("/opt/depot/demo/v", "common a"), file("/opt/depot/inner/v", "inner")])
            .both([file("/opt/fresh/deep/v", "common b"), file("/opt/spare/v", "common c"), file("/srv/zone/v", "common d")])
            .both([file("/opt/annex/v", "common e"), link("/opt/alias", "readme"), file("/srv/site/v", "site")])
            .ignoring(["layers /opt/spare"])
            .run()
            .both([exit("0"), file("/opt/fresh/deep/v", "common b"), file("/opt/spare/v", "common c")])
            .ignoring(["layers /opt/spare"])
            .desire("")
            .run()
            .both([gone("/opt/annex"), gone("/opt/fresh"), gone("/srv/zone"), link("/opt/alias", "readme")])
            .both([exit("0"), layers("/opt", 1), record(&[ROOTFS])]),
        story("example B: a parallel instance")
            .of("maple_blue")
            .desire(
                "/snap/maple_blue /snap/maple none rbind,x-snapd.origin=overname 0 0
                /var/snap/maple_blue /var/snap/maple none rbind,x-snapd.origin=overname 0 0
                /snap/maple/7/lib /opt/maple none rbind,rw,x-snapd.origin=layout 0 0
                /snap/birch/1/export /snap/maple/7/more none bind,ro 0 0",
            )
            .run()
            .with(|start| start.argv = &["--from-snap-confine", "maple_blue"])
            .both([exit("0"), warnings(0), file("/snap/maple/7/data/v", "maple blue 7"), file("/opt/maple/v", "maple blue lib 7")])
            .both([file("/var/snap/maple/common/v", "maple blue common"), file("/snap/maple/7/more/v", "birch export 1")])
            .ignoring(["layers", "mount"])
            .desire("")
            .run()
            .with(|start| start.argv = &["--from-snap-confine", "maple_blue"])
            .both([exit("0"), gone("/opt/maple"), record(&[ROOTFS])])
            .differs("L2", ["view /snap/maple", "view /var/snap/maple", "host /snap/maple", "host /var/snap/maple"], [
                dir("/snap/maple"),
                host("/var/snap/maple", "dir"),
            ]),
        story("example C: a refresh from revision 1 to revision 2")
            .desire(
                "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0
                /snap/acorn/1/data /opt/acorn none rbind,rw,x-snapd.origin=layout 0 0",
            )
            .run()
            .both([exit("0"), file("/snap/acorn/1/import/v", "birch export 1"), file("/opt/acorn/v", "acorn data 1")])
            .desire(
                "/snap/birch/1/export /snap/acorn/2/import none bind,ro 0 0
                /snap/acorn/2/data /opt/acorn none rbind,rw,x-snapd.origin=layout 0 0",
            )
            .run()
            .both([exit("0"), gone("/snap/acorn/1/import/v"), file("/snap/acorn/2/import/v", "birch export 1")])
            .both([file("/opt/acorn/v", "acorn data 2"), layers("/opt", 2)])
            .differs("L1", [], [record(&[
                ROOTFS,
                "tmpfs /opt tmpfs x-snapd.synthetic,x-snapd.needed-by=/opt/acorn,mode=0755,uid=0,gid=0 0 0",
                "/opt/box /opt/box none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/acorn,x-snapd.detach 0 0",
                "/opt/depot /opt/depot none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/acorn,x-snapd.detach 0 0",
                "/opt/private /opt/private none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/acorn,x-snapd.detach 0 0",
                "/opt/readme /opt/readme none bind,x-snapd.kind=file,x-snapd.synthetic,x-snapd.needed-by=/opt/acorn 0 0",
                "/opt/spare /opt/spare none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/acorn,x-snapd.detach 0 0",
                "/snap/birch/1/export /snap/acorn/2/import none bind,ro 0 0",
                "/snap/acorn/2/data /opt/acorn none rbind,rw,x-snapd.origin=layout 0 0",
            ])]),
        story("example D: a child that is no longer wanted goes with its changed parent")
            .disturb(|_| {
                for parent in ["a", "b"] {
                    write(&format!("/var/snap/acorn/common/{parent}/low/here"), "here");
                }
                write("/var/snap/acorn/common/t-1/3/here", "here");
            })
            .desire(
                "/var/snap/acorn/common/a /opt/spare none bind 0 0
                /var/snap/acorn/common/c /opt/spare/low none bind 0 0
                /var/snap/acorn/common/d /var/snap/acorn/common/t-1 none bind 0 0",
            )
            .run()
            .desire(
                "/var/snap/acorn/common/b /opt/spare none bind 0 0
                /var/snap/acorn/common/d /var/snap/acorn/common/t-1 none bind 0 0",
            )
            .run()
            .both([exit("0"), file("/opt/spare/low/here", "here"), gone("/opt/spare/low/v"), layers("/opt/spare/low", 0)]),
        story("the worked example of 2026: the record is written class by class")
            .desire(
                "/snap/acorn/1/lib /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
                tmpfs /srv/site tmpfs x-snapd.origin=layout 0 0
                /snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0
                /snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0",
            )
            .run()
            .both([exit("0"), file("/opt/fresh/v", "acorn lib 1"), gone("/srv/site/v")])
            .both([file("/snap/acorn/1/newdir/v", "birch more 1"), file("/snap/acorn/1/import/v", "birch export 1")])
            .differs("V1", [], [record(&[
                ROOTFS,
                "tmpfs /snap/acorn/1 tmpfs x-snapd.synthetic,x-snapd.needed-by=/snap/acorn/1/newdir,mode=0755,uid=0,gid=0 0 0",
                "/snap/acorn/1/bin /snap/acorn/1/bin none rbind,x-snapd.synthetic,x-snapd.needed-by=/snap/acorn/1/newdir,x-snapd.detach 0 0",
                "/snap/acorn/1/data /snap/acorn/1/data none rbind,x-snapd.synthetic,x-snapd.needed-by=/snap/acorn/1/newdir,x-snapd.detach 0 0",
                "/snap/acorn/1/import /snap/acorn/1/import none rbind,x-snapd.synthetic,x-snapd.needed-by=/snap/acorn/1/newdir,x-snapd.detach 0 0",
                "/snap/acorn/1/lib /snap/acorn/1/lib none rbind,x-snapd.synthetic,x-snapd.needed-by=/snap/acorn/1/newdir,x-snapd.detach 0 0",
                "/snap/acorn/1/settings /snap/acorn/1/settings none bind,x-snapd.kind=file,x-snapd.synthetic,x-snapd.needed-by=/snap/acorn/1/newdir 0 0",
                "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0",
                "/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0",
                "tmpfs /opt tmpfs x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,mode=0755,uid=0,gid=0 0 0",
                "/opt/box /opt/box none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,x-snapd.detach 0 0",
                "/opt/depot /opt/depot none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,x-snapd.detach 0 0",
                "/opt/private /opt/private none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,x-snapd.detach 0 0",
                "/opt/readme /opt/readme none bind,x-snapd.kind=file,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh 0 0",
                "/opt/spare /opt/spare none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,x-snapd.detach 0 0",
                "tmpfs /srv/site tmpfs x-snapd.origin=layout 0 0",
                "/snap/acorn/1/lib /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0",
            ])])
            .ignoring(["layers"])
            .desire("")
            .run()
            .both([exit("0"), gone("/opt/fresh"), gone("/snap/acorn/1/newdir"), file("/srv/site/v", "site"), record(&[ROOTFS])]),
    ]
}

fn content_and_layouts() -> Vec<Story> {
    const LAYOUT: &str = "/snap/acorn/1/import /opt/spare none rbind,rw,x-snapd.origin=layout 0 0\n";
    let with = |content: &str| format!("{LAYOUT}{content} /snap/acorn/1/import none bind,ro 0 0");
    const KEYS: [&str; 4] = ["view /opt/spare", "mount /opt/spare", "layers /opt/spare", "record"];
    vec![
        story("a layout of a content target shows the content")
            .desire(&with("/snap/birch/1/export"))
            .run()
            .both([
                exit("0"),
                file("/opt/spare/v", "birch export 1"),
                file("/snap/acorn/1/import/v", "birch export 1"),
            ]),
        story("a layout follows its content when that is refreshed")
            .desire(&with("/snap/birch/1/export"))
            .run()
            .desire(&with("/snap/birch/2/export"))
            .run()
            .both([exit("0"), file("/snap/acorn/1/import/v", "birch export 2")])
            .differs("P1", KEYS, [file("/opt/spare/v", "birch export 2"), layers("/opt/spare", 1)]),
        story("a layout follows its content when that is disconnected")
            .desire(&with("/snap/birch/1/export"))
            .run()
            .desire(LAYOUT)
            .run()
            .both([exit("0"), gone("/snap/acorn/1/import/v")])
            .differs("P1", KEYS, [gone("/opt/spare/v"), dir("/opt/spare"), layers("/opt/spare", 1)]),
        story("a layout follows its content when that comes later")
            .desire(LAYOUT)
            .run()
            .both([gone("/opt/spare/v")])
            .desire(&with("/snap/birch/1/export"))
            .run()
            .both([exit("0"), file("/snap/acorn/1/import/v", "birch export 1")])
            .differs("P1", KEYS, [file("/opt/spare/v", "birch export 1"), layers("/opt/spare", 1)]),
        story("a layout of the content of a mimic")
            .desire(
                "/snap/acorn/1/newdir /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
                /snap/birch/1/export /snap/acorn/1/newdir none bind,ro 0 0",
            )
            .run()
            .both([exit("0"), file("/snap/acorn/1/newdir/v", "birch export 1")])
            .differs(
                "V11",
                ["view /opt/fresh", "mount", "layers", "record"],
                [file("/opt/fresh/v", "birch export 1")],
            )
            .desire("")
            .run()
            .both([exit("0"), gone("/opt/fresh"), gone("/snap/acorn/1/newdir"), record(&[ROOTFS])]),
        story("content comes and goes several times and leaves nothing")
            .desire("/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0")
            .run()
            .desire("")
            .run()
            .desire("/snap/birch/2/more /snap/acorn/1/newdir none bind,ro 0 0")
            .run()
            .both([file("/snap/acorn/1/newdir/v", "birch more 2"), layers("/snap/acorn/1", 2)])
            .desire("")
            .run()
            .both([gone("/snap/acorn/1/newdir"), layers("/snap/acorn/1", 1), record(&[ROOTFS])]),
        story("content comes into a mimic of a parallel instance, and nothing else is touched")
            .of("maple_blue")
            .natively()
            .desire(BLUE)
            .run()
            .with(|start| start.argv = &["--from-snap-confine", "maple_blue"])
            .both([
                exit("0"),
                file("/snap/maple/7/deep/conf", "maple blue common"),
                layers("/snap/maple/7", 2),
            ])
            .ignoring(["layers", "mount"])
            .run()
            .with(|start| start.argv = &["--from-snap-confine", "maple_blue"])
            .both([exit("0"), same(), recorded("/snap/maple/7")])
            .ignoring(["layers", "mount"])
            .desire(&format!("{BLUE}\n/snap/birch/1/export /snap/maple/7/more none bind,ro 0 0"))
            .run()
            .with(|start| start.argv = &["--from-snap-confine", "maple_blue"])
            .both([exit("0"), file("/snap/maple/7/more/v", "birch export 1"), layers("/snap/maple/7", 2)])
            .ignoring(["layers", "mount"]),
        story("a parallel instance whose source changed has its children mounted again")
            .of("maple_blue")
            .disturb(|_| write("/var/snap/acorn/common/x/common/low/here", "here"))
            .disturb(|_| write("/var/snap/maple_blue/common/low/here", "here"))
            .desire(
                "/var/snap/maple_blue /var/snap/maple none rbind,x-snapd.origin=overname 0 0
                /var/snap/acorn/common/c /var/snap/maple/common/low none bind 0 0",
            )
            .run()
            .with(|start| start.argv = &["--from-snap-confine", "maple_blue"])
            .both([file("/var/snap/maple/common/low/v", "common c")])
            .desire(
                "/var/snap/acorn/common/x /var/snap/maple none rbind,x-snapd.origin=overname 0 0
                /var/snap/acorn/common/c /var/snap/maple/common/low none bind 0 0",
            )
            .run()
            .with(|start| start.argv = &["--from-snap-confine", "maple_blue"])
            .both([exit("0"), layers("/var/snap/maple", 1)])
            .differs(
                "L14",
                ["view /var/snap/maple", "mount /var/snap/maple", "layers /var/snap/maple"],
                [file("/var/snap/maple/common/low/v", "common c")],
            ),
    ]
}

fn nested_content() -> Vec<Story> {
    let pair = |outer: &str| {
        format!(
            "{outer} /snap/acorn/1/import none bind,ro 0 0
            /snap/birch/1/more /snap/acorn/1/import/sub none bind,ro 0 0"
        )
    };
    vec![
        story("content inside content, where the inner directory exists")
            .desire(&pair("/snap/birch/1/export"))
            .run()
            .both([
                exit("0"),
                file("/snap/acorn/1/import/v", "birch export 1"),
                file("/snap/acorn/1/import/sub/v", "birch more 1"),
            ])
            .run()
            .both([
                exit("0"),
                file("/snap/acorn/1/import/v", "birch export 1"),
                file("/snap/acorn/1/import/sub/v", "birch more 1"),
            ])
            .differs("N2", [], [recorded("/snap/acorn/1/import"), recorded("/snap/acorn/1/import/sub")])
            .desire("")
            .run()
            .both([
                exit("0"),
                gone("/snap/acorn/1/import/v"),
                dir("/snap/acorn/1/import"),
                record(&[ROOTFS]),
            ]),
        story("content inside content, where the inner directory is missing")
            .natively()
            .desire(&pair("/snap/birch/1/flat"))
            .run()
            .both([
                exit("0"),
                warnings(0),
                file("/snap/acorn/1/import/v", "birch flat 1"),
                file("/snap/acorn/1/import/sub/v", "birch more 1"),
            ])
            .run()
            .both([
                file("/snap/acorn/1/import/v", "birch flat 1"),
                file("/snap/acorn/1/import/sub/v", "birch more 1"),
            ])
            .differs("N4", [], [warnings(0)])
            .desire("")
            .run()
            .both([exit("0"), gone("/snap/acorn/1/import/v"), record(&[ROOTFS])]),
        story("a layout inside a layout that is a tmpfs")
            .desire(
                "tmpfs /srv/site tmpfs x-snapd.origin=layout 0 0
                /snap/acorn/1/lib /srv/site/lib none rbind,rw,x-snapd.origin=layout 0 0",
            )
            .run()
            .both([
                exit("0"),
                file("/srv/site/lib/v", "acorn lib 1"),
                gone("/srv/site/v"),
                layers("/srv/site", 1),
            ])
            .run()
            .both([exit("0"), file("/srv/site/lib/v", "acorn lib 1"), layers("/srv/site", 1)])
            .differs("N5", [], [layers("/srv/site/lib", 1)])
            .desire("")
            .run()
            .both([exit("0"), file("/srv/site/v", "site"), record(&[ROOTFS])]),
        story("content for an absent entry, a missing provider and an ignored one")
            .desire(
                "/snap/birch/1/absent /snap/acorn/1/import none bind,ro,x-snapd.ignore-missing 0 0
                /snap/birch/1/lost /snap/acorn/1/data none bind,ro 0 0
                /snap/birch/1/file /snap/acorn/1/settings none bind,ro,x-snapd.kind=file 0 0",
            )
            .run()
            .both([exit("0"), warnings(2), file("/snap/acorn/1/data/v", "acorn data 1"), record(&[ROOTFS])]),
    ]
}

fn failing() -> Vec<Story> {
    const BAD: &str = "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0
        tmpfs /srv/site tmpfs x-snapd.origin=layout 0 0
        /var/snap/acorn/common/conf /usr/lib/engine none rbind,rw,x-snapd.origin=layout 0 0
        /var/snap/acorn/common/a /usr/share/zebra none rbind,rw,x-snapd.origin=layout 0 0";
    const REPAIRED: &str = "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0
        tmpfs /srv/site tmpfs x-snapd.origin=layout 0 0
        /var/snap/acorn/common/a /usr/share/zebra none rbind,rw,x-snapd.origin=layout 0 0";
    const ALL: [&str; 6] = ["view", "host /tmp", "mount", "layers", "record", "warning"];
    vec![
        story("a layout that fails is fatal, and what was done is on record")
            .natively()
            .disturb(preserve)
            .desire(BAD)
            .refresh()
            .both([
                exit("1"),
                says("cannot use \"/var/snap/acorn/common/conf\" as bind-mount source: not a directory"),
            ])
            .both([file("/snap/acorn/1/import/v", "birch export 1"), gone("/srv/site/v")])
            .differs(
                "L6",
                ALL,
                [recorded("/snap/acorn/1/import"), recorded("/srv/site"), unrecorded("/usr/lib/engine")],
            )
            .differs(
                "P2",
                ["view /usr/share"],
                [file("/usr/share/zebra/v", "common a"), recorded("/usr/share/zebra")],
            ),
        story("a layout that fails again and again does not stack mounts")
            .natively()
            .disturb(preserve)
            .desire(BAD)
            .refresh()
            .ignoring(ALL)
            .refresh()
            .both([exit("1")])
            .differs("L6", ALL, [layers("/srv/site", 1), layers("/snap/acorn/1/import", 1)])
            .refresh()
            .differs("L6", ALL, [layers("/srv/site", 1), layers("/snap/acorn/1/import", 1)])
            .desire(REPAIRED)
            .refresh()
            .both([
                exit("0"),
                file("/usr/share/zebra/v", "common a"),
                file("/snap/acorn/1/import/v", "birch export 1"),
            ])
            .differs("L6", ALL, [layers("/srv/site", 1)])
            .desire("")
            .refresh()
            .both([exit("0")])
            .differs(
                "L6",
                ALL,
                [
                    layers("/srv/site", 0),
                    layers("/snap/acorn/1/import", 0),
                    file("/srv/site/v", "site"),
                    gone("/usr/share/zebra"),
                    record(&[ROOTFS]),
                ],
            ),
        story("a start in which a layout fails leaves the record alone, because its namespace goes")
            .desire(BAD)
            .run()
            .both([exit("1"), record(&[ROOTFS])])
            .ignoring(ALL),
        story("an overname that fails is fatal")
            .of("maple_blue")
            .desire("/var/snap/maple_blue/common/v /var/snap/maple none rbind,x-snapd.origin=overname 0 0")
            .run()
            .with(|start| start.argv = &["--from-snap-confine", "maple_blue"])
            .both([exit("1"), says("not a directory"), layers("/var/snap/maple", 0), record(&[ROOTFS])]),
        story("a faulty layout that is repaired works")
            .desire("/var/snap/acorn/common/conf /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("1")])
            .ignoring(ALL)
            .desire("/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), file("/opt/fresh/v", "common a"), file("/opt/spare/v", "spare")])
            .ignoring(["mount", "layers", "record"])
            .desire("")
            .run()
            .both([exit("0"), file("/opt/spare/v", "spare")])
            .differs(
                "L6",
                ["view /opt", "mount", "layers", "record"],
                [layers("/opt", 1), gone("/opt/fresh"), record(&[ROOTFS])],
            ),
    ]
}

fn drifting() -> Vec<Story> {
    const BIND: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0";
    const FILE: &str = "/var/snap/acorn/common/conf /opt/readme none bind,x-snapd.kind=file 0 0";
    const KEYS: [&str; 4] = ["view /opt", "mount /opt", "layers /opt", "record"];
    vec![
        story("a mount that somebody took away is made again")
            .natively()
            .desire(BIND)
            .run()
            .disturb(|_| detach("/opt/spare"))
            .run()
            .both([exit("0"), recorded("/opt/spare")])
            .differs("L25", KEYS, [file("/opt/spare/v", "common a"), layers("/opt/spare", 1)]),
        story("a mount that somebody made already is adopted")
            .natively()
            .disturb(preserve)
            .disturb(|_| bind("/var/snap/acorn/common/a", "/opt/spare"))
            .desire(BIND)
            .refresh()
            .both([exit("0"), file("/opt/spare/v", "common a"), recorded("/opt/spare")])
            .differs("L25", ["layers /opt/spare"], [layers("/opt/spare", 1)]),
        story("a directory that was replaced is bound anew")
            .natively()
            .desire(BIND)
            .run()
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/new");
                write("/var/snap/acorn/common/new/v", "replaced");
                mv("/var/snap/acorn/common/a", "/var/snap/acorn/common/old");
                mv("/var/snap/acorn/common/new", "/var/snap/acorn/common/a");
            })
            .run()
            .both([exit("0")])
            .differs("P3", KEYS, [file("/opt/spare/v", "replaced"), layers("/opt/spare", 1)]),
        story("a file that was replaced by renaming is bound anew")
            .natively()
            .desire(FILE)
            .run()
            .disturb(|_| {
                write("/var/snap/acorn/common/conf.new", "new conf");
                mv("/var/snap/acorn/common/conf.new", "/var/snap/acorn/common/conf");
            })
            .run()
            .both([exit("0")])
            .differs("P3", KEYS, [file("/opt/readme", "new conf"), layers("/opt/readme", 1)]),
        story("a directory that was removed and made again is bound anew")
            .natively()
            .desire(BIND)
            .run()
            .disturb(|_| {
                rmtree("/var/snap/acorn/common/a");
                write("/var/snap/acorn/common/a/v", "again");
            })
            .run()
            .both([exit("0")])
            .differs("P3", KEYS, [file("/opt/spare/v", "again"), layers("/opt/spare", 1)]),
        story("a mimic that somebody took away is built again")
            .natively()
            .desire("/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .disturb(|_| detach("/opt"))
            .run()
            .both([exit("0"), file("/opt/spare/v", "spare")])
            .differs(
                "L25",
                ["view /opt", "mount /opt", "layers /opt"],
                [file("/opt/fresh/v", "common a"), layers("/opt", 2)],
            )
            .desire("")
            .run()
            .both([gone("/opt/fresh")])
            .differs(
                "L25",
                ["exit", "view /opt", "mount", "layers", "record"],
                [exit("0"), file("/opt/spare/v", "spare"), record(&[ROOTFS])],
            ),
    ]
}

/// A parallel instance with a layout in its own directory.
const BLUE: &str = "/snap/maple_blue /snap/maple none rbind,x-snapd.origin=overname 0 0
    /var/snap/maple_blue /var/snap/maple none rbind,x-snapd.origin=overname 0 0
    /var/snap/maple/common/v /snap/maple/7/deep/conf none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0";
