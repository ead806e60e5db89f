// SPDX-License-Identifier: GPL-3.0-only
//! A mount is not what the record says: taken away, there before, of something that was replaced, covered, or with
//! other flags.

use crate::deeds::*;
use crate::support::kernel::Version;
use crate::support::story::*;
use crate::{ends, ends_when, rests};

/// The snap's own data over a directory of the base.
const BIND: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0";
const RBIND: &str = "/var/snap/acorn/common/a /opt/spare none rbind 0 0";
const RO: &str = "/var/snap/acorn/common/a /opt/spare none bind,ro 0 0";
const FILE: &str = "/var/snap/acorn/common/conf /opt/readme none bind,x-snapd.kind=file 0 0";
/// Its target has to be made, on the host's disk.
const SLOT: &str = "/snap/birch/1/export /var/snap/acorn/common/slot none bind,ro 0 0";

pub fn stories() -> Vec<Story> {
    [taken_away(), there_before(), replaced(), covered(), flags(), below(), kinds(), odd()]
        .into_iter()
        .flatten()
        .collect()
}

/// The entry is there, once.
fn shows(text: &str) -> [Expect; 5] {
    [exit("0"), warnings(0), file("/opt/spare/v", text), layers("/opt/spare", 1), recorded("/opt/spare")]
}

fn shows_file(text: &str) -> [Expect; 5] {
    [exit("0"), warnings(0), file("/opt/readme", text), layers("/opt/readme", 1), recorded("/opt/readme")]
}

fn taken_away() -> Vec<Story> {
    vec![
        ends(
            story("somebody unmounted the layout, and no update brought it back")
                .desire(BIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| detach("/opt/spare"))
                .run()
                .both(shows("common a")),
        ),
        ends(
            story("a file of the layout was unmounted by hand, and the app reads the base's file since")
                .desire(FILE)
                .run()
                .both(shows_file("common conf"))
                .disturb(|_| detach("/opt/readme"))
                .run()
                .both(shows_file("common conf")),
        ),
        ends(
            story("the temporary file system of a layout was unmounted, and the app fills the disk since")
                .desire("tmpfs /srv/site tmpfs mode=0755 0 0")
                .run()
                .both([exit("0"), gone("/srv/site/v")])
                .disturb(|_| detach("/srv/site"))
                .run()
                .both([exit("0"), warnings(0), gone("/srv/site/v"), layers("/srv/site", 1)]),
        ),
        ends(
            story("the host removed the folder under a mount, and the mount vanished with it")
                .desire(SLOT)
                .run()
                .both([file("/var/snap/acorn/common/slot/v", "birch export 1")])
                .disturb(|sandbox| {
                    sandbox.on_host(|| {
                        std::fs::remove_dir(sandbox.disk().join("var/snap/acorn/common/slot")).expect("remove the mount point");
                    });
                })
                .run()
                .both([exit("0"), warnings(0), file("/var/snap/acorn/common/slot/v", "birch export 1")])
                .both([layers("/var/snap/acorn/common/slot", 1)]),
        )
        .both([gone("/var/snap/acorn/common/slot"), host_gone("/var/snap/acorn/common/slot")]),
        ends(
            story("everything was unmounted by hand, and disconnecting complains")
                .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0\n/snap/birch/1/export /opt/fresh none bind,ro 0 0")
                .run()
                .both([file("/opt/spare/v", "common a"), file("/opt/fresh/v", "birch export 1")])
                .disturb(|_| {
                    detach("/opt/spare");
                    detach("/opt");
                })
                .desire("")
                .run()
                .both([exit("0"), warnings(0), record(&[ROOTFS])]),
        ),
    ]
}

