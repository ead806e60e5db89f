// SPDX-License-Identifier: GPL-3.0-only
//! Directories, files, symbolic links and other file systems, one at a time.

use crate::deeds::*;
use crate::support::kernel::Version;
use crate::support::story::*;

pub fn stories() -> Vec<Story> {
    [directories(), files(), symlinks(), sources(), filesystems(), kinds(), neighbours()]
        .into_iter()
        .flatten()
        .collect()
}

fn directories() -> Vec<Story> {
    vec![
        story("a namespace without a desired profile keeps its root and nothing else")
            .run()
            .both([exit("0"), stdout(""), record(&[ROOTFS])]),
        story("a bind shows its source at the target, writable, until it is no longer wanted")
            .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0")
            .run()
            .both([exit("0"), stdout(""), file("/opt/spare/v", "common a"), layers("/opt/spare", 1)])
            .both([recorded("/opt/spare"), line("view /opt/spare", "dir 0755 0:0 rw")])
            .desire("")
            .run()
            .both([exit("0"), file("/opt/spare/v", "spare"), layers("/opt/spare", 0), record(&[ROOTFS])]),
        story("a read-only bind is read-only")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,ro 0 0")
            .run()
            .both([file("/opt/spare/v", "common a"), line("view /opt/spare", "dir 0755 0:0 ro")]),
        story("a second run without a change leaves everything as it is")
            .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0\n/var/snap/acorn/common/b /srv/site none bind,ro 0 0")
            .run()
            .run()
            .both([exit("0"), layers("/opt/spare", 1), layers("/srv/site", 1)])
            .differs("L1", [], [record(&[
                ROOTFS,
                "/var/snap/acorn/common/a /opt/spare none bind 0 0",
                "/var/snap/acorn/common/b /srv/site none bind,ro 0 0",
            ])])
            .run()
            .both([layers("/opt/spare", 1)]),
        story("a second run without a change asks the kernel for nothing")
            .desire(
                "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
                none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0
                /snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0
                tmpfs /srv/site tmpfs size=1m 0 0",
            )
            .run()
            .run()
            .with(|start| {
                start.inject = Some("mount,umount2,mkdirat,symlinkat,unlinkat,mount_setattr,move_mount:error=EPERM");
            })
            .both([exit("0"), warnings(0), file("/opt/fresh/v", "common a")])
            .differs("L38", [], [not_saved()]),
        story("a recursive bind carries the mounts below its source")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/a/deep");
                tmpfs("/var/snap/acorn/common/a/deep", "deep");
            })
            .desire("/var/snap/acorn/common/a /opt/spare none rbind 0 0")
            .run()
            .both([file("/opt/spare/deep/v", "deep"), layers("/opt/spare/deep", 1)])
            .desire("")
            .run()
            .both([file("/opt/spare/v", "spare"), file("/var/snap/acorn/common/a/deep/v", "deep")]),
        story("a plain bind leaves the mounts below its source behind")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/a/deep");
                tmpfs("/var/snap/acorn/common/a/deep", "deep");
            })
            .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0")
            .run()
            .both([gone("/opt/spare/deep/v"), dir("/opt/spare/deep")]),
        story("a recursive read-only bind is read-only all the way down")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/a/deep");
                tmpfs("/var/snap/acorn/common/a/deep", "deep");
            })
            .desire("/var/snap/acorn/common/a /opt/spare none rbind,ro 0 0")
            .run()
            .both([exit("0")])
            .differs("L16", ["view /opt/spare", "mount /opt/spare", "layers /opt/spare", "record", "warning"], [
                file("/opt/spare/v", "common a"),
                line("view /opt/spare", "dir 0755 0:0 ro"),
                line("view /opt/spare/deep/v", "file \"deep\" 0644 0:0 ro"),
                recorded("/opt/spare"),
                warnings(0),
            ]),
        story("flags that a bind cannot have do not stop it")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,nosuid,nodev,noexec,mode=0700,async 0 0")
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a"), recorded("/opt/spare")]),
        story("a read-only bind keeps the other flags of its source")
            .natively() // without mount_setattr(2) snap-confine's rules leave no way to name the flags
            .disturb(|_| {
                let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
                rustix::mount::mount("tmpfs", "/var/snap/acorn/common/a", "tmpfs", flags, None).expect("mount a tmpfs");
            })
            .desire("/var/snap/acorn/common/a /opt/spare none bind,ro 0 0")
            .run()
            .both([exit("0"), line("view /opt/spare", "dir 1777 0:0 ro")])
            .differs("L12", ["mount /opt/spare"], [line("mount /opt/spare", "tmpfs:/ [rw] ro,nosuid,nodev,relatime")])
            .since(Version(5, 12)), // mount_setattr(2)
        story("a bind that became read-only is mounted anew")
            .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0")
            .run()
            .desire("/var/snap/acorn/common/a /opt/spare none bind,ro 0 0")
            .run()
            .both([line("view /opt/spare", "dir 0755 0:0 ro"), layers("/opt/spare", 1)])
            .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0")
            .run()
            .both([line("view /opt/spare", "dir 0755 0:0 rw"), layers("/opt/spare", 1)]),
        story("a bind whose source changed shows the new source")
            .desire("/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0")
            .run()
            .both([file("/snap/acorn/1/import/v", "birch export 1")])
            .desire("/snap/birch/2/export /snap/acorn/1/import none bind,ro 0 0")
            .run()
            .both([file("/snap/acorn/1/import/v", "birch export 2"), layers("/snap/acorn/1/import", 1)])
            .desire("")
            .run()
            .both([gone("/snap/acorn/1/import/v"), dir("/snap/acorn/1/import"), record(&[ROOTFS])]),
        story("a busy target is detached")
            .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0")
            .run()
            .disturb(|sandbox| {
                let open = std::fs::File::open("/opt/spare/v").expect("open a file there");
                sandbox.afterwards(move || drop(open));
            })
            .desire("")
            .run()
            .differs("L44", [], [layers("/opt/spare", 0)])
            .both([exit("0"), warnings(0), file("/opt/spare/v", "spare")]),
        story("a mount that was already unmounted by hand is no fault")
            .desire("/var/snap/acorn/common/a /opt/spare none bind 0 0")
            .run()
            .disturb(|_| detach("/opt/spare"))
            .desire("")
            .run()
            .both([exit("0"), warnings(0), file("/opt/spare/v", "spare"), record(&[ROOTFS])]),
        story("a trailing slash of a target is not kept")
            .desire("/var/snap/acorn/common/a /opt/spare/ none bind 0 0")
            .run()
            .both([file("/opt/spare/v", "common a"), recorded("/opt/spare")]),
        story("a private shared memory directory comes and goes")
            .desire("/dev/shm/snap.acorn /dev/shm none bind,rw 0 0")
            .run()
            .both([exit("0"), recorded("/dev/shm"), dir_as("/dev/shm", "1777 0:0"), layers("/dev/shm", 2)])
            .desire("")
            .run()
            .both([exit("0"), layers("/dev/shm", 1), dir_as("/dev/shm/snap.acorn", "1777 0:0")])
            .differs("L42", [], [quiet()]),
    ]
}

