// SPDX-License-Identifier: GPL-3.0-only
//! What is interrupted: one change of a snap's mounts each, with what was before it.

use std::fs;

use rustix::mount::UnmountFlags;

use crate::support::sandbox::Sandbox;
use crate::support::seccomp::{OF_OLD, Refused};

/// One change.
pub struct Story {
    pub name: &'static str,
    pub instance: &'static str,
    pub how: How,
    /// Control groups are those of the second version.
    pub second_version: bool,
    /// What the kernel does not know.
    pub refused: Refused,
    /// What was done before, undisturbed.
    pub before: Vec<Step>,
    /// What is desired now.
    pub desired: String,
}

/// Who starts the program, and what becomes of the namespace when the program fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// snapd, for a namespace that lives and goes on living.
    Snapd,
    /// snap-confine, in a namespace that it has just built. When the program fails, the start of the snap's program
    /// fails and the namespace is gone; the next start builds another.
    SnapConfine,
    /// snap-confine, for the mounts of a user, in a copy of the namespace that ends with the snap's program.
    User,
}

/// Something that was before.
pub enum Step {
    /// snapd wanted this, and the program made it so.
    Wish(String),
    /// Something happened.
    Happen(fn(&Sandbox)),
}

fn story(name: &'static str, how: How) -> Story {
    Story {
        name,
        instance: "acorn",
        how,
        second_version: false,
        refused: &[],
        before: Vec::new(),
        desired: String::new(),
    }
}

impl Story {
    fn of(mut self, instance: &'static str) -> Story {
        self.instance = instance;
        self
    }

    fn second_version(mut self) -> Story {
        self.second_version = true;
        self
    }

    fn before(mut self, profile: &str) -> Story {
        self.before.push(Step::Wish(tidy(profile)));
        self
    }

    fn happen(mut self, what: fn(&Sandbox)) -> Story {
        self.before.push(Step::Happen(what));
        self
    }

    fn desire(mut self, profile: &str) -> Story {
        self.desired = tidy(profile);
        self
    }
}

