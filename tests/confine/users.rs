// SPDX-License-Identifier: GPL-3.0-only
//! Mounts of an ordinary user: made anew for each of his starts, seen by nobody else.

use crate::world::{scenario, scenario_of_ours};

/// The document portal, as the desktop's portal keeps it, and the two entries of a user.
const PORTAL: &str = r"
    mkdir -p /run/user/1000/doc/by-app/snap.acorn /run/user/1000/doc/elsewhere
    echo 'a document' > /run/user/1000/doc/by-app/snap.acorn/v
    chown -R 1000:1000 /run/user/1000/doc
    chmod -R go= /run/user/1000
    desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
    desire_by_user '/snap/birch/1/more /opt/spare none bind,ro 0 0' \
        '$XDG_RUNTIME_DIR/doc/by-app/snap.acorn $XDG_RUNTIME_DIR/doc none bind,rw,x-snapd.ignore-missing 0 0'
";

#[test]
fn an_ordinary_user_has_mounts_of_his_own() {
    scenario(
        &format!(
            r"
            {PORTAL}
            start_as_user /opt/spare/v /snap/acorn/1/import/v /run/user/1000/doc
            start_as_user /opt/spare/v /run/user/1000/doc/v
            start /opt/spare/v /run/user/1000/doc
            inside /opt/spare/v
            state
            ls -l /run/snapd/ns/snap.acorn.fstab | cut -d' ' -f1,3,4
            ls /run/user/1000/doc
            "
        ),
        &[
            "uid 1000\n/opt/spare/v: birch more\n/snap/acorn/1/import/v: birch export\n/run/user/1000/doc: v\nstart: 0\n",
            "uid 1000\n/opt/spare/v: birch more\n/run/user/1000/doc/v: a document\nstart: 0\n",
            "uid 0\n/opt/spare/v: spare\n/run/user/1000/doc: by-app elsewhere\nstart: 0\n",
            "-rw-r--r-- root root\nby-app\nelsewhere\n",
        ],
    );
}

#[test]
fn a_user_without_a_portal_is_started_all_the_same() {
    scenario(
        &format!(
            r"
            {PORTAL}
            rm -r /run/user/1000/doc
            start_as_user /opt/spare/v /run/user/1000
            ls -A /run/user/1000
            "
        ),
        &["uid 1000\n/opt/spare/v: birch more\n/run/user/1000:\nstart: 0\n"],
    );
}

#[test]
fn a_namespace_of_each_user_is_kept_where_snapd_is_told_to() {
    scenario(
        &format!(
            r"
            {PORTAL}
            : > /var/lib/snapd/features/per-user-mount-namespace
            start_as_user /opt/spare/v /run/user/1000/doc
            desire_by_user '' # a second start does not look
            start_as_user /opt/spare/v /run/user/1000/doc
            start /opt/spare/v
            state
            discard
            state
            "
        ),
        &[
            "uid 1000\n/opt/spare/v: birch more\n/run/user/1000/doc: v\nstart: 0\nuid 1000\n/opt/spare/v: birch more\n",
            "namespace acorn.1000.mnt\nnamespace acorn.mnt\n",
        ],
    );
}

#[test]
fn a_user_s_mount_that_fails_is_a_warning_and_a_faulty_list_stops_his_start_only() {
    scenario(
        r"
        desire_by_user '/snap/birch/1/nothing /opt/spare none bind,ro 0 0'
        start_as_user /opt/spare/v
        desire_by_user 'nonsense'
        start_as_user /opt/spare/v
        start /opt/spare/v
        state
        ",
        &[
            "(/snap/birch/1/nothing /opt/spare none bind,ro 0 0)\nuid 1000\n/opt/spare/v: spare\nstart: 0\n",
            "cannot load desired mount profile of snap \"acorn\"\nsnap-update-ns failed with code 1\nstart: 1\nuid 0\n/opt/spare/v: spare\nstart: 0\n",
        ],
    );
}

#[test]
fn a_user_s_first_start_builds_a_namespace_that_is_root_s() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            'tmpfs /opt/work tmpfs x-snapd.origin=layout 0 0' \
            'none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0'
        start_as_user /opt /opt/fresh/v
        start /opt /opt/link/v
        nsenter --mount=/run/snapd/ns/acorn.mnt /bin/ls -lnd /opt /opt/fresh /opt/work /opt/link /tmp | cut -c1-10,28-32
        ls -ln /run/snapd/ns/snap.acorn.fstab | cut -d' ' -f1,3,4
        state
        ",
        &["uid 1000\n/opt: fresh link readme spare work\n", "-rw-r--r-- 0 0\n"],
    );
}

#[test]
fn a_home_that_an_older_snap_confine_does_not_name_is_missed_aloud() {
    scenario_of_ours(
        r"
        desire_by_user 'none $HOME/.local/share/acorn none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME 0 0'
        start_as_user /home/user
        ls -dn /home/user/.local/share/acorn 2>&1 | cut -d' ' -f1,3,4
        ",
        // Debian's snap-confine is older than the variable that says where the home is.
        &["cannot use invalid home directory \"\": cannot allow empty path", "start: 1\n"],
    );
}