fn there_before() -> Vec<Story> {
    vec![
        ends(
            story("I had mounted it by hand already, and then it was mounted twice")
                .disturb(preserve)
                .disturb(|_| bind("/var/snap/acorn/common/a", "/opt/spare"))
                .desire(BIND)
                .refresh()
                .both(shows("common a")),
        )
        .both([layers("/opt/spare", 0)])
        // What was adopted is taken away like what was made.
        .both([file("/opt/spare/v", "spare")]),
        story("I had mounted the file by hand, and got two of them")
            .disturb(preserve)
            .disturb(|_| bind("/var/snap/acorn/common/conf", "/opt/readme"))
            .desire(FILE)
            .refresh()
            .both(shows_file("common conf"))
            .run()
            .both([same()])
            .desire("")
            .run()
            .both([exit("0"), file("/opt/readme", "read me"), layers("/opt/readme", 0)]),
        story("a link that I had made myself was removed with the layout")
            .disturb(|_| ln("conf", "/var/snap/acorn/common/link"))
            .desire("none /var/snap/acorn/common/link none x-snapd.kind=symlink,x-snapd.symlink=conf 0 0")
            .run()
            .both([exit("0"), warnings(0), link("/var/snap/acorn/common/link", "conf")])
            .run()
            .both([same()])
            .desire("")
            .run()
            .both([exit("0"), warnings(0), link("/var/snap/acorn/common/link", "conf"), record(&[ROOTFS])]),
        ends(
            story("an empty folder of the host was deleted when the layout went")
                .disturb(|_| ())
                .desire("/var/snap/acorn/common/a /etc/foo.d none bind 0 0")
                .run()
                .both([exit("0"), file("/etc/foo.d/v", "common a")]),
        )
        .both([dir("/etc/foo.d"), host("/etc/foo.d", "dir")]),
        ends(
            story("an empty file of mine was deleted when the layout went")
                .disturb(|_| write("/var/snap/acorn/common/mine", ""))
                .desire("/snap/acorn/1/settings /var/snap/acorn/common/mine none bind,x-snapd.kind=file 0 0")
                .run()
                .both([exit("0"), file("/var/snap/acorn/common/mine", "acorn settings 1")]),
        )
        .both([file("/var/snap/acorn/common/mine", "")]),
    ]
}

fn replaced() -> Vec<Story> {
    vec![
        ends(
            story("after snap restore the layout still showed the deleted directory")
                .desire(BIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| {
                    rmtree("/var/snap/acorn/common/a");
                    write("/var/snap/acorn/common/a/v", "restored");
                })
                .run()
                .both(shows("restored")),
        ),
        ends(
            story("my editor replaced the file, and the app reads the old one for ever")
                .desire(FILE)
                .run()
                .both(shows_file("common conf"))
                .disturb(|_| replace("/var/snap/acorn/common/conf", "edited"))
                .run()
                .both(shows_file("edited")),
        ),
        ends(
            story("the folder was swapped for another, and the app still sees the one that was moved away")
                .desire(BIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| {
                    mv("/var/snap/acorn/common/a", "/var/snap/acorn/common/old");
                    write("/var/snap/acorn/common/a/v", "swapped");
                })
                .run()
                .both(shows("swapped")),
        ),
        ends(
            story("the folder was renamed, and the app wrote into the renamed one")
                .desire(BIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| mv("/var/snap/acorn/common/a", "/var/snap/acorn/common/elsewhere"))
                .run()
                .both([exit("0"), warnings(0), gone("/opt/spare/v"), dir("/var/snap/acorn/common/a")])
                .both([layers("/opt/spare", 1), file("/var/snap/acorn/common/elsewhere/v", "common a")]),
        ),
        ends(
            story("the folder was deleted, and nothing can be created in the layout")
                .desire(BIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| rmtree("/var/snap/acorn/common/a"))
                .run()
                .both([exit("0"), warnings(0), layers("/opt/spare", 1)])
                .disturb(|_| drop(std::fs::write("/opt/spare/w", "written")))
                .run()
                .both([file("/var/snap/acorn/common/a/w", "written")]),
        ),
        ends(
            story("a disk was mounted at the folder, and the app still fills the folder below")
                .desire(BIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| tmpfs("/var/snap/acorn/common/a", "disk"))
                .run()
                .both(shows("disk"))
                .run()
                .both([same()])
                .disturb(|_| detach("/var/snap/acorn/common/a"))
                .run()
                .both(shows("common a")),
        ),
        ends(
            story("a disk was taken away while the layout showed it, and the layout still does")
                .disturb(|_| tmpfs("/var/snap/acorn/common/a", "disk"))
                .desire(BIND)
                .run()
                .both(shows("disk"))
                .disturb(|_| detach("/var/snap/acorn/common/a"))
                .run()
                .both(shows("common a")),
        ),
        ends(
            story("the file was deleted and the layout could never be mended")
                .desire(FILE)
                .run()
                .both(shows_file("common conf"))
                .disturb(|_| rm("/var/snap/acorn/common/conf"))
                .run()
                .both(shows_file("")),
        ),
    ]
}

