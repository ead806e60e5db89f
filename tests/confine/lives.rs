// SPDX-License-Identifier: GPL-3.0-only
//! What happens to a snap in its life: starts, connections, refreshes, and what goes wrong with them.

use crate::support::program::Which;
use crate::world::{World, has, impossible, live, scenario, scenario_of_ours, scenario_with};

#[test]
fn the_first_start_builds_the_namespace_and_the_second_joins_it() {
    scenario(
        r"
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        start /snap/acorn/1/import/v
        rm /var/lib/snapd/mount/snap.acorn.fstab # a second start does not look
        start /snap/acorn/1/import/v
        state
        discard
        rm -f /run/snapd/ns/*.made # our notes may stay: they say nothing about a new namespace
        ls /run/snapd/ns
        ",
        &[
            "uid 0\n/snap/acorn/1/import/v: birch export\nstart: 0\nuid 0\n/snap/acorn/1/import/v: birch export\nstart: 0\n",
            "mount /snap/acorn/1/import /export squashfs ro,relatime f\n",
            "record /snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0\nnamespace acorn.mnt\n",
        ],
    );
}

#[test]
fn a_service_sees_content_come_change_and_go() {
    scenario(
        r"
        serve
        ask /snap/acorn/1/import
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        ask /snap/acorn/1/import /snap/acorn/1/import/v
        state

        install birch 2 # the provider is refreshed
        desire '/snap/birch/2/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        ask /snap/acorn/1/import/v
        state

        desire '' # disconnected
        refresh
        ask /snap/acorn/1/import
        state
        stop
        ",
        &[
            "the same process\n/snap/acorn/1/import: *\nrefresh: 0\n",
            "refresh: 0\nthe same process\n/snap/acorn/1/import: v\n/snap/acorn/1/import/v: birch export\n",
            "refresh: 0\nthe same process\n/snap/acorn/1/import/v: birch export 2\n",
            "refresh: 0\nthe same process\n/snap/acorn/1/import: *\n",
        ],
    );
}

#[test]
fn nobody_is_left_frozen_in_either_version_of_control_groups() {
    for (cgroups, thawed) in
        [(1, "group snap.acorn/freezer.state:THAWED\n"), (2, "group snap.acorn.serve/cgroup.freeze:0\n")]
    {
        scenario_with(
            cgroups,
            r"
            serve
            ask /opt
            desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
            refresh
            state
            desire '/opt/readme /opt/spare none rbind,rw,x-snapd.origin=layout 0 0' # fails, and is fatal
            refresh
            state | grep group
            ask /opt
            stop
            ",
            &[
                "refresh: 0\nmount /",
                thawed,
                &format!("refresh: 1\n{thawed}the same process\n/opt: readme spare\n"),
            ],
        );
    }
}

#[test]
fn a_start_follows_what_was_connected_while_the_namespace_lives() {
    scenario(
        r"
        start /snap/acorn/1/import
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        start /snap/acorn/1/import/v
        desire '/snap/birch/1/more /snap/acorn/1/import none bind,ro 0 0'
        refresh
        start /snap/acorn/1/import/v
        desire ''
        refresh
        start /snap/acorn/1/import
        state
        ",
        &[
            "refresh: 0\nuid 0\n/snap/acorn/1/import/v: birch export\n",
            "/snap/acorn/1/import/v: birch more\n",
            "refresh: 0\nuid 0\n/snap/acorn/1/import:\nstart: 0\n",
        ],
    );
}

#[test]
fn the_consumer_is_refreshed_while_its_old_service_runs() {
    scenario(
        r"
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0' \
            '/snap/acorn/1/lib /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        serve
        ask /opt/fresh/v /snap/acorn/1/import/v
        install acorn 2
        desire '/snap/birch/1/export /snap/acorn/2/import none bind,ro 0 0' \
            '/snap/acorn/2/lib /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        refresh
        ask /opt/fresh/v /snap/acorn/1/import /snap/acorn/2/import/v
        stop
        start /opt/fresh/v /snap/acorn/2/import/v
        state
        ",
        &[
            "the same process\n/opt/fresh/v: acorn lib\n/snap/acorn/1/import/v: birch export\n",
            "the same process\n/opt/fresh/v: acorn lib 2\n/snap/acorn/1/import: *\n/snap/acorn/2/import/v: birch export\n",
            "uid 0\n/opt/fresh/v: acorn lib 2\n/snap/acorn/2/import/v: birch export\nstart: 0\n",
        ],
    );
}

#[test]
fn content_that_fails_is_a_warning_and_the_start_goes_on() {
    scenario(
        r"
        desire '/snap/birch/1/nothing /snap/acorn/1/import none bind,ro 0 0' \
            '/snap/birch/1/more /opt/spare none bind,ro 0 0'
        start /snap/acorn/1/import /opt/spare/v
        state
        refresh # tries again
        state
        ",
        &[
            "cannot change mount namespace according to change mount (/snap/birch/1/nothing /snap/acorn/1/import none bind,ro 0 0)\nuid 0\n/snap/acorn/1/import:\n/opt/spare/v: birch more\nstart: 0\n",
            "(/snap/birch/1/nothing /snap/acorn/1/import none bind,ro 0 0)\nrefresh: 0\n",
        ],
    );
}

#[test]
fn a_faulty_layout_stops_the_start_and_nothing_is_preserved() {
    scenario(
        r"
        desire '/opt/readme /opt/spare none rbind,rw,x-snapd.origin=layout 0 0'
        start /opt
        ls /run/snapd/ns/*.mnt 2>/dev/null || echo 'nothing is preserved'
        desire ''
        start /opt
        state
        ",
        &[
            "cannot update snap namespace: cannot use \"/opt/readme\" as bind-mount source: not a directory\nsnap-update-ns failed with code 1\nstart: 1\n",
            "nothing is preserved\nuid 0\n/opt: readme spare\nstart: 0\n",
        ],
    );
}

#[test]
fn a_layout_that_fails_on_a_refresh_has_the_namespace_thrown_away_below_a_service() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        serve
        ask /opt/fresh/v
        desire '/opt/readme /opt/spare none rbind,rw,x-snapd.origin=layout 0 0'
        refresh
        discard # that is what snapd does then
        state
        ask /opt/spare/v # the service keeps what it has
        start /opt # and new starts fail
        desire '/snap/acorn/1/lib /opt/spare none rbind,rw,x-snapd.origin=layout 0 0'
        start /opt/spare/v
        ask /opt/spare/v
        state
        stop
        ",
        &[
            "refresh: 1\ndiscard: 0\n",
            "snap-update-ns failed with code 1\nstart: 1\nuid 0\n/opt/spare/v: acorn lib\nstart: 0\nthe same process\n/opt/spare/v: spare\n",
        ],
    );
}

#[test]
fn a_profile_that_cannot_be_read_touches_nothing() {
    scenario(
        r"
        desire '/snap/birch/1/more /opt/spare none bind,ro 0 0'
        start /opt/spare/v
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0' 'nonsense'
        refresh
        start /opt/spare/v /snap/acorn/1/import # joins what is there
        state
        discard
        start /opt/spare/v
        state
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        start /snap/acorn/1/import/v
        state
        ",
        &[
            "cannot update snap namespace: cannot load desired mount profile of snap \"acorn\"\nrefresh: 1\nuid 0\n/opt/spare/v: birch more\n/snap/acorn/1/import:\nstart: 0\n",
            "discard: 0\ncannot update snap namespace: cannot load desired mount profile of snap \"acorn\"\nsnap-update-ns failed with code 1\nstart: 1\n",
            "/snap/acorn/1/import/v: birch export\nstart: 0\n",
        ],
    );
}

#[test]
fn a_namespace_that_was_discarded_is_built_again() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        start /opt/fresh/v
        state > /tmp/before
        discard
        refresh # there is nothing to do
        start /opt/fresh/v
        state > /tmp/after
        diff /tmp/before /tmp/after && echo 'the same state'
        discard
        refresh
        state
        ",
        &[
            "start: 0\ndiscard: 0\nrefresh: 0\nuid 0\n/opt/fresh/v: acorn data\nstart: 0\nthe same state\n",
            "discard: 0\nrefresh: 0\n",
        ],
    );
}

#[test]
fn starts_at_once_share_one_namespace() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        for one in 1 2 3 4; do start /opt/fresh/v /snap/acorn/1/import/v > /tmp/start.$one & done
        wait
        sort /tmp/start.* | uniq -c
        state
        ",
        &["4 /opt/fresh/v: acorn data\n", "4 /snap/acorn/1/import/v: birch export\n", "4 start: 0\n"],
    );
}

#[test]
fn a_start_and_a_refresh_at_once_end_in_the_same_state() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        start /opt/fresh/v
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        refresh > /tmp/refresh.1 &
        start /opt/readme > /tmp/start.1 &
        refresh > /tmp/refresh.2 &
        start /opt/readme > /tmp/start.2 &
        wait
        cat /tmp/refresh.* /tmp/start.*
        state
        ",
        &[
            "refresh: 0\nrefresh: 0\nuid 0\n/opt/readme: read me\nstart: 0\nuid 0\n/opt/readme: read me\nstart: 0\n",
        ],
    );
}

#[test]
fn a_refresh_and_a_start_wait_for_the_lock() {
    scenario(
        r#"
        start /opt
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        # The kernel's table shows a lock, and who waits for it, as long as the one that took it lives.
        locked() { [ $(grep -c -e "$1" /proc/locks) -ge $2 ]; }
        ours=$(grep -c -e ': FLOCK' /proc/locks || :)
        already=$(grep -c -e '-> FLOCK' /proc/locks || :)
        flock --close /run/snapd/lock/acorn.lock sleep 60 &
        holder=$!
        until_so locked ': FLOCK' $((ours + 1))
        refresh > /tmp/refreshed &
        until_so locked '-> FLOCK' $((already + 1))
        start /opt > /tmp/started &
        until_so locked '-> FLOCK' $((already + 2))
        cat /tmp/refreshed /tmp/started
        inside /snap/acorn/1/import
        echo 'the lock is let go'
        kill $holder
        wait
        cat /tmp/refreshed /tmp/started
        inside /snap/acorn/1/import
        state
        "#,
        &[
            "uid 0\n/snap/acorn/1/import:\nthe lock is let go\nrefresh: 0\nuid 0\n/opt: readme spare\nstart: 0\nuid 0\n/snap/acorn/1/import: v\n",
        ],
    );
}

#[test]
fn a_new_base_is_taken_when_nobody_runs_on_the_old_one() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        start /opt/spare/v /opt/fresh/v
        install core99 2
        start /opt/spare/v /opt/fresh/v
        serve
        ask /opt/spare/v
        install core99 1
        start /opt/spare/v # the namespace is occupied
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        ask /opt /snap/acorn/1/import/v
        stop
        start /opt/spare/v /snap/acorn/1/import/v
        state
        ",
        &[
            "/opt/spare/v: spare\n/opt/fresh/v: acorn data\nstart: 0\nuid 0\n/opt/spare/v: spare of the second base\n/opt/fresh/v: acorn data\nstart: 0\n",
            "the same process\n/opt/spare/v: spare of the second base\nuid 0\n/opt/spare/v: spare of the second base\nstart: 0\nrefresh: 0\n",
            "uid 0\n/opt/spare/v: spare\n/snap/acorn/1/import/v: birch export\nstart: 0\n",
        ],
    );
}

#[test]
fn content_comes_into_a_mimic_of_a_parallel_instance() {
    scenario(
        r#"
        wishes() {
            desire '/snap/acorn_blue /snap/acorn none rbind,x-snapd.origin=overname 0 0' \
                '/var/snap/acorn_blue /var/snap/acorn none rbind,x-snapd.origin=overname 0 0' \
                '/var/snap/acorn/common/data/v /snap/acorn/1/deep/er/conf none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0' \
                "$@"
        }
        install acorn_blue 1
        instance=acorn_blue
        wishes
        start /snap/acorn/1/deep/er/conf
        state
        wishes '/snap/birch/1/export /snap/acorn/1/fresh none bind,ro 0 0'
        refresh
        inside /snap/acorn/1/fresh/v /snap/acorn/1/deep/er/conf
        state
        wishes
        refresh
        inside /snap/acorn/1 /snap/acorn/1/deep/er/conf
        state
        "#,
        &[
            "/snap/acorn/1/deep/er/conf: acorn_blue data\nstart: 0\n",
            "refresh: 0\nuid 0\n/snap/acorn/1/fresh/v: birch export\n/snap/acorn/1/deep/er/conf: acorn_blue data\n",
            "/snap/acorn/1: bin deep import lib meta settings\n/snap/acorn/1/deep/er/conf: acorn_blue data\n",
        ],
    );
}

#[test]
fn a_parallel_instance_lives_beside_the_snap() {
    scenario(
        r"
        overname() {
            desire '/snap/acorn_blue /snap/acorn none rbind,x-snapd.origin=overname 0 0' \
                '/var/snap/acorn_blue /var/snap/acorn none rbind,x-snapd.origin=overname 0 0' \
                '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
                '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        }
        install acorn_blue 1
        instance=acorn_blue
        overname
        start /var/snap/acorn/common/data/v /opt/fresh/v /snap/acorn/1/import/v
        state
        instance=acorn
        start /var/snap/acorn/common/data/v /opt /snap/acorn/1/import
        state

        instance=acorn_blue
        install acorn_blue 2
        overname
        refresh
        inside /snap/acorn /snap/acorn/2/lib/v /opt/fresh/v
        state
        discard
        instance=acorn
        start /var/snap/acorn/common/data/v
        state
        ",
        &[
            "/var/snap/acorn/common/data/v: acorn_blue data\n/opt/fresh/v: acorn_blue data\n/snap/acorn/1/import/v: birch export\nstart: 0\n",
            "/var/snap/acorn/common/data/v: acorn data\n/opt: readme spare\n/snap/acorn/1/import:\nstart: 0\n",
            "refresh: 0\nuid 0\n/snap/acorn: 1 2 current\n/snap/acorn/2/lib/v: acorn lib 2\n/opt/fresh/v: acorn_blue data\n",
            "discard: 0\nuid 0\n/var/snap/acorn/common/data/v: acorn data\nstart: 0\n",
        ],
    );
}

/// Content at two places of the snap's own directory, one of them below a directory of its own, and a layout there. They
/// are disconnected, `FIRST` and then `SECOND`; what `BETWEEN` does comes before that.
const TWO_DISCONNECTS: &str = "
    wish() {
        local wishes=('/var/snap/acorn/common/data/v /snap/acorn/1/deep/er/conf none bind,rw,x-snapd.kind=file,x-snapd.origin=layout 0 0')
        for name; do
            case $name in
            fruit) wishes+=('/snap/birch/1/export /snap/acorn/1/fruit none bind,ro 0 0') ;;
            seeds) wishes+=('/snap/birch/1/more /snap/acorn/1/new/seeds/more none bind,ro 0 0') ;;
            esac
        done
        desire \"${wishes[@]}\"
    }
    look='/snap/acorn/1 /snap/acorn/1/new/seeds /snap/acorn/1/deep/er/conf'
    serve
    ask $look > /dev/null
    wish fruit seeds
    refresh
    ask $look
    BETWEEN
    ask $look
    wish SECOND
    refresh
    ask $look
    wish
    refresh
    ask $look
    start /snap/acorn/1
    stop
";

/// The first start of a snap when the feature is on puts the machine's `/snap` on itself. That spreads into every
/// namespace, over all that lies below `/snap` there.
const SECOND_INSTANCE: &str = "
    touch /var/lib/snapd/features/parallel-instances
    install acorn_blue 1
    instance=acorn_blue
    desire '/snap/acorn_blue /snap/acorn none rbind,x-snapd.origin=overname 0 0' \\
        '/var/snap/acorn_blue /var/snap/acorn none rbind,x-snapd.origin=overname 0 0'
    start /snap/acorn/1
    instance=acorn
    wish fruit seeds
";

fn two_disconnects(between: &str, first: &str, second: &str) -> String {
    TWO_DISCONNECTS.replace("BETWEEN", between).replace("FIRST", first).replace("SECOND", second)
}

// The directory above content's place stays when that goes (L45), as long as the mimic that holds it.
#[test]
fn a_mimic_that_is_handed_over_keeps_directories_in_either_order() {
    for (first, second) in [("fruit", "seeds"), ("seeds", "fruit")] {
        scenario_of_ours(
            &two_disconnects(":", first, second),
            &["refresh: 0\nthe same process\n/snap/acorn/1: bin deep import lib meta new settings\n\
               /snap/acorn/1/new/seeds: *\n/snap/acorn/1/deep/er/conf: acorn data\n\
               uid 0\n/snap/acorn/1: bin deep import lib meta new settings\nstart: 0\n"],
        );
    }
}

// All that was covered is mounted anew by the next update, in a new mimic: but what that is to take away. So it depends on
// the order of two disconnects whether a directory is made once more for what the second takes away.
#[test]
fn what_a_second_instance_covers_is_mounted_anew_but_what_goes() {
    let covered = "start: 0\nthe same process\n/snap/acorn/1: bin import lib meta settings\n\
        /snap/acorn/1/new/seeds: nothing\n/snap/acorn/1/deep/er/conf: nothing\n";
    for (first, second, once, twice) in [
        ("seeds", "fruit", "deep fruit import lib meta settings\n/snap/acorn/1/new/seeds: nothing", ""),
        ("fruit", "seeds", "deep import lib meta new settings\n/snap/acorn/1/new/seeds: more", "new "),
    ] {
        let script = two_disconnects(SECOND_INSTANCE, first, second);
        let once = format!("{covered}refresh: 0\nthe same process\n/snap/acorn/1: bin {once}\n");
        let twice =
            format!("acorn data\nuid 0\n/snap/acorn/1: bin deep import lib meta {twice}settings\nstart: 0\n");
        scenario_of_ours(&script, &[&once, &twice]);
        // The original takes away what lies at its mimic's place: the snap itself, of what covers that (L25).
        if !impossible() {
            let theirs = live(World { first: Which::Original, ..World::CLASSIC }, &script);
            has("the original", &theirs, &[covered, "missing file /snap/acorn/1/meta/snap.yaml\nstart: 1\n"]);
        }
    }
}
