# SPDX-License-Identifier: GPL-3.0-only
# shellcheck shell=bash
# What happens in the virtual machine, step by step: read by machine.sh.

step "snapd, a base, a provider and a consumer are installed" << 'DO'
    case $variant in
    snap*)
        install snapd_2
        until readlink /proc/"$(systemctl show --property MainPID --value snapd)"/exe | grep "^$tools/snapd"; do sleep 1; done
        ;;
    *) install snapd_1 ;;
    esac
    cmp $tools/snap-update-ns $material/snap-update-ns
    install core99_1 birch_1 acorn_1
    snap list
    # The service begins in its own time.
    until nsenter --mount=/run/snapd/ns/acorn.mnt /bin/cat /snap/acorn/current/lib/v; do sleep 1; done
DO
# shellcheck disable=SC2154 # counted by machine.sh
[ "$failed" = 0 ] || finish # nothing of what follows makes sense without

step "the tool has a profile of its own, in force, and a denial is seen" << 'DO'
    grep '^snap-update-ns.acorn (enforce)$' /sys/kernel/security/apparmor/profiles
    grep 'snap-confine.* (enforce)$' /sys/kernel/security/apparmor/profiles
    ! aa-exec -p snap-update-ns.acorn -- /bin/cat /etc/passwd
    denials | grep snap-update-ns.acorn
DO

step "layouts, as the service sees them" << 'DO'
    look_at_service
    expect ask /opt/acorn/v /etc/acorn.conf /usr/share/acorn/v /opt/second/v << 'SEEN'
the same process
/opt/acorn/v: acorn lib 1
/etc/acorn.conf: acorn settings 1
/usr/share/acorn/v: acorn lib 1
/opt/second/v: nothing
SEEN
DO

step "content is connected while the service runs" << 'DO'
    for plug in fruit seeds; do patiently snap connect acorn:$plug birch:$plug; done
    expect ask /snap/acorn/current/import/v /snap/acorn/current/new/seeds /snap/acorn/current/new/seeds/more/v << 'SEEN'
the same process
/snap/acorn/current/import/v: birch export 1
/snap/acorn/current/new/seeds: more most
/snap/acorn/current/new/seeds/more/v: birch more 1
SEEN
DO

step "the provider is refreshed while the service runs" << 'DO'
    install birch_2
    expect ask /snap/acorn/current/import/v /snap/acorn/current/new/seeds/more/v << 'SEEN'
the same process
/snap/acorn/current/import/v: birch export 2
/snap/acorn/current/new/seeds/more/v: birch more 2
SEEN
DO

step "content is disconnected while the service runs" << 'DO'
    patiently snap disconnect acorn:seeds
    expect ask /snap/acorn/current/import/v /snap/acorn/current/new/seeds/more/v /opt/acorn/v << 'SEEN'
the same process
/snap/acorn/current/import/v: birch export 2
/snap/acorn/current/new/seeds/more/v: nothing
/opt/acorn/v: acorn lib 1
SEEN
DO

# Over a directory that a mimic holds already the original mounts nothing (L5).
step "content comes and goes over a directory of the snap's own" << 'DO'
    case $variant in
    *original) seen='acorn barn 1' ;;
    *) seen='birch export 2' ;;
    esac
    patiently snap connect acorn:grain birch:grain
    expect ask /snap/acorn/current/barn/v << SEEN
the same process
/snap/acorn/current/barn/v: $seen
SEEN
    patiently snap disconnect acorn:grain
    expect ask /snap/acorn/current/barn/v << 'SEEN'
the same process
/snap/acorn/current/barn/v: acorn barn 1
SEEN
DO

step "an ordinary user runs the app, and has his own view of the documents' portal" << 'DO'
    su --login user --command 'mkdir -p /run/user/1000/doc/by-app/snap.acorn && echo mine > /run/user/1000/doc/by-app/snap.acorn/v && sleep infinity' &
    until [ -e /run/user/1000/doc/by-app/snap.acorn/v ]; do sleep 0.2; done
    cat /var/lib/snapd/mount/snap.acorn.user-fstab
    expect as_user snap run acorn.look /opt/acorn/v /snap/acorn/current/import/v /run/user/1000/doc << 'SEEN'
uid 1000
/opt/acorn/v: acorn lib 1
/snap/acorn/current/import/v: birch export 2
/run/user/1000/doc: v
SEEN
DO

step "the namespace is built from nothing, by two starts at once" << 'DO'
    patiently snap stop acorn
    $tools/snap-discard-ns acorn
    test ! -e /run/snapd/ns/acorn.mnt
    # In a namespace with a mimic over it the original would not mount this (L5).
    patiently snap connect acorn:docs
    as_user snap run acorn.look /opt/acorn/v > /tmp/other 2>&1 &
    # It is said of the machine's documents that are not there.
    expect quietly snap run acorn.look /opt/acorn/v /snap/acorn/current/import/v << 'SEEN'
