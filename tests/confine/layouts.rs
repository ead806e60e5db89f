// SPDX-License-Identifier: GPL-3.0-only
//! Layouts: directories, files, links and memory where the base has nothing, or something else.

use crate::world::{scenario, scenario_of_ours};

/// One of each kind: over what the base has, beside it, two levels below it, on the host's `/etc`, in the snap itself.
const ALL_KINDS: &str = r"
    all_kinds() {
        desire '/snap/acorn/1/settings /etc/acorn.conf none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0' \
            '/var/snap/acorn/common/new /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            'none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0' \
            '/snap/acorn/1/settings /opt/settings none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0' \
            'tmpfs /opt/work tmpfs x-snapd.mode=0700,x-snapd.origin=layout 0 0' \
            'tmpfs /snap/acorn/1/scratch tmpfs x-snapd.origin=layout 0 0' \
            '/snap/acorn/1/lib /srv/deep/er none rbind,rw,x-snapd.origin=layout 0 0' \
            '/var/snap/acorn/common/data /usr/share/doc none rbind,rw,x-snapd.origin=layout 0 0' \
            '/var/snap/acorn/common/conf /usr/share/man/v none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0'
    }
    look='/etc/acorn.conf /opt /opt/link/v /opt/settings /opt/work /snap/acorn/1 /srv /srv/deep/er/v /srv/site/v'
    look=$look' /usr/share/doc/v /usr/share/man/v'
";

#[test]
fn layouts_of_all_kinds_are_made_and_the_host_sees_none() {
    scenario(
        &format!(
            r"
            {ALL_KINDS}
            all_kinds
            start $look
            state
            ls /etc
            ls /var/snap/acorn/common
            "
        ),
        &[
            "/etc/acorn.conf: acorn settings\n/opt: fresh link readme settings spare work\n/opt/link/v: spare\n/opt/settings: acorn settings\n/opt/work:\n",
            "/snap/acorn/1: bin import lib meta scratch settings\n/srv: deep site\n/srv/deep/er/v: acorn lib\n/srv/site/v: site\n",
            "/usr/share/doc/v: acorn data\n",
            "alternatives\ngroup\nhosts\nnsswitch.conf\nos-release\npasswd\nssl\n",
        ],
    );
}

#[test]
fn layouts_of_all_kinds_come_and_go_below_a_service() {
    scenario(
        &format!(
            r"
            {ALL_KINDS}
            serve
            ask $look
            state > /tmp/before
            all_kinds
            refresh
            ask $look
            state
            desire ''
            refresh
            ask $look
            state > /tmp/after
            diff /tmp/before /tmp/after && echo 'as before'
            stop
            "
        ),
        &[
            "/etc/acorn.conf: nothing\n/opt: readme spare\n/opt/link/v: nothing\n",
            "refresh: 0\nthe same process\n/etc/acorn.conf: acorn settings\n/opt: fresh link readme settings spare work\n",
            "/usr/share/doc/v: base doc\n/usr/share/man/v: base man\nas before\n",
        ],
    );
}

#[test]
fn layouts_of_all_kinds_stay_in_a_run_that_changes_nothing() {
    // Not with the original, which cannot take the link away after it has reversed its record: L1.
    scenario_of_ours(
        &format!(
            r"
            {ALL_KINDS}
            start /opt
            state > /tmp/before
            all_kinds
            refresh
            inside $look > /tmp/looks
            state > /tmp/once
            refresh
            state > /tmp/twice
            diff /tmp/once /tmp/twice && echo 'unchanged'
            inside $look | diff /tmp/looks - && echo 'looks the same'
            desire ''
            refresh
            state > /tmp/after
            diff /tmp/before /tmp/after && echo 'as before'
            "
        ),
        &["unchanged\nlooks the same\nrefresh: 0\nas before\n"],
    );
}

#[test]
fn a_layout_is_made_with_a_mimic_and_taken_down_again() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            'none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0'
        start /opt /opt/fresh/v /opt/spare/v /opt/link/v /opt/readme
        state
        desire ''
        refresh
        inside /opt /opt/spare/v
        state
        ",
        &[
            "/opt: fresh link readme spare\n/opt/fresh/v: acorn data\n/opt/spare/v: spare\n/opt/link/v: spare\n",
            "/opt: readme spare\n",
        ],
    );
}

#[test]
fn a_layout_on_the_host_s_etc_is_not_seen_by_the_host() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /etc/acorn none rbind,rw,x-snapd.origin=layout 0 0'
        start /etc/acorn/v /etc/hosts
        ls /etc
        ",
        &["/etc/acorn/v: acorn data\n/etc/hosts: host hosts\nstart: 0\n"],
    );
}

#[test]
fn a_layout_of_content_shows_the_content() {
    scenario(
        r"
        desire '/snap/acorn/1/import /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        start /opt/fresh/v
        state
        ",
        &["/opt/fresh/v: birch export\nstart: 0\n"],
    );
}

#[test]
fn a_layout_of_content_follows_the_content() {
    // The original's shows what it showed at first: P1.
    scenario_of_ours(
        r"
        desire '/snap/acorn/1/import /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        serve
        ask /opt/fresh/v
        install birch 2
        desire '/snap/acorn/1/import /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            '/snap/birch/2/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        ask /opt/fresh/v
        desire '/snap/acorn/1/import /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        refresh
        ask /opt/fresh
        stop
        ",
        &[
            "the same process\n/opt/fresh/v: birch export\nrefresh: 0\n",
            "the same process\n/opt/fresh/v: birch export 2\nrefresh: 0\n",
            "the same process\n/opt/fresh: *\n",
        ],
    );
}

#[test]
fn a_layout_over_what_a_mimic_shows_can_be_changed_and_taken_away() {
    // The original's stays as it was at first, for ever: L5.
    scenario_of_ours(
        r#"
        over() {
            desire '/snap/acorn/1/lib /usr/share/acorn none rbind,rw,x-snapd.origin=layout 0 0' \
                "$1 /usr/share/doc none rbind,rw,x-snapd.origin=layout 0 0"
        }
        over /var/snap/acorn/common/data
        start /usr/share/doc/v /usr/share/man/v /usr/share
        over /snap/acorn/1/lib
        refresh
        inside /usr/share/doc/v /usr/share/man/v /usr/share
        desire '/snap/acorn/1/lib /usr/share/acorn none rbind,rw,x-snapd.origin=layout 0 0'
        refresh
        inside /usr/share/doc/v /usr/share/man/v /usr/share
        desire ''
        refresh
        inside /usr/share/doc/v /usr/share
        mounts | grep share || echo 'no mount is left'
        "#,
        &[
            "/usr/share/doc/v: acorn data\n/usr/share/man/v: base man\n/usr/share: acorn doc man\nstart: 0\n",
            "refresh: 0\nuid 0\n/usr/share/doc/v: acorn lib\n/usr/share/man/v: base man\n/usr/share: acorn doc man\n",
            "refresh: 0\nuid 0\n/usr/share/doc/v: base doc\n/usr/share/man/v: base man\n/usr/share: acorn doc man\n",
            "refresh: 0\nuid 0\n/usr/share/doc/v: base doc\n/usr/share: doc man\nno mount is left\n",
        ],
    );
}