fn covered() -> Vec<Story> {
    vec![
        story("another mount hides the layout, and updates do not see it")
            .desire(BIND)
            .run()
            .both(shows("common a"))
            .disturb(|_| tmpfs("/opt/spare", "foreign"))
            .run()
            .both([exit("0"), warnings(0), file("/opt/spare/v", "common a"), layers("/opt/spare", 3)])
            .run()
            .both([exit("0"), same()])
            .disturb(|_| {
                detach("/opt/spare");
                detach("/opt/spare");
            })
            .run()
            .both(shows("common a"))
            .desire("")
            .run()
            .both([exit("0"), warnings(0), as_at_first()]),
        story("somebody else's mount was in the way, and it was gone after the update")
            .disturb(|_| tmpfs("/opt/spare", "foreign"))
            .desire(BIND)
            .run()
            .both([exit("0"), warnings(0), file("/opt/spare/v", "common a"), layers("/opt/spare", 2)])
            .run()
            .both([exit("0"), same()])
            .desire("")
            .run()
            .both([exit("0"), warnings(0), file("/opt/spare/v", "foreign"), layers("/opt/spare", 1)]),
        story("somebody else's mount was covered, and not even the log says so")
            .disturb(preserve)
            .disturb(|_| tmpfs("/opt/spare", "foreign"))
            .desire(BIND)
            .refresh()
            .with(|start| start.env = &[("SNAPD_DEBUG", "1")])
            .both([
                exit("0"),
                file("/opt/spare/v", "common a"),
                mutters("somebody else has mounted at \"/opt/spare\""),
            ])
            .run()
            .both([exit("0"), same(), quiet(), not_saved()]),
        story("the layout went while another mount hid it, and it came back when that was taken away")
            .desire(BIND)
            .run()
            .both(shows("common a"))
            .disturb(|_| tmpfs("/opt/spare", "foreign"))
            .desire("")
            .run()
            .both([exit("0"), warnings(1), file("/opt/spare/v", "foreign"), layers("/opt/spare", 2)])
            .both([recorded("/opt/spare")])
            .disturb(|_| detach("/opt/spare"))
            .run()
            .both([exit("0"), warnings(0), as_at_first(), record(&[ROOTFS])]),
        ends(
            story("a mount over the parent directory hides the layout, and updates do not see it")
                .desire(BIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| tmpfs("/opt", "foreign"))
                .run()
                .both([exit("0"), warnings(0), file("/opt/spare/v", "common a"), file("/opt/v", "foreign")])
                .run()
                .both([exit("0"), same()])
                // With it goes what was built on it.
                .disturb(|_| {
                    while std::path::Path::new("/opt/v").exists() {
                        detach("/opt");
                    }
                })
                .run()
                .both(shows("common a")),
        ),
    ]
}

fn flags() -> Vec<Story> {
    // Before mount_setattr(2) snap-confine's rules leave no way to name the flags, and the original loses them as well.
    let kept = match Version(5, 12).is_to_come() {
        true => "tmpfs:/ [rw] ro,relatime",
        false => "tmpfs:/ [rw] ro,nosuid,nodev,relatime",
    };
    const RO_VIEW: &str = "dir 0755 0:0 ro";
    const RW_VIEW: &str = "dir 0755 0:0 rw";
    vec![
        ends(
            story("somebody remounted it writable, and the app can write to what it must not")
                .desire(RO)
                .run()
                .both([exit("0"), line("view /opt/spare", RO_VIEW)])
                .disturb(|_| writable("/opt/spare"))
                .run()
                .both([exit("0"), warnings(0), line("view /opt/spare", RO_VIEW), layers("/opt/spare", 1)]),
        ),
        ends(
            story("somebody remounted it read-only, and the app cannot save any more")
                .desire(BIND)
                .run()
                .both([exit("0"), line("view /opt/spare", RW_VIEW)])
                .disturb(|_| read_only("/opt/spare"))
                .run()
                .both([exit("0"), warnings(0), line("view /opt/spare", RW_VIEW), layers("/opt/spare", 1)]),
        ),
        ends_when(
            story("a read-only share lost nosuid and nodev")
                .disturb(|_| {
                    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
                    rustix::mount::mount("tmpfs", "/var/snap/acorn/common/a", "tmpfs", flags, None)
                        .expect("mount a tmpfs");
                })
                .desire(RO)
                .run()
                .both([exit("0"), warnings(0)])
                .both([line("mount /opt/spare", kept)]),
            |_| detach("/var/snap/acorn/common/a"),
        ),
        ends_when(
            story("the share is read-only, but what is mounted in it is not")
                .disturb(|_| {
                    mkdir("/var/snap/acorn/common/a/deep");
                    tmpfs("/var/snap/acorn/common/a/deep", "deep");
                })
                .desire("/var/snap/acorn/common/a /opt/spare none rbind,ro 0 0")
                .run()
                .both([exit("0"), warnings(0), line("view /opt/spare", RO_VIEW)])
                .both([line("view /opt/spare/deep/v", "file \"deep\" 0644 0:0 ro")]),
            |_| detach("/var/snap/acorn/common/a/deep"),
        ),
        ends(
            story("options of a layout were ignored without a word")
                .disturb(|_| ())
                .desire("/var/snap/acorn/common/a /opt/spare none bind,noexec,mode=0700 0 0")
                .run()
                .both([exit("0"), file("/opt/spare/v", "common a"), mutters("noexec")]),
        ),
    ]
}

