// SPDX-License-Identifier: GPL-3.0-only
//! Machines of other shapes: Ubuntu Core, early boot, containers, and bases that are overlays.
//!
//! Debian's snap-confine 2.57.6 binds the base as the root of a snap's namespace, and writes no rootfs line into the record,
//! here and on Ubuntu Core, whatever the base. (The root of 2026, a tmpfs, is that of `tests/support/sandbox.rs`.)
//! So no record in these scenarios has a rootfs line, as it is in the legacy mode of Ubuntu Core 16.

use crate::support::program;
use crate::world::{World, has, impossible, live, scenario, scenario_in, scenario_of_ours};

/// Content; a layout beside what the base has; one in `/etc`, whose pieces are mounts from `/writable`.
const LIFE: &str = r"
    some() {
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0' \
            '/snap/acorn/1/lib /etc/acorn none rbind,rw,x-snapd.origin=layout 0 0' \
            '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            '/var/snap/acorn/common/new /srv/site none rbind,rw,x-snapd.origin=layout 0 0'
    }
    some
    start /snap/acorn/1/import/v /opt/fresh/v /etc/acorn/v /etc/systemd/system/unit /etc/hostname
    state
    ls /etc /opt
    discard
    desire ''
    serve
    ask /opt /etc/systemd/system
    state > /tmp/before
    some
    refresh
    ask /opt/fresh/v /etc/acorn/v /etc/systemd/system/unit /etc/hostname
    echo 'another unit' > /writable/system-data/etc/systemd/system/unit
    ask /etc/systemd/system/unit
    desire ''
    refresh
    ask /opt /etc /etc/systemd/system/unit
    state > /tmp/after
    diff /tmp/before /tmp/after && echo 'as before'
    stop
";

const LIVED: [&str; 5] = [
    "/snap/acorn/1/import/v: birch export\n/opt/fresh/v: acorn data\n/etc/acorn/v: acorn lib\n/etc/systemd/system/unit: a unit\n/etc/hostname: core\nstart: 0\n",
    "the same process\n/opt: readme spare\n/etc/systemd/system: unit\n",
    "refresh: 0\nthe same process\n/opt/fresh/v: acorn data\n/etc/acorn/v: acorn lib\n/etc/systemd/system/unit: a unit\n",
    "the same process\n/etc/systemd/system/unit: another unit\nrefresh: 0\n",
    "as before\n",
];

fn core(shape: &str, cgroups: u8, more: &[&str]) {
    let world = World { shape, cgroups, ..World::CLASSIC };
    scenario_in(world, LIFE, &[&LIVED, more].concat());
}

#[test]
fn ubuntu_core_16_with_a_base() {
    core("core16", 1, &["mount /usr/lib/snapd /lib/snapd overlay"]);
}

#[test]
fn ubuntu_core_16_in_legacy_mode() {
    let world = World { shape: "core16", ..World::CLASSIC };
    let script = format!("base=core\n{LIFE}");
    // The root is the machine's own, with all that is mounted on it.
    scenario_in(world, &script, &[&LIVED[..], &["mount /usr / overlay rw,relatime f"]].concat());
}

#[test]
fn ubuntu_core_18() {
    core(
        "core18",
        1,
        &["mount /usr/lib/snapd /usr/lib/snapd squashfs ro", "mount /snap/snapd/1 / squashfs ro"],
    );
}

#[test]
fn ubuntu_core_20() {
    core("core20", 1, &["mount /run/mnt/data /data tmpfs", "mount /run/mnt/ubuntu-seed / tmpfs"]);
}

#[test]
fn ubuntu_core_24() {
    core("core24", 2, &["mount /run/mnt/data /data tmpfs", "mount /snap/snapd/1 / squashfs ro"]);
}

#[test]
fn ubuntu_core_gets_a_new_snapd_while_a_service_runs() {
    if impossible() || program::is_rehearsal() {
        return;
    }
    let script = r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        serve
        ask /opt/fresh/v
        by ours
        realpath $snapd
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0' \
            '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        refresh
        ask /opt/fresh/v /snap/acorn/1/import/v
        by theirs
        desire ''
        refresh
        ask /opt /snap/acorn/1/import
        record
        stop
    ";
    let first = program::Which::Original;
    let text = live(World { first, shape: "core20", ..World::CLASSIC }, script);
    has(
        "the original, ours, and the original again",
        &text,
        &[
            "/snap/snapd/2/usr/lib/snapd\nrefresh: 0\nthe same process\n/opt/fresh/v: acorn data\n/snap/acorn/1/import/v: birch export\n",
            "refresh: 0\nthe same process\n/opt: readme spare\n/snap/acorn/1/import: *\n",
        ],
    );
    assert!(text.ends_with("/snap/acorn/1/import: *\n"), "nothing should be on record:\n{text}");
}

