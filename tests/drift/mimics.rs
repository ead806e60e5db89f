// SPDX-License-Identifier: GPL-3.0-only
//! Writable mimics that are not what they were: gone, without a part, over a directory that has changed.

use crate::deeds::*;
use crate::ends;
use crate::support::sandbox::Place;
use crate::support::story::*;

/// Needs a mimic over `/opt`.
const FRESH: &str = "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0\n";
const OTHER: &str = "/var/snap/acorn/common/b /opt/other none rbind,rw,x-snapd.origin=layout 0 0\n";
/// Over a child of the same directory.
const OVER: &str = "/var/snap/acorn/common/c /opt/spare none rbind,rw,x-snapd.origin=layout 0 0\n";

pub fn stories() -> Vec<Story> {
    [broken(), host(), shared()].into_iter().flatten().collect()
}

/// The mimic over `/opt` is whole, with the entry in it.
fn whole() -> [Expect; 9] {
    [
        exit("0"),
        warnings(0),
        file("/opt/fresh/v", "common a"),
        file("/opt/box/file", "boxed"),
        file("/opt/depot/inner/v", "inner"),
        file("/opt/readme", "read me"),
        link("/opt/alias", "readme"),
        layers("/opt", 2),
        layers("/opt/fresh", 1),
    ]
}

fn broken() -> Vec<Story> {
    vec![
        // The mount in its place is on a tmpfs, too, and was there before the mimic.
        story("with the directory of a layout that a crash had taken away, somebody else's went as well")
            .disturb(|sandbox| {
                mkdir("/dev/shm/own");
                write("/dev/shm/own/file", "somebody's");
                bind("/dev/shm/own", "/opt/box");
                let mimic =
                    "tmpfs /opt/box tmpfs x-snapd.synthetic,x-snapd.needed-by=/opt/box/new,mode=0755 0 0";
                let text = std::fs::read_to_string(sandbox.record()).expect("read the record");
                std::fs::write(sandbox.record(), format!("{text}{mimic}\n")).expect("write the record");
            })
            .desire("")
            .run()
            .both([exit("0"), warnings(0), file("/opt/box/file", "somebody's"), layers("/opt/box", 1)]),
        ends(
            story("somebody unmounted the directory of the layout, and it never came back")
                .desire(FRESH)
                .run()
                .both(whole())
                .disturb(|_| detach("/opt"))
                .run()
                .both(whole()),
        ),
        ends(
            story("one directory beside the layout is empty since somebody unmounted it")
                .desire(FRESH)
                .run()
                .both(whole())
                .disturb(|_| detach("/opt/box"))
                .run()
                .both(whole()),
        ),
        ends(
            story("one file beside the layout is empty since somebody unmounted it")
                .desire(FRESH)
                .run()
                .both(whole())
                .disturb(|_| detach("/opt/readme"))
                .run()
                .both(whole()),
        ),
        ends(
            story("the layout in the mimic was unmounted, and the mimic was built a second time")
                .desire(FRESH)
                .run()
                .both(whole())
                .disturb(|_| detach("/opt/fresh"))
                .run()
                .both(whole()),
        ),
        ends(
            story("the computer was switched off in the middle of an update, and files are missing since")
                .disturb(preserve)
                .desire(FRESH)
                .call(&["acorn"])
                .with(|start| {
                    start.place = Place::Host;
                    start.inject = Some("mount:signal=SIGKILL:when=4");
                })
                .disturb(|_| ())
                .run()
                .both(whole()),
        ),
        ends(
            story("a file was put over one directory of the mimic by hand, and it was taken for a part")
                .desire(FRESH)
                .run()
                .both(whole())
                .disturb(|_| {
                    detach("/opt/box");
                    bind("/opt/depot", "/opt/box");
                })
                .run()
                .both(whole()),
        ),
        ends(
            story("a fifo of the base disappeared with the layout")
                .disturb(|_| ())
                .desire("/var/snap/acorn/common/a /opt/box/fresh none rbind,rw,x-snapd.origin=layout 0 0")
                .run()
                .both([
                    exit("0"),
                    warnings(0),
                    line("view /opt/box/fifo", "fifo"),
                    file("/opt/box/fresh/v", "common a"),
                ]),
        ),
    ]
}

