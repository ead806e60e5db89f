// SPDX-License-Identifier: GPL-3.0-only
//! Writable mimics, and where the tool may write at all.

use crate::deeds::*;
use crate::support::story::*;

pub fn stories() -> Vec<Story> {
    [building(), sharing(), covering(), trespassing(), keeping_safe()].into_iter().flatten().collect()
}

fn building() -> Vec<Story> {
    vec![
        story("a new name in a read-only directory is made with a mimic, and nothing else changes there")
            .desire("/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), file("/opt/fresh/v", "common a"), file("/opt/spare/v", "spare"), link("/opt/alias", "readme")])
            .both([dir_as("/opt", "0755 0:0"), file("/opt/readme", "read me"), dir_as("/opt/private", "0700 108:4")])
            .both([record(&[
                ROOTFS,
                "tmpfs /opt tmpfs x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,mode=0755,uid=0,gid=0 0 0",
                "/opt/box /opt/box none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,x-snapd.detach 0 0",
                "/opt/depot /opt/depot none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,x-snapd.detach 0 0",
                "/opt/private /opt/private none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,x-snapd.detach 0 0",
                "/opt/readme /opt/readme none bind,x-snapd.kind=file,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh 0 0",
                "/opt/spare /opt/spare none rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/fresh,x-snapd.detach 0 0",
                "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0",
            ])])
            .run()
            .both([exit("0"), layers("/opt", 2), layers("/opt/spare", 1)])
            .desire("")
            .run()
            .both([exit("0"), gone("/opt/fresh"), layers("/opt", 1), layers("/opt/spare", 0), record(&[ROOTFS])])
            .both([line("view /opt", "dir 0755 0:0 ro")]),
        story("a mimic has the mode and the owner of the directory that it covers")
            .desire("/var/snap/acorn/common/a /opt/private/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), dir_as("/opt/private", "0700 108:4 rw"), file("/opt/private/v", "private")])
            .both([file("/opt/private/fresh/v", "common a"), layers("/opt", 1)])
            .desire("")
            .run()
            .both([dir_as("/opt/private", "0700 108:4 ro"), record(&[ROOTFS])]),
        story("a deep new name needs one mimic and plain directories in it")
            .desire("/var/snap/acorn/common/a /opt/x/y/z none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([file("/opt/x/y/z/v", "common a"), layers("/opt", 2), layers("/opt/x", 0), dir_as("/opt/x/y", "0755 0:0 rw")])
            .desire("")
            .run()
            .both([gone("/opt/x"), record(&[ROOTFS])]),
        story("a file is bound in a mimic")
            .desire("/var/snap/acorn/common/conf /opt/conf none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), file("/opt/conf", "common conf")])
            .desire("")
            .run()
            .both([gone("/opt/conf"), record(&[ROOTFS])]),
        story("a tmpfs is mounted in a mimic")
            .desire("tmpfs /opt/scratch tmpfs x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), dir_as("/opt/scratch", "1777 0:0 rw"), layers("/opt/scratch", 1)])
            .desire("")
            .run()
            .both([gone("/opt/scratch"), record(&[ROOTFS])]),
        story("a symbolic link is made in a mimic and goes with it")
            .desire("none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), link("/opt/link", "spare"), file("/opt/spare/v", "spare")])
            .desire("")
            .run()
            .both([exit("0"), gone("/opt/link"), record(&[ROOTFS])]),
        story("a symbolic link in a mimic goes with it after an unchanged run too")
            .desire("none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0")
            .run()
            .run()
            .both([link("/opt/link", "spare")])
            .desire("")
            .run()
            .both([gone("/opt/link"), layers("/opt", 1)])
            .differs("L1", ["exit", "stdout", "record"], [exit("0"), record(&[ROOTFS])]),
        story("a symbolic link in a mimic goes with it after two unchanged runs")
            .desire("none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0")
            .run()
            .run()
            .run()
            .desire("")
            .run()
            .both([exit("0"), gone("/opt/link"), layers("/opt", 1), record(&[ROOTFS])]),
        story("a fifo in a covered directory can still be reached")
            .desire("/var/snap/acorn/common/a /opt/box/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), file("/opt/box/fresh/v", "common a"), file("/opt/box/file", "boxed")])
            .differs("L19", ["view /opt/box/fifo", "mount /opt/box/fifo", "layers /opt/box/fifo", "record"], [
                line("view /opt/box/fifo", "fifo "),
            ])
            .desire("")
            .run()
            .both([line("view /opt/box/fifo", "fifo "), record(&[ROOTFS])]),
        story("a mimic in a mimic")
            .desire(
                "/var/snap/acorn/common/a /opt/depot/demo none rbind,rw,x-snapd.origin=layout 0 0
                /var/snap/acorn/common/b /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0",
            )
            .run()
            .both([exit("0"), file("/opt/depot/demo/v", "common a"), file("/opt/depot/inner/v", "inner")])
            .both([file("/opt/fresh/v", "common b"), file("/opt/spare/v", "spare"), warnings(0)])
            .run()
            .both([file("/opt/depot/demo/v", "common a")])
            .desire("")
            .run()
            .both([gone("/opt/depot/demo"), gone("/opt/fresh"), record(&[ROOTFS])]),
        story("a mimic in a mimic when the inner one goes first")
            .desire(
                "/var/snap/acorn/common/a /opt/depot/demo none rbind,rw,x-snapd.origin=layout 0 0
                /var/snap/acorn/common/b /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0",
            )
            .run()
            .desire("/var/snap/acorn/common/b /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), gone("/opt/depot/demo"), file("/opt/fresh/v", "common b")])
            .differs("L5", ["view /opt/depot", "mount /opt/depot", "layers /opt/depot", "record"], [
                file("/opt/depot/inner/v", "inner"),
            ]),
        story("a mimic in a mimic when the outer one goes first")
            .desire(
                "/var/snap/acorn/common/a /opt/depot/demo none rbind,rw,x-snapd.origin=layout 0 0
                /var/snap/acorn/common/b /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0",
            )
            .run()
            .desire("/var/snap/acorn/common/a /opt/depot/demo none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), gone("/opt/fresh"), file("/opt/depot/inner/v", "inner"), file("/opt/depot/demo/v", "common a")])
            .differs("L39", ["=view /opt"], [file("/opt/readme", "read me")])
            .ignoring(["layers /opt", "mount /opt", "record"]),
        story("mounts that were there are carried into a mimic").natively()
            .desire("/var/snap/acorn/common/a /opt/spare none bind,rw 0 0")
            .run()
            .desire(
                "/var/snap/acorn/common/a /opt/spare none bind,rw 0 0
                /var/snap/acorn/common/b /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0",
            )
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a"), file("/opt/fresh/v", "common b")])
            .ignoring(["layers /opt/spare"])
            .desire("")
            .run()
            .both([file("/opt/spare/v", "spare"), gone("/opt/fresh"), record(&[ROOTFS])]),
    ]
}

fn sharing() -> Vec<Story> {
    const TWO: &str = "/var/snap/acorn/common/a /opt/aa none rbind,rw,x-snapd.origin=layout 0 0
        /var/snap/acorn/common/b /opt/bb none rbind,rw,x-snapd.origin=layout 0 0";
    vec![
        story("two entries share a mimic")
            .desire(TWO)
            .run()
            .both([
                exit("0"),
                layers("/opt", 2),
                file("/opt/aa/v", "common a"),
                file("/opt/bb/v", "common b"),
            ])
            .desire("")
            .run()
            .both([gone("/opt/aa"), gone("/opt/bb"), layers("/opt", 1), record(&[ROOTFS])]),
        story("a second entry comes into a mimic that is there")
            .desire("/var/snap/acorn/common/a /opt/aa none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .desire(TWO)
            .run()
            .both([
                exit("0"),
                layers("/opt", 2),
                file("/opt/aa/v", "common a"),
                file("/opt/bb/v", "common b"),
            ]),
        story("the entry that did not need the mimic first goes, and the mimic stays")
            .desire(TWO)
            .run()
            .desire("/var/snap/acorn/common/a /opt/aa none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), layers("/opt", 2), file("/opt/aa/v", "common a"), gone("/opt/bb")]),
        story("the entry that made the mimic goes, and its neighbour stays")
            .desire(TWO)
            .run()
            .desire("/var/snap/acorn/common/b /opt/bb none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([
                exit("0"),
                layers("/opt", 2),
                file("/opt/bb/v", "common b"),
                gone("/opt/aa"),
                file("/opt/spare/v", "spare"),
            ])
            .desire("")
            .run()
            .both([gone("/opt/bb"), layers("/opt", 1), record(&[ROOTFS])]),
        story("an entry whose mimic exists changes its source")
            .desire("/snap/acorn/1/data /opt/acorn none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .desire("/snap/acorn/2/data /opt/acorn none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([
                exit("0"),
                file("/opt/acorn/v", "acorn data 2"),
                layers("/opt", 2),
                layers("/opt/acorn", 1),
            ])
            .desire("")
            .run()
            .both([gone("/opt/acorn"), record(&[ROOTFS])]),
        story("a failed entry leaves its neighbours in the mimic")
            .desire(
                "/snap/birch/1/absent /opt/aa none bind,ro 0 0
                /snap/birch/1/export /opt/bb none bind,ro 0 0",
            )
            .run()
            .both([
                exit("0"),
                warnings(1),
                file("/opt/bb/v", "birch export 1"),
                file("/opt/spare/v", "spare"),
            ])
            .differs("L22", ["view /opt/aa"], [gone("/opt/aa")])
            .ignoring(["record"])
            .desire("")
            .run()
            .both([gone("/opt/aa"), gone("/opt/bb"), layers("/opt", 1), record(&[ROOTFS])]),
    ]
}

fn covering() -> Vec<Story> {
    const BASE: &str = "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0\n";
    let and = |line: &str| format!("{BASE}{line}");
    let spare_1 = and("/snap/acorn/1/data /opt/spare none rbind,rw,x-snapd.origin=layout 0 0");
    let spare_2 = and("/snap/acorn/2/data /opt/spare none rbind,rw,x-snapd.origin=layout 0 0");
    let tmpfs_there = and("tmpfs /opt/spare tmpfs x-snapd.origin=layout 0 0");
    const KEYS: [&str; 5] = ["view /opt/spare", "mount /opt/spare", "layers /opt/spare", "record", "stdout"];
    vec![
        story("a layout over an existing child of a mimicked directory changes its source")
            .desire(&spare_1)
            .run()
            .both([exit("0"), file("/opt/spare/v", "acorn data 1"), file("/opt/fresh/v", "common a")])
            .ignoring(["layers /opt/spare", "record"])
            .desire(&spare_2)
            .run()
            .both([exit("0")])
            .differs("L5", KEYS, [file("/opt/spare/v", "acorn data 2")]),
        story("a layout over an existing child of a mimicked directory goes, and the child is back")
            .desire(&spare_1)
            .run()
            .ignoring(["layers /opt/spare", "record"])
            .desire(BASE)
            .run()
            .both([exit("0")])
            .differs("N3", KEYS, [file("/opt/spare/v", "spare"), file("/opt/fresh/v", "common a")]),
        story("a layout comes over an existing child of a directory that is mimicked already")
            .desire(BASE)
            .run()
            .desire(&spare_1)
            .run()
            .both([exit("0")])
            .differs("L5", KEYS, [file("/opt/spare/v", "acorn data 1"), recorded("/opt/spare")])
            .run()
            .differs("L5", KEYS, [file("/opt/spare/v", "acorn data 1")])
            .desire(BASE)
            .run()
            .differs("N3", [], [file("/opt/spare/v", "spare")])
            .ignoring(["layers /opt/spare", "record", "mount /opt/spare"]),
        story("a tmpfs layout over an existing child of a mimicked directory survives an unchanged run")
            .desire(&tmpfs_there)
            .run()
            .both([exit("0"), gone("/opt/spare/v"), dir_as("/opt/spare", "1777 0:0")])
            .ignoring(["layers /opt/spare", "record"])
            .run()
            .both([exit("0"), gone("/opt/spare/v"), dir_as("/opt/spare", "1777 0:0")])
            .differs("N1", [], [recorded("/opt/spare")])
            .ignoring(["layers /opt/spare", "record"])
            .desire("")
            .run()
            .both([file("/opt/spare/v", "spare"), gone("/opt/fresh")])
            .differs("N1", [], [layers("/opt/spare", 0), layers("/opt", 1), record(&[ROOTFS])]),
        story("content over an existing directory of a mimicked snap appears and goes again")
            .desire("/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0")
            .run()
            .both([
                file("/snap/acorn/1/newdir/v", "birch more 1"),
                dir("/snap/acorn/1/import"),
                gone("/snap/acorn/1/import/v"),
            ])
            .desire(
                "/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0
                /snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0",
            )
            .run()
            .both([exit("0")])
            .differs(
                "L5",
                [
                    "view /snap/acorn/1/import",
                    "mount /snap/acorn/1/import",
                    "layers /snap/acorn/1/import",
                    "record",
                ],
                [file("/snap/acorn/1/import/v", "birch export 1"), recorded("/snap/acorn/1/import")],
            )
            .desire("/snap/birch/1/more /snap/acorn/1/newdir none bind,ro 0 0")
            .run()
            .both([exit("0"), dir("/snap/acorn/1/import"), gone("/snap/acorn/1/import/v")])
            .ignoring(["record", "layers /snap/acorn/1/import", "mount /snap/acorn/1/import"])
            .desire("")
            .run()
            .both([gone("/snap/acorn/1/newdir"), dir("/snap/acorn/1/import"), record(&[ROOTFS])]),
    ]
}

fn trespassing() -> Vec<Story> {
    vec![
        story("a new name in a writable host directory is made in a mimic, unseen by the host")
            .desire("/var/snap/acorn/common/a /etc/demo none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), file("/etc/demo/v", "common a"), file("/etc/hosts", "localhost"), host_gone("/etc/demo")])
            .both([file("/etc/sub/v", "etc sub"), host("/etc/hosts", "file")])
            .desire("")
            .run()
            .both([gone("/etc/demo"), host_gone("/etc/demo"), layers("/etc", 1), record(&[ROOTFS])]),
        story("a new name two levels down in writable host directories can be made")
            .desire("/var/snap/acorn/common/a /etc/sub/demo none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([host_gone("/etc/sub/demo"), file("/etc/sub/v", "etc sub"), file("/etc/hosts", "localhost")])
            .differs("L8", ["exit", "stdout", "view", "mount /etc", "layers /etc", "record", "host /tmp"], [
                exit("0"),
                file("/etc/sub/demo/v", "common a"),
                recorded("/etc/sub"),
                recorded("/etc/sub/demo"),
            ]),
        story("without a word about the root nothing new is made in it")
            .recorded("")
            .desire("/var/snap/acorn/common/a /fresh none bind 0 0\n/var/snap/acorn/common/b /opt/spare none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), gone("/fresh"), file("/opt/spare/v", "common b")]),
        story("a layout in an untrusted root is fatal and touches nothing there")
            .recorded("")
            .desire("/var/snap/acorn/common/a /fresh none bind,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("1"), says("cannot recover from trespassing over /"), gone("/fresh")])
            .ignoring(["record"]),
        story("a new name in the root is a plain directory")
            .desire("/var/snap/acorn/common/a /fresh/deep none bind 0 0")
            .run()
            .both([exit("0"), file("/fresh/deep/v", "common a"), layers("/", 1)])
            .desire("")
            .run()
            .both([gone("/fresh/deep/v"), record(&[ROOTFS])]),
        story("a read-only root is not covered")
            .disturb(|_| read_only("/"))
            .desire("/var/snap/acorn/common/a /fresh none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), gone("/fresh/v"), file("/opt/spare/v", "spare")])
            .differs("L10", ["view", "host /tmp", "layers", "mount", "record"], [layers("/", 1), record(&[ROOTFS])]),
        story("an empty directory of the host that served as a target stays")
            .desire("/var/snap/acorn/common/a /etc/foo.d none bind 0 0")
            .run()
            .both([file("/etc/foo.d/v", "common a")])
            .desire("")
            .run()
            .both([exit("0"), record(&[ROOTFS])])
            .differs("L2", ["view /etc/foo.d", "host /etc/foo.d"], [dir("/etc/foo.d"), host("/etc/foo.d", "dir")]),
        story("an empty directory of the snap's own data that served as a target stays")
            .disturb(|_| mkdir("/var/snap/acorn/common/slot"))
            .desire("/snap/birch/1/export /var/snap/acorn/common/slot none bind,ro 0 0")
            .run()
            .desire("")
            .run()
            .both([exit("0"), record(&[ROOTFS])])
            .differs("L2", ["view /var/snap/acorn/common/slot", "host /var/snap/acorn/common/slot"], [
                dir("/var/snap/acorn/common/slot"),
            ]),
        story("a directory that was made for a mount in the snap's own data goes with it")
            .desire("/snap/birch/1/export /var/snap/acorn/common/slot none bind,ro 0 0")
            .run()
            .both([file("/var/snap/acorn/common/slot/v", "birch export 1")])
            .desire("")
            .run()
            .both([exit("0"), gone("/var/snap/acorn/common/slot"), host_gone("/var/snap/acorn/common/slot")]),
        story("a made directory that the snap filled stays, without a word")
            .desire("/snap/birch/1/export /var/snap/acorn/common/slot none bind,ro 0 0")
            .run()
            .disturb(|sandbox| {
                std::fs::write(sandbox.disk().join("var/snap/acorn/common/slot/mine"), "mine").expect("write on the host");
            })
            .desire("")
            .run()
            .both([exit("0"), warnings(0), file("/var/snap/acorn/common/slot/mine", "mine")]),
        story("parents of private temporary directories have their own modes")
            .disturb(|_| mkdir("/var/lib/snapd/hostfs/tmp"))
            .desire("/var/lib/snapd/hostfs/tmp/snap-private-tmp/snap.birch/tmp/.X11-unix /tmp/.X11-unix none bind,ro 0 0")
            .run()
            .both([exit("0"), dir("/tmp/.X11-unix")])
            .both([dir_as("/var/lib/snapd/hostfs/tmp/snap-private-tmp/snap.birch/tmp/.X11-unix", "1777 0:0")])
            .differs("L13", ["view /var/lib/snapd/hostfs", "host /var/lib/snapd/hostfs"], [
                dir_as("/var/lib/snapd/hostfs/tmp/snap-private-tmp/snap.birch", "0700 0:0"),
                dir_as("/var/lib/snapd/hostfs/tmp/snap-private-tmp/snap.birch/tmp", "1777 0:0"),
            ])
            .differs("V3", ["host /tmp/.X11-unix"], [host("/tmp/.X11-unix", "dir 1777 0:0")]),
    ]
}

fn keeping_safe() -> Vec<Story> {
    const FRESH: &str = "/var/snap/acorn/common/a /opt/fresh none bind,rw 0 0";
    vec![
        story("the safe-keeping directory is empty afterwards").desire(FRESH).run().both([
            exit("0"),
            gone("/tmp/.snap/opt"),
            layers("/tmp/.snap/opt", 0),
        ]),
        story("a file that lies where originals are kept safe does not hurt")
            .disturb(|_| write("/tmp/.snap", "hostile"))
            .desire(FRESH)
            .run()
            .both([exit("0"), file("/opt/spare/v", "spare"), file("/tmp/.snap", "hostile")]),
        story("a symbolic link that lies where originals are kept safe is not followed")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/trap");
                ln("/var/snap/acorn/common/trap", "/tmp/.snap");
            })
            .desire(FRESH)
            .run()
            .both([exit("0"), file("/opt/spare/v", "spare"), gone("/var/snap/acorn/common/trap/opt")]),
        story("a directory of somebody else is not where originals are kept safe")
            .disturb(|_| {
                mkdir("/tmp/.snap/opt");
                chown("/tmp/.snap", 1000);
            })
            .desire(FRESH)
            .run()
            .both([exit("0"), file("/opt/spare/v", "spare"), layers("/tmp/.snap/opt", 0)])
            .differs(
                "L24",
                ["view", "host /tmp/.snap", "mount", "layers", "warning", "record"],
                [warnings(1), layers("/opt", 1), record(&[ROOTFS])],
            ),
        story("where the program joined the namespace by itself it needs no place for originals")
            .natively()
            .disturb(preserve)
            .disturb(|_| write("/tmp/.snap", "hostile"))
            .desire(FRESH)
            .refresh()
            .both([exit("0"), file("/opt/spare/v", "spare"), file("/tmp/.snap", "hostile")])
            .differs(
                "L24",
                ["view /opt", "mount /opt", "layers /opt", "warning", "record"],
                [warnings(0), file("/opt/fresh/v", "common a")],
            ),
    ]
}