fn below() -> Vec<Story> {
    vec![
        ends_when(
            story("a disk was plugged in below the folder, and the app sees an empty folder")
                .disturb(|_| mkdir("/var/snap/acorn/common/a/disk"))
                .desire(RBIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| tmpfs("/var/snap/acorn/common/a/disk", "disk"))
                .run()
                .both(shows("common a"))
                .both([file("/opt/spare/disk/v", "disk")]),
            |_| detach("/var/snap/acorn/common/a/disk"),
        ),
        ends_when(
            story("a disk below the folder was taken out, and the app keeps it busy")
                .disturb(|_| {
                    mkdir("/var/snap/acorn/common/a/disk");
                    tmpfs("/var/snap/acorn/common/a/disk", "disk");
                })
                .desire(RBIND)
                .run()
                .both([file("/opt/spare/disk/v", "disk")])
                .disturb(|_| {
                    detach("/var/snap/acorn/common/a/disk");
                    tmpfs("/var/snap/acorn/common/a/disk", "other disk");
                })
                .run()
                .both(shows("common a"))
                .both([file("/opt/spare/disk/v", "other disk")]),
            |_| detach("/var/snap/acorn/common/a/disk"),
        ),
        ends(
            story("a disk appeared in the app by itself, and the next update threw it out")
                .disturb(|_| {
                    mkdir("/var/snap/acorn/common/a/disk");
                    bind("/var/snap/acorn/common/a", "/var/snap/acorn/common/a");
                    share("/var/snap/acorn/common/a");
                })
                .desire(RBIND)
                .run()
                .both(shows("common a"))
                .disturb(|_| tmpfs("/var/snap/acorn/common/a/disk", "disk"))
                .run()
                .both(shows("common a"))
                .both([file("/opt/spare/disk/v", "disk"), layers("/opt/spare/disk", 1), same_mounts()])
                .disturb(|_| {
                    detach("/var/snap/acorn/common/a/disk");
                    detach("/var/snap/acorn/common/a");
                })
                .run(),
        ),
    ]
}

/// The record was not written: there was nothing to do.
fn same_mounts() -> Expect {
    not_saved()
}

fn kinds() -> Vec<Story> {
    const X: &str = "/var/snap/acorn/common/x";
    const AS_BIND: &str = "/var/snap/acorn/common/a /var/snap/acorn/common/x none bind 0 0";
    const AS_FILE: &str =
        "/var/snap/acorn/common/conf /var/snap/acorn/common/x none bind,x-snapd.kind=file 0 0";
    const AS_LINK: &str = "none /var/snap/acorn/common/x none x-snapd.kind=symlink,x-snapd.symlink=b 0 0";
    const AS_TMPFS: &str = "tmpfs /var/snap/acorn/common/x tmpfs mode=0755 0 0";
    const ENSURED: &str = "none /var/snap/acorn/common/x none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=/var/snap/acorn/common 0 0";
    let kinds = |mut story: Story, within: &str| {
        story = story.disturb(|_| ());
        for _ in 0..3 {
            for (profile, expected) in [
                (AS_BIND, file("/var/snap/acorn/common/x/v", "common a")),
                (AS_FILE, file(X, "common conf")),
                (AS_LINK, link(X, "b")),
                (AS_TMPFS, dir(X)),
                (AS_LINK, link(X, "b")),
                (AS_FILE, file(X, "common conf")),
            ] {
                story = story.desire(&profile.replace("/var/snap/acorn/common/x", within)).run().both([
                    exit("0"),
                    warnings(0),
                    moved(expected, within),
                ]);
            }
        }
        story
    };
    let mut ensured =
        story("a folder that is only to be there turns into a mount and back, and the update fails")
            .disturb(|_| ());
    for _ in 0..3 {
        for (profile, expected) in [(AS_TMPFS, "tmpfs"), (ENSURED, ""), (AS_BIND, "disk")] {
            let mounts = usize::from(!expected.is_empty());
            ensured = ensured.desire(profile).run().both([
                exit("0"),
                warnings(0),
                dir(X),
                layers("/var/snap/acorn/common/x", mounts),
            ]);
        }
    }
    vec![
        ends(kinds(story("a refresh turned a layout into a link, and every update failed since"), X))
            .both([gone(X), host_gone(X)]),
        ends(kinds(
            story("a refresh turned a layout of the base into a link, and every update failed since"),
            "/opt/x",
        ))
        .both([gone("/opt/x")]),
        ends(ensured),
    ]
}

