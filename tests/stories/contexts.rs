// SPDX-License-Identifier: GPL-3.0-only
//! Who starts the program, from where, with which rights and words; locks, namespaces, freezers and per-user mounts.

use std::process::Command;

use crate::deeds::*;
use crate::support::sandbox::{Lock, Place, Rights, Sandbox, Top};
use crate::support::story::*;

const BIND: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0\n";

pub fn stories() -> Vec<Story> {
    [arguments(), names(), joining(), locking(), rights(), surroundings(), freezing(), user(), ensured()]
        .into_iter()
        .flatten()
        .collect()
}

/// A start that must end with this sentence, before anything is touched.
fn refused(title: &'static str, argv: &'static [&'static str], sentence: &str) -> Story {
    let sentence = format!("cannot update snap namespace: {sentence}");
    story(title).desire(BIND).call(argv).both([
        exit("1"),
        stdout(&sentence),
        layers("/opt/spare", 0),
        record(&[ROOTFS]),
    ])
}

fn arguments() -> Vec<Story> {
    const USAGE: &str = "cannot parse user id";
    vec![
        refused("a start without a name is refused", &[], "snap name not provided"),
        refused("an unknown option is refused", &["--help", "acorn"], "unsupported option"),
        refused("a lone dash is an option", &["-"], "unsupported option"),
        refused("two dashes end nothing", &["--", "acorn"], "unsupported option"),
        refused("an option with a value is unknown", &["--user-mounts=1", "acorn"], "unsupported option"),
        refused("a user id must be an argument of its own", &["-u5", "acorn"], "unsupported option"),
        refused("two names are refused", &["acorn", "birch"], "too many positional arguments"),
        refused("an empty name is a name", &[""], "snap name must contain at least one letter"),
        refused("a user id must be there", &["acorn", "-u"], "-u requires an argument"),
        refused("a user id must be a number", &["-u", "1x", "acorn"], USAGE),
        refused("a user id must not begin with a space", &["-u", " 1", "acorn"], USAGE),
        refused("an empty user id is none", &["-u", "", "acorn"], USAGE),
        refused("a user id must not be negative", &["-u", "-1", "acorn"], "user id cannot be negative"),
        refused(
            "a user id must fit",
            &["-u", "18446744073709551616", "acorn"],
            "cannot parse user id: numerical result out of range",
        ),
        story("options may be repeated and follow the name")
            .desire(BIND)
            .call(&["--from-snap-confine", "acorn", "--from-snap-confine"])
            .with(|start| start.lock = Lock::Exclusive)
            .both([exit("0"), file("/opt/spare/v", "common a")]),
        story("a user id is understood and not acted on")
            .desire(BIND)
            .call(&["-u", "1000", "acorn"])
            .differs(
                "L28",
                ["exit", "stdout", "view", "mount", "layers", "record", "lock"],
                [
                    exit("1"),
                    says("cannot update snap namespace: "),
                    layers("/opt/spare", 0),
                    record(&[ROOTFS]),
                ],
            ),
    ]
}

fn names() -> Vec<Story> {
    const LONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_bbbbbbbbbb";
    vec![
        refused(
            "a name has one underscore at most",
            &["aa_b_c"],
            "snap instance name can contain only one underscore",
        ),
        refused("a name does not end with a dash", &["aa-"], "snap name cannot end with a dash"),
        refused(
            "a name has no two dashes in a row",
            &["a--a"],
            "snap name cannot contain two consecutive dashes",
        ),
        refused(
            "a name is in lower case",
            &["Acorn"],
            "snap name must use lower case letters, digits or dashes",
        ),
        refused(
            "a name is no path",
            &["../acorn"],
            "snap name must use lower case letters, digits or dashes",
        ),
        refused("a name has a letter", &["11"], "snap name must contain at least one letter"),
        refused("a name has two characters", &["a"], "snap name must be longer than 1 character"),
        refused(
            "a name has forty characters at most",
            &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
            "snap name must be shorter than 40 characters",
        ),
        refused("a key is in lower case", &["aa_B"], "instance key must use lower case letters or digits"),
        refused("a key is not empty", &["aa_"], "instance key must contain at least one letter or digit"),
        refused(
            "a key has ten characters at most",
            &["aa_bbbbbbbbbbb"],
            "instance key must be shorter than 10 characters",
        ),
        refused(
            "a very long name is cut before it is judged",
            &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_x_y"],
            "snap name must be shorter than 40 characters",
        ),
        story("the longest name is a name")
            .call(&[LONG])
            .with(|start| start.place = Place::Host)
            .both([exit("0"), stdout("")]),
    ]
}

fn joining() -> Vec<Story> {
    let quiet = || [exit("0"), stdout(""), layers("/opt/spare", 0), record(&[ROOTFS])];
    vec![
        story("the program joins the snap's namespace by itself").natively()
            .disturb(preserve)
            .desire(BIND)
            .refresh()
            .both([exit("0"), stdout(""), file("/opt/spare/v", "common a"), recorded("/opt/spare")])
            .desire("")
            .refresh()
            .both([exit("0"), file("/opt/spare/v", "spare"), record(&[ROOTFS])]),
        story("what single mounts tell needs no mount table").natively()
            .disturb(preserve)
            .desire(BIND)
            .refresh()
            .refresh()
            .both([exit("0"), stdout(""), file("/opt/spare/v", "common a"), layers("/opt/spare", 1), recorded("/opt/spare")]),
        story("a mimic is built and taken down in a namespace that was joined").natively()
            .disturb(preserve)
            .desire("/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .refresh()
            .both([exit("0"), file("/opt/fresh/v", "common a"), file("/opt/spare/v", "spare")])
            .ignoring(["view /tmp/.snap", "host /tmp/.snap"])
            .desire("")
            .refresh()
            .both([exit("0"), gone("/opt/fresh"), record(&[ROOTFS])])
            .ignoring(["view /tmp/.snap", "host /tmp/.snap"]),
        story("what snap-confine built, snapd takes down").natively()
            .disturb(preserve)
            .desire("/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .desire("")
            .refresh()
            .both([exit("0"), gone("/opt/fresh"), layers("/opt", 1), record(&[ROOTFS])]),
        story("without a preserved namespace there is nothing to do").desire(BIND).refresh().both(quiet()),
        story("a plain file is no namespace").disturb(|_| write("/run/snapd/ns/acorn.mnt", "")).desire(BIND).refresh().both(quiet()),
        story("a directory is no namespace").disturb(|_| mkdir("/run/snapd/ns/acorn.mnt")).desire(BIND).refresh().both(quiet()),
        story("a namespace of another kind is no mount namespace").natively()
            .disturb(|sandbox| {
                write("/run/snapd/ns/acorn.mnt", "");
                sandbox.on_host(|| bind("/proc/thread-self/ns/uts", "/run/snapd/ns/acorn.mnt"));
            })
            .desire(BIND)
            .refresh()
            .both(quiet())
            .ignoring(["lock", "view /run/snapd/lock"]), // found out by joining it, with the lock held
        story("a symbolic link is not followed to a namespace")
            .disturb(|_| ln("/proc/self/ns/mnt", "/run/snapd/ns/acorn.mnt"))
            .desire(BIND)
            .refresh()
            .both([exit("1"), layers("/opt/spare", 0)])
            .both([stdout("cannot update snap namespace: cannot open mount namespace file: too many levels of symbolic links")])
            .ignoring(["lock", "view /run/snapd/lock"]),
        story("a fifo in the place of the namespace does not hold the program")
            .disturb(|_| mkfifo("/run/snapd/ns/acorn.mnt"))
            .desire(BIND)
            .refresh()
            .with(|start| start.patience = std::time::Duration::from_secs(1))
            .differs("L37", ["exit", "stdout"], [exit("0"), layers("/opt/spare", 0)])
            .ignoring(["lock", "view /run/snapd/lock"]),
        story("joining a namespace needs the right to do so")
            .disturb(preserve)
            .desire(BIND)
            .refresh()
            .with(|start| start.rights = Rights::Nothing)
            .both([exit("1"), layers("/opt/spare", 0)])
            .differs("V5", ["stdout"], [stdout(
                "cannot update snap namespace: CAP_SYS_ADMIN capability not in effective set: operation not permitted",
            )])
            .ignoring(["lock", "view /run/snapd/lock"]),
    ]
}

fn locking() -> Vec<Story> {
    let lock = |title| story(title).disturb(preserve).desire(BIND);
    vec![
        story("a caller that claims to hold the lock must hold it")
            .desire(BIND)
            .call(&["--from-snap-confine", "acorn"])
            .both([exit("1"), layers("/opt/spare", 0), record(&[ROOTFS])])
            .both([stdout("cannot update snap namespace: mount namespace of snap \"acorn\" is not locked but --from-snap-confine was used")]),
        story("a shared lock of somebody else is a lock")
            .desire(BIND)
            .run()
            .with(|start| start.lock = Lock::Shared)
            .both([exit("0"), file("/opt/spare/v", "common a")]),
        lock("a missing lock directory is made for root alone").natively()
            .disturb(|_| rmtree("/run/snapd/lock"))
            .refresh()
            .both([exit("0"), file("/opt/spare/v", "common a"), line("lock", "free")])
            .both([dir_as("/run/snapd/lock", "0700 0:0"), line("view /run/snapd/lock/acorn.lock", "file \"\" 0600 0:0")]),
        lock("a symbolic link is no lock, and what it names is untouched")
            .disturb(|_| ln("/run/snapd/elsewhere", "/run/snapd/lock/acorn.lock"))
            .refresh()
            .both([exit("1"), gone("/run/snapd/elsewhere"), layers("/opt/spare", 0)])
            .both([stdout("cannot update snap namespace: cannot open lock file for mount namespace of snap \"acorn\": open /run/snapd/lock/acorn.lock: too many levels of symbolic links")]),
        lock("a directory is no lock")
            .disturb(|_| mkdir("/run/snapd/lock/acorn.lock"))
            .refresh()
            .both([exit("1"), layers("/opt/spare", 0)])
            .both([stdout("cannot update snap namespace: cannot open lock file for mount namespace of snap \"acorn\": open /run/snapd/lock/acorn.lock: is a directory")]),
        lock("a file in the place of the lock directory is a failure")
            .disturb(|_| {
                rmtree("/run/snapd/lock");
                write("/run/snapd/lock", "");
            })
            .refresh()
            .both([exit("1"), layers("/opt/spare", 0), says("cannot open lock file for mount namespace of snap \"acorn\"")]),
    ]
}

fn rights() -> Vec<Story> {
    const PROFILE: &str = "tmpfs /srv/site tmpfs x-snapd.origin=layout 0 0
        none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0
        /var/snap/acorn/common/new /opt/fresh none bind,rw,x-snapd.origin=layout 0 0";
    vec![
        story("a set-uid snap-confine starts the program for an ordinary user")
            .desire(PROFILE)
            .run()
            .with(|start| start.rights = Rights::SetUid)
            .both([exit("0"), dir_as("/srv/site", "1777 0:0"), link("/opt/link", "spare"), line("record file", "0644 0:0")]),
        story("an ordinary user with three capabilities makes nothing that is his own")
            .desire(PROFILE)
            .run()
            .with(|start| start.rights = Rights::Ambient)
            .both([exit("0"), link("/opt/link", "spare"), dir_as("/opt/fresh", "0755 0:0")])
            .both([dir_as("/var/snap/acorn/common/new", "0755 0:0")])
            .differs("V6", ["record file"], [line("record file", "0644 0:0")])
            .differs("N7", ["view /srv/site", "view /opt/link", "mount /srv/site"], [
                dir_as("/srv/site", "1777 0:0"),
                line("view /opt/link", "link -> spare 0:0"),
            ])
            .ignoring(["view /tmp/.snap", "host /tmp/.snap", "view /opt/alias"])
            .desire("")
            .run()
            .with(|start| start.rights = Rights::Ambient)
            .both([exit("0"), gone("/opt/link"), gone("/opt/fresh"), record(&[ROOTFS])])
            .ignoring(["record file", "view /tmp/.snap", "host /tmp/.snap"]),
        story("an ordinary user without the right to change owners is refused")
            .desire(BIND)
            .run()
            .with(|start| start.rights = Rights::WithoutChown)
            .differs("V5", ["exit", "stdout", "view", "mount", "layers", "record"], [
                stdout("cannot update snap namespace: CAP_CHOWN capability not in effective set: operation not permitted"),
                exit("1"),
                layers("/opt/spare", 0),
            ]),
        story("an ordinary user without rights is refused before his words are read")
            .desire(BIND)
            .call(&["--help"])
            .with(|start| start.rights = Rights::Nothing)
            .both([exit("1")])
            .differs("V5", ["stdout"], [stdout(
                "cannot update snap namespace: CAP_SYS_ADMIN capability not in effective set: operation not permitted",
            )]),
    ]
}

fn surroundings() -> Vec<Story> {
    vec![
        story("a debugging run does the same")
            .desire(BIND)
            .run()
            .with(|start| start.env = &[("SNAPD_DEBUG", "1")])
            .both([exit("0"), stdout(""), file("/opt/spare/v", "common a")]),
        story("another root in the environment is ignored")
            .desire(BIND)
            .run()
            .with(|start| start.env = &[("SNAPPY_GLOBAL_ROOT", "/tmp/x"), ("HOME", ""), ("TERM", "")])
            .differs(
                "L29",
                ["exit", "stdout", "view", "mount", "layers", "record", "lock", "host"],
                [exit("0"), file("/opt/spare/v", "common a"), recorded("/opt/spare")],
            ),
        story("a log that was opened for us is written")
            .disturb(|_| write("/run/snapd/ns/snap.acorn.log", ""))
            .desire(BIND)
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a")])
            .differs(
                "V7",
                ["view /run/snapd/ns/snap.acorn.log"],
                [line("view /run/snapd/ns/snap.acorn.log", "file")],
            ),
        story("a log is not opened through a symbolic link, nor made")
            .disturb(|_| ln("/tmp/log", "/run/snapd/ns/snap.acorn.log"))
            .desire(BIND)
            .run()
            .both([exit("0"), gone("/tmp/log"), file("/opt/spare/v", "common a")]),
        story("a fifo in the place of the log does not hold the program")
            .disturb(|_| mkfifo("/run/snapd/ns/snap.acorn.log"))
            .desire(BIND)
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a")]),
        story("without control groups processes cannot be held still")
            .disturb(|_| tmpfs("/sys", "no control groups"))
            .desire(BIND)
            .run()
            .differs(
                "V8",
                ["exit", "stdout", "view", "mount", "layers", "record"],
                [
                    stdout("cannot update snap namespace: FreezeSnapProcesses not implemented"),
                    exit("1"),
                    layers("/opt/spare", 0),
                ],
            ),
    ]
}

fn freezing() -> Vec<Story> {
    /// A group of the first version as a plain file, for groups that do not do what they are told.
    fn paper_freezer(_: &Sandbox) {
        tmpfs("/sys/fs/cgroup/freezer", "");
        write("/sys/fs/cgroup/freezer/snap.acorn/freezer.state", "THAWED");
    }
    /// A real group in the given hierarchy, with a process in it.
    fn real_freezer(sandbox: &Sandbox, tree: &'static str, name: &'static str) {
        let group = format!("{tree}/{name}");
        let made = std::fs::create_dir(&group);
        let mut sleeper = Command::new("/proc/self/fd/0");
        let bin = sandbox.on_host(|| std::fs::File::open("/usr/bin/sleep").expect("open sleep"));
        let child = sandbox.on_host(|| sleeper.arg("600").stdin(bin).spawn());
        let child = child.expect("start a process");
        made.expect("make a group");
        let pid = child.id().to_string();
        std::fs::write(format!("{group}/cgroup.procs"), &pid).expect("move a process");
        sandbox.afterwards(move || {
            let mut child = child;
            let _ = std::fs::write(format!("{group}/freezer.state"), "THAWED");
            let _ = std::fs::write(format!("{group}/cgroup.freeze"), "0");
            child.kill().and_then(|()| child.wait()).expect("end the process");
            while std::fs::remove_dir(&group).is_err_and(|why| why.kind() == std::io::ErrorKind::ResourceBusy)
            {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
    }
    fn first_version(sandbox: &Sandbox) {
        real_freezer(sandbox, "/sys/fs/cgroup/freezer", "snap.acorn");
    }
    fn second_version(sandbox: &Sandbox) {
        rustix::mount::mount(
            "cgroup2",
            "/sys/fs/cgroup",
            "cgroup2",
            rustix::mount::MountFlags::empty(),
            None,
        )
        .expect("mount cgroup2");
        let top = Top::new("/sys/fs/cgroup").expect("make a group for the root of the tree");
        real_freezer(sandbox, "/sys/fs/cgroup", "snap.acorn.app.scope");
        sandbox.afterwards(|| drop(top));
    }
    vec![
        story("a run that has nothing to do freezes nobody")
            .disturb(|sandbox| {
                const STATE: &str = "/sys/fs/cgroup/freezer/snap.acorn/freezer.state";
                paper_freezer(sandbox);
                bind(STATE, STATE);
                read_only(STATE);
            })
            .run()
            .differs("L35", ["exit", "stdout"], [exit("0"), record(&[ROOTFS])]),
        story("processes run again after a fatal failure")
            .disturb(first_version)
            .desire("/var/snap/acorn/common/conf /opt/spare none rbind,rw,x-snapd.origin=layout 0 0")
            .run()
            .both([exit("1"), line("freezer snap.acorn", "THAWED")])
            .ignoring(["record"]),
        story("processes that a killed update left frozen run again after the next")
            .disturb(|sandbox| {
                first_version(sandbox);
                write("/sys/fs/cgroup/freezer/snap.acorn/freezer.state", "FROZEN");
            })
            .desire(BIND)
            .run()
            .both([exit("0"), line("freezer snap.acorn", "THAWED"), file("/opt/spare/v", "common a")]),
        story("processes that a killed update left frozen run again even when there is nothing to do")
            .disturb(|sandbox| {
                first_version(sandbox);
                write("/sys/fs/cgroup/freezer/snap.acorn/freezer.state", "FROZEN");
            })
            .run()
            .both([exit("0"), line("freezer snap.acorn", "THAWED")]),
        story("a real process of the snap runs again, control groups of the first version")
            .disturb(first_version)
            .desire(BIND)
            .run()
            .both([exit("0"), line("freezer snap.acorn", "THAWED"), file("/opt/spare/v", "common a")]),
        story("a real process of the snap runs again, control groups of the second version")
            .disturb(second_version)
            .desire(BIND)
            .run()
            .both([exit("0"), line("freezer snap.acorn.app.scope", "0"), file("/opt/spare/v", "common a")]),
        story("processes that do not freeze stop the update before anything is touched")
            .disturb(|sandbox| {
                paper_freezer(sandbox);
                bind("/dev/null", "/sys/fs/cgroup/freezer/snap.acorn/freezer.state");
            })
            .desire(BIND)
            .run()
            .differs(
                "V9",
                ["exit", "stdout", "view", "mount", "layers", "record"],
                [
                    exit("1"),
                    says("cannot finish freezing processes of snap \"acorn\""),
                    layers("/opt/spare", 0),
                ],
            ),
    ]
}

fn user() -> Vec<Story> {
    const SOME: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0";
    vec![
        story("a user's mounts are made and nothing is remembered").natively()
            .desire(BIND)
            .desire_by_user("/var/snap/acorn/common/b /srv/site none bind 0 0")
            .run_for_user()
            .both([exit("0"), stdout(""), file("/srv/site/v", "common b"), file("/opt/spare/v", "spare"), record(&[ROOTFS])])
            // Each start of a program has a namespace of its own for them, so nobody looks what is there.
            .run_for_user()
            .both([exit("0"), file("/srv/site/v", "common b"), layers("/srv/site", 2)]),
        story("a user's mounts need no lock")
            .desire_by_user(SOME)
            .run_for_user()
            .with(|start| start.lock = Lock::Free)
            .both([exit("0"), file("/opt/spare/v", "common a"), line("lock", "no file")]),
        story("a user with three capabilities has his mounts made too")
            .desire_by_user(SOME)
            .run_for_user()
            .with(|start| start.rights = Rights::Ambient)
            .differs("V10", ["exit", "stdout", "view /opt/spare", "mount /opt/spare", "layers /opt/spare"], [
                exit("0"),
                file("/opt/spare/v", "common a"),
                record(&[ROOTFS]),
            ]),
        story("the runtime directory is the user's, whatever the environment says")
            .disturb(|_| {
                for path in ["/run/user/1000/doc/by-app/snap.acorn", "/run/elsewhere"] {
                    mkdir(path);
                }
                write("/run/user/1000/doc/by-app/snap.acorn/v", "document");
                for path in ["/run/user/1000/doc", "/run/user/1000/doc/by-app", "/run/user/1000/doc/by-app/snap.acorn"] {
                    chown(path, 1000);
                }
            })
            .desire_by_user("$XDG_RUNTIME_DIR/doc/by-app/snap.acorn $XDG_RUNTIME_DIR/doc none bind,rw,x-snapd.ignore-missing 0 0")
            .run_for_user()
            .both([exit("0"), file("/run/user/1000/doc/v", "document")]),
        story("a user without a document portal is left in peace")
            .desire_by_user("$XDG_RUNTIME_DIR/doc/by-app/snap.acorn $XDG_RUNTIME_DIR/doc none bind,rw,x-snapd.ignore-missing 0 0")
            .run_for_user()
            .both([exit("0"), warnings(0), gone("/run/user/1000/doc")]),
        story("what the user may not enter cannot be mounted for him")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/secret/in");
                chmod("/var/snap/acorn/common/secret", 0o700);
            })
            .desire_by_user("/var/snap/acorn/common/secret/in /opt/spare none bind 0 0")
            .run_for_user()
            .both([exit("0"), warnings(1), file("/opt/spare/v", "spare")]),
        story("a missing target of a user is not made on the host")
            .desire_by_user("/var/snap/acorn/common/a /etc/fresh none bind 0 0")
            .run_for_user()
            .both([exit("0"), warnings(1), gone("/etc/fresh"), host_gone("/etc/fresh")])
            .ignoring(["warning"]),
        story("a home in other entries than ensured directories stays as it is written")
            .desire_by_user("/var/snap/acorn/common/a $HOME/x none bind 0 0")
            .run_for_user()
            .both([exit("0"), warnings(1), gone("/home/user/x")]),
        story("a bad user profile is fatal")
            .desire_by_user("a b none bind x 0")
            .run_for_user()
            .both([exit("1"), says("cannot load desired mount profile of snap \"acorn\""), says("cannot parse dump frequency: \"x\"")]),
        story("root has per-user mounts as well")
            .desire_by_user(SOME)
            .run_for_user()
            .with(|start| start.rights = Rights::Root)
            .both([exit("0"), file("/opt/spare/v", "common a")]),
    ]
}

fn ensured() -> Vec<Story> {
    const ENSURE: &str =
        "none $HOME/.local/share/acorn none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME 0 0";
    const KEYS: [&str; 5] = ["exit", "stdout", "warning", "view /home", "host /home"];
    // The 2.57 series knows neither the kind nor the home: it says that all is well and makes nothing.
    let ours = |title, profile| story(title).desire_by_user(profile).run_for_user();
    vec![
        ours("directories are ensured in the user's home, for him alone", ENSURE).differs(
            "V2",
            KEYS,
            [
                exit("0"),
                warnings(0),
                dir_as("/home/user/.local", "0700 1000:1000"),
                dir_as("/home/user/.local/share/acorn", "0700 1000:1000"),
            ],
        ),
        ours("directories are ensured for a user with three capabilities as well", ENSURE)
            .with(|start| start.rights = Rights::Ambient)
            .differs(
                "V10",
                KEYS,
                [
                    exit("0"),
                    warnings(0),
                    dir_as("/home/user/.local", "0700 1000:1000"),
                    dir_as("/home/user/.local/share/acorn", "0700 1000:1000"),
                ],
            ),
        story("what a user with three capabilities may not enter cannot be mounted for him")
            .disturb(|_| {
                mkdir("/var/snap/acorn/common/secret/in");
                chmod("/var/snap/acorn/common/secret", 0o700);
            })
            .desire_by_user("/var/snap/acorn/common/secret/in /opt/spare none bind 0 0")
            .run_for_user()
            .with(|start| start.rights = Rights::Ambient)
            .differs(
                "V10",
                ["exit", "stdout", "warning"],
                [exit("0"), warnings(1), file("/opt/spare/v", "spare")],
            ),
        story("an ensured directory that is there is left alone")
            .disturb(|_| {
                mkdir("/home/user/.local/share/acorn");
                chmod("/home/user/.local", 0o711);
            })
            .desire_by_user(ENSURE)
            .run_for_user()
            .both([exit("0"), warnings(0), dir_as("/home/user/.local", "0711 0:0")]),
        story("a symbolic link is in the way of an ensured directory")
            .disturb(|_| {
                mkdir("/tmp/trap");
                mkdir("/home/user/.local/share");
                ln("/tmp/trap", "/home/user/.local/share/acorn");
            })
            .desire_by_user(ENSURE)
            .run_for_user()
            .both([exit("0"), link("/home/user/.local/share/acorn", "/tmp/trap")])
            .differs("V2", KEYS, [warnings(1)]),
        story("a file is in the way of an ensured directory's parent")
            .disturb(|_| write("/home/user/.local", "a file"))
            .desire_by_user(ENSURE)
            .run_for_user()
            .both([exit("0"), file("/home/user/.local", "a file")])
            .differs("V2", KEYS, [warnings(1)]),
        ours(
            "an anchor that does not exist is not made",
            "none $HOME/a/b/c none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME/a 0 0",
        )
        .differs("V2", KEYS, [exit("0"), warnings(1), gone("/home/user/a")]),
        ours(
            "an anchor must lie above",
            "none $HOME/a/b none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=/var/snap 0 0",
        )
        .differs("V2", KEYS, [exit("0"), warnings(1), gone("/home/user/a")]),
        ours("a missing home is fatal only when it is needed", ENSURE)
            .with(|start| start.env = &[("SNAP_REAL_HOME", "")])
            .differs(
                "V2",
                KEYS,
                [exit("1"), says("cannot use invalid home directory \"\": cannot allow empty path")],
            ),
        ours("an unclean home is refused", ENSURE)
            .with(|start| start.env = &[("SNAP_REAL_HOME", "/home/../home/user")])
            .differs("V2", KEYS, [exit("1"), says("cannot allow unclean path")]),
        ours("a relative home is refused", ENSURE)
            .with(|start| start.env = &[("SNAP_REAL_HOME", "home/user")])
            .differs("V2", KEYS, [exit("1"), says("cannot allow relative path")]),
        ours("somebody else's home is refused", ENSURE)
            .with(|start| start.env = &[("SNAP_REAL_HOME", "/root")])
            .differs("V2", KEYS, [exit("1"), says("permission denied")]),
    ]
}