/// Power has just come on: `/run` and `/tmp` are empty, nothing was ever mounted for the snap.
const POWER_ON: &str = r"
    rm -rf /run/snapd /tmp/*
    refresh 2>&1
    desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
        'tmpfs /opt/work tmpfs x-snapd.origin=layout 0 0'
    start /opt/fresh/v /opt
    state
    desire ''
    refresh
    inside /opt /tmp
    state
";

#[test]
fn the_first_start_after_power_on() {
    scenario(
        &format!("mount -t tmpfs -o mode=01777 tmp /tmp\n{POWER_ON}"),
        &[
            "refresh: 0\nuid 0\n/opt/fresh/v: acorn data\n/opt: fresh readme spare work\nstart: 0\n",
            "/opt: readme spare\n",
        ],
    );
    let world = World { shape: "core20", cgroups: 1, ..World::CLASSIC };
    scenario_in(world, POWER_ON, &["/opt/fresh/v: acorn data\n", "/opt: readme spare\n"]);
}

/// A base that is an overlay: what to add to its options.
fn on_an_overlay(how: &str) -> String {
    format!(
        r"
        mkdir /var/lower /var/upper /var/work
        mount -t overlay -o {how}lowerdir=/snap/core99/1:/var/lower overlay /snap/core99/1
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            '/snap/acorn/1/lib /srv/site none rbind,rw,x-snapd.origin=layout 0 0'
        start /opt/fresh/v /opt/spare/v /srv/site/v
        state
        ls /snap/core99/1/opt
        desire ''
        refresh
        inside /opt /srv/site/v
        state
        "
    )
}

const ON_AN_OVERLAY: [&str; 2] = [
    "/opt/fresh/v: acorn data\n/opt/spare/v: spare\n/srv/site/v: acorn lib\nstart: 0\n",
    "readme\nspare\nrefresh: 0\nuid 0\n/opt: readme spare\n/srv/site/v: site\n",
];

#[test]
fn a_base_that_is_an_overlay() {
    scenario(&on_an_overlay(""), &ON_AN_OVERLAY);
}

#[test]
fn a_base_that_is_an_overlay_one_can_write_to() {
    // The original looks at the root first, which it cannot cover with a mimic: "cannot recover from trespassing over /".
    // Ours covers the directory in which the name is missing: P4.
    scenario_of_ours(&on_an_overlay("upperdir=/var/upper,workdir=/var/work,"), &ON_AN_OVERLAY);
}

#[test]
fn in_a_container() {
    // The base: an overlay, and what containers mount squashfs with where the kernel does not let them.
    let overlay = "mkdir /var/lower
        mount -t overlay -o lowerdir=/snap/core99/1:/var/lower overlay /snap/core99/1";
    let fuse = "umount /snap/core99/1
        squashfuse -o ro,allow_other /images/core99_1.squashfs /snap/core99/1";
    let bases = [(overlay, "mount / / overlay "), (fuse, "mount / / fuse.squashfuse ")];
    for (cgroups, (base, shows)) in [1, 2].into_iter().flat_map(|version| bases.map(|base| (version, base))) {
        let world = World {
            shape: "container",
            cgroups,
            prepare: &format!("{base}\ninstall birch 2\ninstall birch 1"),
            ..World::CLASSIC
        };
        scenario_in(
            world,
            r"
            grep -c . /proc/self/uid_map
            desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0' \
                '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
            desire_by_user '/snap/birch/1/more /opt/spare none bind,ro 0 0'
            serve
            ask /snap/acorn/1/import/v /opt/fresh/v
            start_as_user /snap/acorn/1/import/v /opt/spare/v
            state
            install birch 2
            desire '/snap/birch/2/export /snap/acorn/1/import none bind,ro 0 0'
            refresh
            ask /opt /snap/acorn/1/import/v
            desire ''
            refresh
            ask /snap/acorn/1/import
            stop
            discard
            state
            ",
            &[
                shows,
                "the same process\n/snap/acorn/1/import/v: birch export\n/opt/fresh/v: acorn data\n",
                "uid 1000\n/snap/acorn/1/import/v: birch export\n/opt/spare/v: birch more\nstart: 0\n",
                "refresh: 0\nthe same process\n/opt: readme spare\n/snap/acorn/1/import/v: birch export 2\n",
                "refresh: 0\nthe same process\n/snap/acorn/1/import: *\ndiscard: 0\n",
            ],
        );
    }
}

/// The tool as snap-confine starts it, in a namespace that is joined; the lock is held.
const AS_CONFINE_STARTS_IT: &str = r"
    confine_starts() {
        local status=0
        flock /run/snapd/lock/acorn.lock nsenter --mount=$1 $snapd/snap-update-ns --from-snap-confine acorn \
            > /tmp/said 2>&1 || status=$?
        plain < /tmp/said
        echo exit: $status
    }
";

#[test]
fn a_container_without_a_freezer() {
    // Nothing to freeze with is nothing to freeze, as long as there are control groups of the first version at all.
    scenario_in(
        World::CLASSIC,
        r"
        start /opt
        umount /sys/fs/cgroup/freezer
        nsenter --mount=/run/snapd/ns/acorn.mnt /bin/busybox umount /sys/fs/cgroup/freezer 2> /dev/null || :
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        inside /snap/acorn/1/import
        ",
        &["refresh: 0\nuid 0\n/snap/acorn/1/import: v\n"],
    );
}

#[test]
fn a_container_without_control_groups_says_so() {
    scenario_of_ours(
        r"
        start /opt
        nsenter --mount=/run/snapd/ns/acorn.mnt /bin/busybox mount -t tmpfs none /sys
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        inside /snap/acorn/1/import
        ",
        &[
            "cannot update snap namespace: FreezeSnapProcesses not implemented\nrefresh: 1\nuid 0\n/snap/acorn/1/import:\n",
        ],
    );
}

#[test]
fn without_a_place_for_records() {
    scenario(
        &format!(
            r"
            {AS_CONFINE_STARTS_IT}
            refresh
            umount /run/snapd/ns 2>/dev/null || :
            rm -r /run/snapd/ns
            refresh
            desire '/snap/birch/1/export /opt none bind,ro 0 0'
            confine_starts /proc/self/ns/mnt | sed -E 's/fstab\.[^ :]+~?/fstab.RANDOM/g'
            "
        ),
        &[
            "refresh: 0\nrefresh: 0\n",
            "cannot update snap namespace: cannot save current mount profile of snap \"acorn\": open /run/snapd/ns/snap.acorn.fstab.RANDOM: no such file or directory\nexit: 1\n",
        ],
    );
}