fn tidy(profile: &str) -> String {
    profile.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

/// Content in a directory that is there, in one that is not, and as a file.
const CONTENT: &str = "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0
    /var/snap/birch/common/shared /var/snap/acorn/common/shared none bind,rw 0 0
    /var/snap/acorn/common/conf /var/snap/acorn/common/conf.d/conf none bind,rw,x-snapd.kind=file 0 0";
const FRESH: &str = "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0";
const FRESH_TOO: &str = "/var/snap/acorn/common/b /opt/later none rbind,rw,x-snapd.origin=layout 0 0";
const LAYOUTS: &str = "/var/snap/acorn/common/a /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
    /var/snap/acorn/common/conf /etc/hosts none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0
    /var/snap/acorn/common/conf /srv/site/new none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0
    none /usr/lib/link none x-snapd.kind=symlink,x-snapd.symlink=/opt/spare,x-snapd.origin=layout 0 0
    tmpfs /usr/share/doc tmpfs x-snapd.origin=layout 0 0
    tmpfs /var/lib/acorn tmpfs mode=0700,x-snapd.origin=layout 0 0";
const EXAMPLE_A: &str = "/var/snap/acorn/common/a /opt/depot/demo none rbind,rw,x-snapd.origin=layout 0 0
    /var/snap/acorn/common/b /opt/fresh/deep none rbind,rw,x-snapd.origin=layout 0 0
    /var/snap/acorn/common/c /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
    /var/snap/acorn/common/d /srv/zone none bind 0 0
    /var/snap/acorn/common/e /opt/annex none bind 0 0
    tmpfs /opt/fresh tmpfs rw 0 0";
const REVISION_1: &str = "/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0
    /snap/acorn/1/data /opt/acorn none rbind,rw,x-snapd.origin=layout 0 0";
const REVISION_2: &str = "/snap/birch/1/export /snap/acorn/2/import none bind,ro 0 0
    /snap/acorn/2/data /opt/acorn none rbind,rw,x-snapd.origin=layout 0 0";
const NESTED_1: &str = "/var/snap/acorn/common/top1 /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
    /var/snap/acorn/common/b /opt/spare/sub none rbind,rw,x-snapd.origin=layout 0 0";
const USER: &str = "/var/snap/acorn/common/b /srv/site none bind 0 0
    /var/snap/acorn/common/a /opt/spare none bind,ro 0 0
    none $HOME/.local/share/acorn none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME 0 0";

/// All of them; and those of snapd's own runs once more on a kernel of old, where there are gaps, and a guard.
pub fn stories() -> Vec<Story> {
    let of_old = of_today().into_iter().filter(|story| story.how == How::Snapd).map(|mut story| {
        story.name = format!("old-{}", story.name).leak();
        story.refused = OF_OLD;
        story
    });
    of_today().into_iter().chain(of_old).collect()
}

fn of_today() -> Vec<Story> {
    use How::{SnapConfine, Snapd, User as ForUser};
    let both = |first: &str, second: &str| format!("{first}\n{second}");
    vec![
        story("connect", Snapd).desire(CONTENT),
        story("disconnect", Snapd).before(CONTENT),
        story("refresh", Snapd).before(REVISION_1).desire(REVISION_2),
        story("mimic-on", Snapd).desire(FRESH),
        story("mimic-off", Snapd).before(FRESH),
        story("mimic-grown", Snapd).before(FRESH).desire(&both(FRESH, FRESH_TOO)),
        story("mimic-heir", Snapd).before(FRESH).before(&both(FRESH, FRESH_TOO)).desire(FRESH_TOO),
        story("layouts-on", Snapd).desire(LAYOUTS),
        story("layouts-off", Snapd).before(LAYOUTS),
        story("nested-on", Snapd).desire(EXAMPLE_A),
        story("nested-off", Snapd).before(EXAMPLE_A),
        story("nested-replaced", Snapd)
            .happen(|_| {
                for name in ["top1", "top2"] {
                    let name = format!("/var/snap/acorn/common/{name}");
                    fs::create_dir_all(format!("{name}/sub")).expect("create a directory");
                    fs::write(format!("{name}/v"), "top").expect("write a file");
                }
            })
            .before(NESTED_1)
            .desire(&NESTED_1.replace("top1", "top2")),
        story("kind-change", Snapd)
            .before(
                "/var/snap/acorn/common/a /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0
                none /srv/link none x-snapd.kind=symlink,x-snapd.symlink=site,x-snapd.origin=layout 0 0",
            )
            .desire(
                "none /opt/fresh none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0
                tmpfs /srv/link tmpfs x-snapd.origin=layout 0 0",
            ),
        story("file-and-directory", Snapd)
            .before(
                "/snap/acorn/1/lib /opt/fresh none bind,ro 0 0
                /var/snap/acorn/common/conf /srv/fresh none bind,x-snapd.kind=file 0 0",
            )
            .desire(
                "/var/snap/acorn/common/conf /opt/fresh none bind,x-snapd.kind=file 0 0
                /snap/acorn/1/lib /srv/fresh none bind,ro 0 0",
            ),
        story("stale-source", Snapd)
            .before("/var/snap/acorn/common/a /opt/spare none bind,rw 0 0")
            .happen(|_| {
                fs::rename("/var/snap/acorn/common/a", "/var/snap/acorn/common/old").expect("rename");
                fs::create_dir("/var/snap/acorn/common/a").expect("create a directory");
                fs::write("/var/snap/acorn/common/a/v", "another a").expect("write a file");
            })
            .desire("/var/snap/acorn/common/a /opt/spare none bind,rw 0 0"),
        story("content-under-layout", Snapd)
            .before(
                "/snap/acorn/1/import /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
                /snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0",
            )
            .desire(
                "/snap/acorn/1/import /opt/spare none rbind,rw,x-snapd.origin=layout 0 0
                /snap/birch/2/export /snap/acorn/1/import none bind,ro 0 0",
            ),
        story("user-mounts", ForUser).desire(USER),
        story("from-snap-confine", SnapConfine).desire(&both(CONTENT, LAYOUTS)),
        story("instance", SnapConfine).of("maple_blue").desire(
            "/snap/maple_blue /snap/maple none rbind,x-snapd.origin=overname 0 0
            /var/snap/maple_blue /var/snap/maple none rbind,x-snapd.origin=overname 0 0
            /snap/maple/7/lib /opt/maple none rbind,rw,x-snapd.origin=layout 0 0
            /snap/birch/1/export /snap/maple/7/more none bind,ro 0 0",
        ),
        story("first-run", Snapd)
            .happen(|sandbox| {
                fs::remove_file(sandbox.record()).expect("remove the record");
                fs::remove_dir_all("/run/snapd/lock").expect("remove the locks");
            })
            .desire("/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0"),
        story("adoption", Snapd)
            .before(CONTENT)
            .happen(|sandbox| {
                fs::write(sandbox.record(), "tmpfs / tmpfs x-snapd.origin=rootfs 0 0\n")
                    .expect("write the record");
                let _ = fs::remove_file(format!("{}.made", sandbox.record().display()));
                rustix::mount::unmount("/snap/acorn/1/import", UnmountFlags::DETACH).expect("unmount");
            })
            .desire(CONTENT),
        story("second-version", Snapd).second_version().before(FRESH_TOO).desire(CONTENT),
        story("unchanged", Snapd).before(CONTENT).desire(CONTENT),
    ]
}