/// Mimics over what the host can change.
fn host() -> Vec<Story> {
    const ETC: &str = "/var/snap/acorn/common/a /etc/demo none rbind,rw,x-snapd.origin=layout 0 0\n";
    const DEEP: &str = "/var/snap/acorn/common/a /etc/sub/demo none rbind,rw,x-snapd.origin=layout 0 0\n";
    vec![
        ends(
            story("the host renamed a directory, and the app sees it under the old name only")
                .desire(ETC)
                .run()
                .both([exit("0"), file("/etc/demo/v", "common a"), file("/etc/sub/v", "etc sub")])
                .disturb(|sandbox| {
                    sandbox.on_host(|| {
                        let etc = sandbox.disk().join("etc");
                        std::fs::rename(etc.join("sub"), etc.join("renamed")).expect("rename on the host");
                    });
                })
                .run()
                .both([exit("0"), warnings(0), file("/etc/demo/v", "common a"), file("/etc/renamed/v", "etc sub")])
                .both([gone("/etc/sub"), layers("/etc", 2)])
                .disturb(|sandbox| {
                    sandbox.on_host(|| {
                        let etc = sandbox.disk().join("etc");
                        std::fs::rename(etc.join("renamed"), etc.join("sub")).expect("rename on the host");
                    });
                })
                .run(),
        ),
        ends(
            story("the host replaced a file, and the app reads the old one through the mimic")
                .desire(ETC)
                .run()
                .both([exit("0"), file("/etc/hosts", "localhost")])
                .disturb(|sandbox| {
                    sandbox.on_host(|| {
                        let hosts = sandbox.disk().join("etc/hosts");
                        replace(&hosts.to_string_lossy(), "new hosts");
                    });
                })
                .run()
                .both([exit("0"), warnings(0), file("/etc/hosts", "new hosts"), file("/etc/demo/v", "common a")])
                .both([layers("/etc", 2)])
                .disturb(|sandbox| {
                    sandbox.on_host(|| {
                        let hosts = sandbox.disk().join("etc/hosts");
                        replace(&hosts.to_string_lossy(), "localhost");
                    });
                })
                .run(),
        ),
        ends(
            story("a layout two levels down in the host's directories is refused because it would affect the host")
                .disturb(|_| ())
                .desire(DEEP)
                .run()
                .both([exit("0"), warnings(0), file("/etc/sub/demo/v", "common a"), file("/etc/sub/v", "etc sub")])
                .both([host_gone("/etc/sub/demo")]),
        ),
    ]
}

fn shared() -> Vec<Story> {
    vec![
        ends(
            story("one of two layouts was dropped, and running programs lost the other one for a moment")
                .desire(&format!("{FRESH}{OTHER}"))
                .run()
                .both([file("/opt/fresh/v", "common a"), file("/opt/other/v", "common b")])
                .disturb(|_| ())
                .desire(OTHER)
                .run()
                .both([
                    exit("0"),
                    warnings(0),
                    gone("/opt/fresh/v"),
                    file("/opt/other/v", "common b"),
                    layers("/opt", 2),
                ])
                .disturb(|_| detach("/opt/other"))
                .run()
                .both([exit("0"), warnings(0), file("/opt/other/v", "common b"), layers("/opt/other", 1)]),
        ),
        ends(
            story("a layout over an existing directory was dropped, and that directory is missing since")
                .desire(&format!("{FRESH}{OVER}"))
                .run()
                .both([file("/opt/spare/v", "common c")])
                .disturb(|_| ())
                .desire(FRESH)
                .run()
                .both(whole())
                .both([file("/opt/spare/v", "spare")]),
        ),
        ends(
            story(
                "a layout over an existing directory beside another changed, and the old one is still seen",
            )
            .desire(&format!("{FRESH}{OVER}"))
            .run()
            .both([file("/opt/spare/v", "common c")])
            .disturb(|_| ())
            .desire(&format!("{FRESH}{}", OVER.replace("common/c", "common/d")))
            .run()
            .both(whole())
            .both([file("/opt/spare/v", "common d")]),
        ),
        ends(
            story("content came over an existing directory of a mimicked snap, and never appeared")
                .desire("/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0")
                .run()
                .both([file("/snap/acorn/1/newdir/v", "birch more 1")])
                .disturb(|_| ())
                .desire(
                    "/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0
                    /snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0",
                )
                .run()
                .both([exit("0"), warnings(0), file("/snap/acorn/1/import/v", "birch export 1")]),
        ),
        ends(
            story("a temporary file system over a directory of the base was gone after the next update")
                .disturb(|_| ())
                .desire(&format!("tmpfs /opt/spare tmpfs mode=0755,x-snapd.origin=layout 0 0\n{FRESH}"))
                .run()
                .both([exit("0"), gone("/opt/spare/v")])
                .run()
                .both([exit("0"), gone("/opt/spare/v"), file("/opt/fresh/v", "common a")]),
        ),
        ends(
            story("what was disconnected beside a layout came back when that was dropped")
                .desire("/var/snap/acorn/common/b /opt/depot/inner none bind 0 0")
                .run()
                .both([file("/opt/depot/inner/v", "common b")])
                .desire(&format!("/var/snap/acorn/common/b /opt/depot/inner none bind 0 0\n{FRESH}"))
                .run()
                .both([file("/opt/depot/inner/v", "common b"), file("/opt/fresh/v", "common a")])
                .disturb(|_| ())
                .desire(FRESH)
                .run()
                .both(whole()),
        ),
        ends(
            story("a mimic inside a mimic lost its outer one, and both were stacked")
                .desire(
                    "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
                    /var/snap/acorn/common/b /opt/depot/fresh none rbind,rw,x-snapd.origin=layout 0 0",
                )
                .run()
                .both([file("/opt/fresh/v", "common a"), file("/opt/depot/fresh/v", "common b")])
                .disturb(|_| detach("/opt"))
                .run()
                .both([
                    exit("0"),
                    warnings(0),
                    file("/opt/fresh/v", "common a"),
                    file("/opt/depot/fresh/v", "common b"),
                ])
                .both([file("/opt/depot/inner/v", "inner"), layers("/opt", 2)]),
        ),
    ]
}