fn files() -> Vec<Story> {
    vec![
        story("a file is bound over a file")
            .desire("/var/snap/acorn/common/conf /opt/readme none bind,rw,x-snapd.kind=file 0 0")
            .run()
            .both([file("/opt/readme", "common conf"), recorded("/opt/readme")])
            .desire("")
            .run()
            .both([file("/opt/readme", "read me")]),
        story("a file is bound where there was none, and leaves nothing")
            .desire(
                "/var/snap/acorn/common/conf /var/snap/acorn/common/new/conf none bind,x-snapd.kind=file 0 0",
            )
            .run()
            .both([file("/var/snap/acorn/common/new/conf", "common conf")])
            .desire("")
            .run()
            .differs("L45", [], [dir("/var/snap/acorn/common/new")])
            .both([gone("/var/snap/acorn/common/new/conf"), dir("/var/snap/acorn/common/new")]),
        story("a file cannot be bound over a directory")
            .desire("/var/snap/acorn/common/conf /opt/spare none bind,x-snapd.kind=file 0 0")
            .run()
            .both([exit("0"), warnings(1), file("/opt/spare/v", "spare"), unrecorded("/opt/spare")]),
        story("a directory cannot be bound over a file")
            .desire("/var/snap/acorn/common/a /opt/readme none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), file("/opt/readme", "read me"), unrecorded("/opt/readme")]),
        story("a directory cannot be bound over a symbolic link")
            .desire("/var/snap/acorn/common/a /usr/share/zone none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), link("/usr/share/zone", "doc")]),
        story("a file is no source of a directory")
            .desire("/var/snap/acorn/common/conf /opt/spare none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), file("/opt/spare/v", "spare")]),
        story("a directory is no source of a file")
            .desire("/var/snap/acorn/common/a /opt/readme none bind,x-snapd.kind=file 0 0")
            .run()
            .both([exit("0"), warnings(1), file("/opt/readme", "read me")]),
        story("a symbolic link is no source of a file")
            .desire("/opt/alias /opt/readme none bind,x-snapd.kind=file 0 0")
            .run()
            .both([exit("0"), warnings(1)]),
        story("a file that somebody filled in the meantime is not removed")
            .desire(
                "/var/snap/acorn/common/conf /var/snap/acorn/common/placed none bind,x-snapd.kind=file 0 0",
            )
            .run()
            .disturb(|sandbox| {
                std::fs::write(sandbox.disk().join("var/snap/acorn/common/placed"), "mine")
                    .expect("write on the host");
            })
            .desire("")
            .run()
            .both([file("/var/snap/acorn/common/placed", "mine")]),
    ]
}

fn symlinks() -> Vec<Story> {
    const LINK: &str = "none /var/snap/acorn/common/link none x-snapd.kind=symlink,x-snapd.symlink=conf,x-snapd.origin=layout 0 0";
    vec![
        story("a symbolic link is made and removed")
            .desire(LINK)
            .run()
            .both([exit("0"), link("/var/snap/acorn/common/link", "conf"), recorded("/var/snap/acorn/common/link")])
            .desire("")
            .run()
            .both([exit("0"), gone("/var/snap/acorn/common/link"), record(&[ROOTFS])]),
        story("a symbolic link that was there and is the same is adopted, and stays")
            .disturb(|_| ln("conf", "/var/snap/acorn/common/link"))
            .desire(LINK)
            .run()
            .both([exit("0"), link("/var/snap/acorn/common/link", "conf")])
            .desire("")
            .run()
            .both([exit("0"), record(&[ROOTFS])])
            .differs("L9", ["view /var/snap/acorn", "host /var/snap/acorn"], [link("/var/snap/acorn/common/link", "conf")]),
        story("a symbolic link that was there and is another one is in the way")
            .disturb(|_| ln("elsewhere", "/var/snap/acorn/common/link"))
            .desire(LINK)
            .run()
            .both([exit("1"), says("existing symbolic link in the way"), link("/var/snap/acorn/common/link", "elsewhere")]),
        story("a file is in the way of a symbolic link")
            .disturb(|_| write("/var/snap/acorn/common/link", "a file"))
            .desire(LINK)
            .run()
            .both([exit("1"), says("existing file in the way"), file("/var/snap/acorn/common/link", "a file")]),
        story("a symbolic link needs a destination")
            .desire("none /var/snap/acorn/common/link none x-snapd.kind=symlink 0 0")
            .run()
            .both([exit("0"), warnings(1), gone("/var/snap/acorn/common/link")]),
        story("a symbolic link that the snap removed itself is no fault")
            .desire(LINK)
            .run()
            .disturb(|_| rm("/var/snap/acorn/common/link"))
            .desire("")
            .run()
            .both([gone("/var/snap/acorn/common/link")])
            .differs("L9", ["exit", "stdout", "record"], [exit("0"), record(&[ROOTFS])]),
        story("an ignored symbolic link that already exists is skipped")
            .disturb(|_| ln("conf", "/var/snap/acorn/common/link"))
            .desire("none /var/snap/acorn/common/link none x-snapd.kind=symlink,x-snapd.symlink=conf,x-snapd.ignore-missing 0 0")
            .run()
            .both([exit("0"), warnings(0), link("/var/snap/acorn/common/link", "conf")]),
        story("a layout of a symbolic link on the read-only base is adopted and can be dropped")
            .desire("none /opt/alias none x-snapd.kind=symlink,x-snapd.symlink=readme,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), link("/opt/alias", "readme"), recorded("/opt/alias")])
            .desire("")
            .run()
            .both([link("/opt/alias", "readme")])
            .differs("L9", ["exit", "stdout", "record", "warning"], [exit("0"), record(&[ROOTFS])]),
    ]
}

fn sources() -> Vec<Story> {
    vec![
        story("a missing source below /var/snap is created with its parents")
            .desire("/var/snap/acorn/7/x/y /opt/spare none bind 0 0")
            .run()
            .both([exit("0"), dir_as("/var/snap/acorn/7/x/y", "0755 0:0"), gone("/opt/spare/v"), recorded("/opt/spare")])
            .desire("")
            .run()
            .both([dir("/var/snap/acorn/7/x/y"), file("/opt/spare/v", "spare")]),
        story("a missing source file below /var/snap is created")
            .desire("/var/snap/acorn/7/conf /opt/readme none bind,x-snapd.kind=file 0 0")
            .run()
            .both([exit("0"), file("/var/snap/acorn/7/conf", ""), file("/opt/readme", "")]),
        story("a missing source on a read-only file system fails its entry")
            .desire("/snap/birch/1/absent /opt/spare none bind,ro 0 0")
            .run()
            .both([exit("0"), warnings(1), file("/opt/spare/v", "spare"), unrecorded("/opt/spare")]),
        story("a missing source on the host fails its entry and leaves no placeholder")
            .desire("/etc/absent /var/snap/acorn/common/new none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), host_gone("/etc/absent"), unrecorded("/var/snap/acorn/common/new")])
            .differs("L22", ["view /var/snap", "host /var/snap"], [gone("/var/snap/acorn/common/new")]),
        story("a missing source of a layout is made with a mimic")
            .desire("/snap/acorn/1/fresh /opt/spare none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), gone("/opt/spare/v"), dir("/snap/acorn/1/fresh"), file("/snap/acorn/1/lib/v", "acorn lib 1")])
            .both([recorded("/snap/acorn/1"), recorded("/snap/acorn/1/lib"), recorded("/opt/spare")])
            .differs("V12", ["record"], [Expect::Line("tmpfs /snap/acorn/1 tmpfs", "x-snapd.needed-by=/opt/spare,")])
            .run()
            .both([exit("0")])
            .differs("V12", ["view /snap/acorn/1", "mount", "layers", "record"], [dir("/snap/acorn/1/fresh"), layers("/snap/acorn/1", 2)])
            .desire("")
            .run()
            .both([gone("/snap/acorn/1/fresh"), file("/opt/spare/v", "spare"), record(&[ROOTFS])]),
        story("an ignored missing source is skipped in silence")
            .desire("/snap/birch/1/absent /opt/spare none bind,x-snapd.ignore-missing 0 0")
            .run()
            .both([exit("0"), warnings(0), file("/opt/spare/v", "spare"), unrecorded("/opt/spare")]),
        story("an ignored missing target is skipped in silence")
            .desire("/var/snap/acorn/common/a /opt/absent none bind,x-snapd.ignore-missing 0 0")
            .run()
            .both([exit("0"), warnings(0), gone("/opt/absent"), unrecorded("/opt/absent")]),
        story("an entry that may be ignored is mounted when both ends are there")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,x-snapd.ignore-missing 0 0")
            .run()
            .both([file("/opt/spare/v", "common a"), recorded("/opt/spare")]),
        story("a relative source fails its entry")
            .desire("common/a /opt/spare none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), file("/opt/spare/v", "spare")]),
        story("a relative target fails its entry")
            .desire("/var/snap/acorn/common/a opt/spare none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), file("/opt/spare/v", "spare")]),
        story("an unclean missing source fails its entry")
            .desire("/var/snap/acorn//absent /opt/spare none bind 0 0")
            .run()
            .both([exit("0"), warnings(1), gone("/var/snap/acorn/absent")]),
        story("a target behind a symbolic link is refused and nothing is made there")
            .desire("/var/snap/acorn/common/a /lib/engine none bind 0 0\n/var/snap/acorn/common/a /lib/fresh none bind 0 0")
            .run()
            .both([exit("0"), warnings(2), file("/usr/lib/engine/v", "engine"), gone("/usr/lib/fresh")]),
        story("a source behind a symbolic link is refused")
            .disturb(|_| ln("a", "/var/snap/acorn/common/sly"))
            .desire("/var/snap/acorn/common/sly/v /opt/readme none bind,x-snapd.kind=file 0 0")
            .run()
            .both([exit("0"), warnings(1), file("/opt/readme", "read me")]),
    ]
}

fn filesystems() -> Vec<Story> {
    vec![
        story("a tmpfs has the size, mode and flags that it was given")
            .desire("tmpfs /srv/site tmpfs size=1m,mode=0700,nosuid,noatime 0 0")
            .run()
            .both([exit("0"), dir_as("/srv/site", "0700 0:0"), recorded("/srv/site")])
            .both([line("mount /srv/site", "tmpfs:/ [rw,size=1024k,mode=700] rw,nosuid,noatime")])
            .desire("")
            .run()
            .both([file("/srv/site/v", "site")]),
        story("a tmpfs layout lies over a directory of the base")
            .desire("tmpfs /srv/site tmpfs x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), gone("/srv/site/v"), dir_as("/srv/site", "1777 0:0")]),
        story("the mode of a layout is not applied")
            .desire("tmpfs /srv/site tmpfs x-snapd.mode=0700,x-snapd.origin=layout 0 0\n/var/snap/acorn/common/new /opt/spare none rbind,rw,x-snapd.mode=0711,x-snapd.origin=layout 0 0")
            .run()
            .differs("L18", [], [dir_as("/srv/site", "1777 0:0")])
            .both([exit("0"), dir_as("/srv/site", "1777 0:0"), dir_as("/opt/spare", "0755 0:0")]),
        story("a file system that the kernel does not know fails its entry")
            .desire("none /srv/site nosuchfs rw 0 0")
            .run()
            .both([exit("0"), warnings(1), unrecorded("/srv/site")]),
        story("a tmpfs with data that the kernel refuses fails its entry")
            .desire("tmpfs /srv/site tmpfs no-such-option 0 0")
            .run()
            .both([exit("0"), warnings(1), unrecorded("/srv/site"), file("/srv/site/v", "site")]),
        story("the word defaults stands for no options")
            .desire("tmpfs /srv/site tmpfs defaults 0 0")
            .run()
            .both([exit("0")])
            .differs("L33", ["view /srv/site", "mount /srv/site", "layers /srv/site", "record", "warning"], [
                gone("/srv/site/v"),
                recorded("/srv/site"),
                warnings(0),
            ]),
        story("an entry of three fields is recorded with all six")
            .desire("tmpfs /srv/site tmpfs")
            .run()
            .both([exit("0"), gone("/srv/site/v"), record(&[ROOTFS, "tmpfs /srv/site tmpfs defaults 0 0"])]),
        story("an entry without options is not mounted again at every run")
            .desire("tmpfs /srv/site tmpfs")
            .run()
            .disturb(|_| write("/srv/site/mine", "mine"))
            .run()
            .both([exit("0")])
            .differs("L33", ["view /srv/site", "mount /srv/site", "layers /srv/site", "record", "warning"], [
                file("/srv/site/mine", "mine"),
                recorded("/srv/site"),
            ]),
        story("propagation words are obeyed")
            .desire(
                "/var/snap/acorn/common/a /opt/spare none bind,shared 0 0
                /var/snap/acorn/common/b /srv/site none bind,private 0 0
                tmpfs /var/spool/vault tmpfs shared 0 0
                /var/snap/acorn/common/d /opt/depot none rbind,rslave 0 0",
            )
            .run()
            .both([exit("0"), line("mount /opt/spare", "disk:/var/snap/acorn/common/a rw,relatime shared")])
            .both([recorded("/srv/site"), recorded("/var/spool/vault"), recorded("/opt/depot")]),
        story("recursion of the propagation is not recursion of the bind")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/a/deep");
                tmpfs("/var/snap/acorn/common/a/deep", "deep");
            })
            .desire("/var/snap/acorn/common/a /opt/spare none bind,rslave 0 0")
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a")])
            .differs("L17", ["view /opt/spare", "mount /opt/spare", "layers /opt/spare"], [gone("/opt/spare/deep/v")]),
        story("a read-only bind may have a recursive propagation word")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,ro,rprivate 0 0")
            .run()
            .both([exit("0")])
            .differs("L17", ["view /opt/spare", "mount /opt/spare", "layers /opt/spare", "record", "warning"], [
                line("view /opt/spare", "dir 0755 0:0 ro"),
                file("/opt/spare/v", "common a"),
                recorded("/opt/spare"),
            ]),
    ]
}

fn kinds() -> Vec<Story> {
    vec![
        story("an entry of an unknown kind is not taken for done")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,x-snapd.kind=sideways 0 0")
            .run()
            .both([exit("0"), file("/opt/spare/v", "spare")])
            .differs("L43", ["record", "warning"], [unrecorded("/opt/spare")]),
        story("a directory is ensured in the system's profile too")
            .desire("none /var/snap/acorn/common/x/y none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=/var/snap/acorn/common 0 0")
            .run()
            .both([exit("0"), recorded("/var/snap/acorn/common/x/y")])
            .differs("V2", ["view /var/snap/acorn/common", "host /var/snap/acorn/common"], [
                dir_as("/var/snap/acorn/common/x/y", "0700 0:0"),
            ]),
        story("a directory of the system's profile is not ensured behind a link above its anchor")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/b/there");
                ln("b", "/var/snap/acorn/common/link");
            })
            .desire("none /var/snap/acorn/common/link/there/new none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=/var/snap/acorn/common/link/there 0 0")
            .run()
            .both([exit("0"), host_gone("/var/snap/acorn/common/b/there/new")])
            .differs("V2", ["warning", "record"], [
                warnings(1),
                unrecorded("/var/snap/acorn/common/link/there/new"),
            ]),
        story("an entry of unknown origin is treated like one without")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,x-snapd.origin=moon 0 0")
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a"), recorded("/opt/spare")])
            .differs("N6", [], [recorded("/opt/spare")])
            .desire("")
            .run()
            .both([file("/opt/spare/v", "spare")]),
        story("unknown words of snapd's own are kept and ignored")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,x-snapd.novel=1,x-snapd.id=spare 0 0")
            .run()
            .both([file("/opt/spare/v", "common a"), recorded("/opt/spare")])
            .run()
            .both([layers("/opt/spare", 1)]),
        story("a layout changes its kind from bind to symbolic link and back")
            .desire("/snap/acorn/1/settings /var/snap/acorn/common/x none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0")
            .run()
            .both([file("/var/snap/acorn/common/x", "acorn settings 1")])
            .desire("none /var/snap/acorn/common/x none x-snapd.kind=symlink,x-snapd.symlink=conf,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), link("/var/snap/acorn/common/x", "conf")])
            .desire("/snap/acorn/1/settings /var/snap/acorn/common/x none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("0"), file("/var/snap/acorn/common/x", "acorn settings 1")]),
    ]
}

fn neighbours() -> Vec<Story> {
    vec![
        story("what lies below a changed mount is mounted again")
            .disturb(|_| {
                write("/var/snap/acorn/common/a/low/here", "here");
                write("/var/snap/acorn/common/b/low/here", "here");
            })
            .desire(
                "/var/snap/acorn/common/a /opt/spare none bind 0 0
                /var/snap/acorn/common/c /opt/spare/low none bind 0 0",
            )
            .run()
            .both([file("/opt/spare/v", "common a"), file("/opt/spare/low/v", "common c")])
            .desire(
                "/var/snap/acorn/common/b /opt/spare none bind 0 0
                /var/snap/acorn/common/c /opt/spare/low none bind 0 0",
            )
            .run()
            .both([
                file("/opt/spare/v", "common b"),
                file("/opt/spare/low/v", "common c"),
                layers("/opt/spare/low", 1),
            ]),
        story("a mount below an unchanged mount changes alone")
            .disturb(|_| write("/var/snap/acorn/common/a/low/here", "here"))
            .desire(
                "/var/snap/acorn/common/a /opt/spare none bind 0 0
                /var/snap/acorn/common/c /opt/spare/low none bind 0 0",
            )
            .run()
            .desire(
                "/var/snap/acorn/common/a /opt/spare none bind 0 0
                /var/snap/acorn/common/d /opt/spare/low none bind 0 0",
            )
            .run()
            .both([
                file("/opt/spare/v", "common a"),
                file("/opt/spare/low/v", "common d"),
                layers("/opt/spare", 1),
            ]),
        story("a sibling whose name begins the same is left alone")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/t");
                mkdir("/var/snap/acorn/common/t-1");
            })
            .desire(
                "/var/snap/acorn/common/a /var/snap/acorn/common/t none bind 0 0
                /var/snap/acorn/common/b /var/snap/acorn/common/t-1 none bind 0 0",
            )
            .run()
            .desire(
                "/var/snap/acorn/common/c /var/snap/acorn/common/t none bind 0 0
                /var/snap/acorn/common/b /var/snap/acorn/common/t-1 none bind 0 0",
            )
            .run()
            .both([
                file("/var/snap/acorn/common/t/v", "common c"),
                file("/var/snap/acorn/common/t-1/v", "common b"),
            ]),
        story("of two entries for one target the first is mounted, and stays")
            .desire(
                "/var/snap/acorn/common/a /opt/spare none bind 0 0
                /var/snap/acorn/common/b /opt/spare none bind 0 0",
            )
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a"), layers("/opt/spare", 1)])
            .run()
            .differs("L40", [], [not_saved()])
            .both([exit("0"), file("/opt/spare/v", "common a"), layers("/opt/spare", 1)]),
        story("an entry for the root is taken for done").desire("tmpfs / tmpfs rw 0 0").run().both([
            exit("0"),
            record(&[ROOTFS]),
            layers("/", 1),
        ]),
        story("one failing entry does not stop the others")
            .desire(
                "/var/snap/acorn/common/conf /opt/depot none bind 0 0
                /var/snap/acorn/common/a /opt/spare none bind 0 0",
            )
            .run()
            .both([exit("0"), warnings(1), file("/opt/spare/v", "common a"), recorded("/opt/spare")]),
    ]
}