/// The same of another path.
fn moved(expect: Expect, to: &str) -> Expect {
    match expect {
        Expect::Is(key, value) => Expect::Is(key.replace("/var/snap/acorn/common/x", to), value),
        other => other,
    }
}

fn odd() -> Vec<Story> {
    const LINK: &str = "none /var/snap/acorn/common/link none x-snapd.kind=symlink,x-snapd.symlink=conf 0 0";
    vec![
        ends(
            story("the app removed the link of its layout, and every later update failed")
                .desire(LINK)
                .run()
                .both([exit("0"), link("/var/snap/acorn/common/link", "conf")])
                .disturb(|_| rm("/var/snap/acorn/common/link"))
                .run()
                .both([exit("0"), warnings(0), link("/var/snap/acorn/common/link", "conf")]),
        ),
        story("the app removed the link, and dropping the layout failed")
            .desire(LINK)
            .run()
            .both([exit("0"), link("/var/snap/acorn/common/link", "conf")])
            .disturb(|_| rm("/var/snap/acorn/common/link"))
            .desire("")
            .run()
            .both([exit("0"), warnings(0), record(&[ROOTFS])]),
        story("the app put a link of its own in the place of the layout's, and lost it")
            .desire(LINK)
            .run()
            .both([exit("0"), link("/var/snap/acorn/common/link", "conf")])
            .disturb(|_| {
                rm("/var/snap/acorn/common/link");
                ln("a", "/var/snap/acorn/common/link");
            })
            .run()
            // Whose it is cannot be known, so it stays; that the layout cannot be had is said.
            .both([exit("0"), warnings(1), link("/var/snap/acorn/common/link", "a"), record(&[ROOTFS])])
            .desire("")
            .run()
            .both([exit("0"), warnings(0), link("/var/snap/acorn/common/link", "a"), record(&[ROOTFS])]),
        rests(
            story("two interfaces want one folder, and it is mounted anew at every update")
                .disturb(|_| ())
                .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0\n/var/snap/acorn/common/b /opt/spare none bind 0 0")
                .run()
                .both([exit("0"), file("/opt/spare/v", "common a"), layers("/opt/spare", 1)])
                .both([mutters("/var/snap/acorn/common/b /opt/spare")]),
        )
        .desire("")
        .run()
        .both([exit("0"), as_at_first()]),
        ends(
            story("one layout hides another one, and which of them is seen changes from update to update")
                .disturb(|_| ())
                .desire(
                    "/var/snap/acorn/common/a /opt/depot/inner none bind 0 0
                    /var/snap/acorn/common/b /opt/depot none bind,x-snapd.origin=layout 0 0",
                )
                .run()
                .both([exit("0"), warnings(0), file("/opt/depot/v", "common b"), gone("/opt/depot/inner")]),
        ),
        ends(
            story("a folder was bound over the directory it lies in, and at every update once more")
                .disturb(|_| ())
                .desire("/opt/depot/inner /opt/depot none bind 0 0")
                .run()
                .both([exit("0"), warnings(0), file("/opt/depot/v", "inner"), layers("/opt/depot", 1)]),
        ),
        ends(
            story("somebody unmounted what was bound over its own parent, and it never came back")
                .desire("/opt/depot/inner /opt/depot none bind 0 0")
                .run()
                .both([file("/opt/depot/v", "inner")])
                .disturb(|_| detach("/opt/depot"))
                .run()
                .both([exit("0"), warnings(0), file("/opt/depot/v", "inner"), layers("/opt/depot", 1)]),
        ),
    ]
}