uid 0
/opt/acorn/v: acorn lib 1
/snap/acorn/current/import/v: birch export 2
SEEN
    wait $!
    rm /tmp/other
DO

step "the consumer is refreshed" << 'DO'
    patiently snap connect acorn:seeds birch:seeds
    patiently snap connect acorn:soil birch:soil
    install acorn_2
    patiently snap start acorn
    look_at_service
    expect ask /opt/acorn/v /opt/second/v /etc/acorn.conf /snap/acorn/current/import/v /snap/acorn/current/new/seeds << 'SEEN'
the same process
/opt/acorn/v: acorn lib 2
/opt/second/v: acorn lib 2
/etc/acorn.conf: acorn settings 2
/snap/acorn/current/import/v: birch export 2
/snap/acorn/current/new/seeds: more most
SEEN
DO

step "the base is refreshed, and the consumer goes back" << 'DO'
    install core99_2
    patiently snap revert acorn
    look_at_service
    expect snap run acorn.look /opt/acorn/v << 'SEEN'
uid 0
/opt/acorn/v: acorn lib 1
SEEN
    # No app may read this one.
    expect nsenter --mount=/run/snapd/ns/acorn.mnt /bin/cat /opt/readme <<< 'read me 2'
DO

step "a second instance of the consumer" << 'DO'
    patiently snap set system experimental.parallel-instances=true
    patiently snap install --dangerous --name acorn_two $material/acorn_1.snap
    # An update for a namespace that its service is still building finds none; what is connected meanwhile would be missing.
    until nsenter --mount=/run/snapd/ns/acorn_two.mnt /bin/cat /snap/acorn/current/lib/v; do sleep 1; done
    patiently snap connect acorn_two:fruit birch:fruit
    expect snap run acorn_two.look /opt/acorn/v /snap/acorn/current/import/v << 'SEEN'
uid 0
/opt/acorn/v: acorn lib 1
/snap/acorn/current/import/v: birch export 2
SEEN
    # For the first second instance of any snap, snap-confine has put the machine's /snap on itself; and so over all that
    # lies below /snap in each namespace, until the next update of that.
    expect ask /opt/acorn/v /snap/acorn/current/import/v << 'SEEN'
the same process
/opt/acorn/v: acorn lib 1
/snap/acorn/current/import/v: nothing
SEEN
DO

step "a snap whose layout cannot be made is installed, and does not start" << 'DO'
    install wilted_1
    ! snap run wilted.look /opt/fine/v
    test ! -e /run/snapd/ns/wilted.mnt
DO

# What the start that failed has left on record went with its namespace.
step "its layout is put right, and it starts" << 'DO'
    install wilted_2
    expect snap run wilted.look /opt/fine/v << 'SEEN'
uid 0
/opt/fine/v: wilted lib 2
SEEN
DO

# What the second instance has covered is mounted anew by ours. The original unmounts what lies where its mimic lay, which is
# the snap itself.
step "the provider is removed" << 'DO'
    differs L25
    # snapd would disconnect in an order of its own, another one each time. A directory that is made anew for the seeds would
    # stay when they go (L45); so they go first, and none is made.
    patiently snap disconnect acorn:seeds
    case $variant in
    *original) ;;
    *)
        expect ask /snap/acorn/current/import/v /snap/acorn/current/new << 'SEEN'
the same process
/snap/acorn/current/import/v: birch export 2
/snap/acorn/current/new: nothing
SEEN
        ;;
    esac
    patiently snap remove --purge birch
    case $variant in
    *original)
        ! snap run acorn.look /opt/acorn/v
        # By now its record may be the wrong way round (L1), and the snap could not be removed.
        $tools/snap-discard-ns acorn
        ;;
    *)
        expect snap run acorn.look /opt/acorn/v /snap/acorn/current << 'SEEN'
uid 0
/opt/acorn/v: acorn lib 1
/snap/acorn/current: barn bin deep lib meta settings
SEEN
        ;;
    esac
DO

step "all are removed" << 'DO'
    patiently snap remove --purge acorn_two
    patiently snap remove --purge acorn
    patiently snap remove --purge wilted
    ls /run/snapd/ns
    ! ls /run/snapd/ns/*.mnt
DO

step "no change has failed" << 'DO'
    snap changes
    # The machine asks a server for its serial number, for ever.
    ! snap changes | grep -E '^[0-9]' | grep -v 'Initialize device$' | grep -v ' Done '
DO
