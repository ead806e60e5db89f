# SPDX-License-Identifier: GPL-3.0-only
# shellcheck shell=bash
# A machine with snapd's C part and two snaps, for one scenario: the real snap-confine, snap-discard-ns and snap-exec
# of Debian's package, and a snap-update-ns beside them. Run by bash in a mount namespace of its own; it runs itself a
# second time as process 1 of a PID and a cgroup namespace, and a third time in a container.
#
#   unshare --mount --propagation private bash world.sh < SCENARIO
#
#   PLACE      an empty directory to mount on; the images of the snaps, NAME_REVISION.squashfs, lie beside it
#   PACKAGE    the unpacked package
#   OURS       the one snap-update-ns, and
#   THEIRS     the other
#   FIRST      which of them is put into place: ours or theirs
#   CGROUPS    the version of control groups, 1 or 2
#   SHAPE      what the machine is: classic, a version of Ubuntu Core (core16, core18 and so on), or container
#   PREPARE    shell commands that come before a container is entered
#   SCENARIO   shell commands, with the verbs below
#
# What the scenario prints is what is compared.
set -eu
unset TERM # it has the original date its warnings

groups=/sys/fs/cgroup

# --- the first time: control groups ---

# A group that is the root of the scenario's own view, so that groups of snaps are made below it.
if [ $# = 0 ]; then
    umount --recursive --lazy "$groups"
    mount -t tmpfs -o mode=0755 cgroups "$groups"
    case $CGROUPS in
    1) mkdir "$groups/freezer" && mount -t cgroup -o freezer freezer "$groups/freezer" && tree=$groups/freezer ;;
    2) mount -t cgroup2 cgroup2 "$groups" && tree=$groups ;;
    esac
    group=$tree/bench-$$
    mkdir "$group"
    echo $$ > "$group/cgroup.procs"
    status=0
    SCENARIO=$(cat)
    MOUNTS=$(cat "$(dirname "$0")/mounts.awk")
    export SCENARIO MOUNTS
    unshare --mount --pid --cgroup --fork --kill-child --propagation private bash "$0" inside || status=$?
    echo $$ > "$tree/cgroup.procs"
    # A process that was killed leaves its group a little later.
    for _ in $(seq 100); do
        rmdir "$group"/*/ "$group" 2>/dev/null || :
        [ -d "$group" ] || break
        sleep 0.02
    done
    exit $status
fi

# --- the verbs of scenarios ---

# Where snapd's programs are.
case $SHAPE in
core16 | classic | container) snapd=/usr/lib/snapd ;;
*) snapd=/snap/snapd/current/usr/lib/snapd ;;
esac

# Which snap-update-ns is in place from now on: ours or theirs. Replaced as a package manager does it, or with the snap
# that brings all of snapd.
by() {
    local programs=$snapd revision
    [ $snapd = /usr/lib/snapd ] || programs=/writable/snapd/usr/lib/snapd
    cp "$programs/$1" $programs/snap-update-ns.new
    chmod 0755 $programs/snap-update-ns.new
    mv $programs/snap-update-ns.new $programs/snap-update-ns
    if [ $programs != $snapd ]; then
        revision=$(($(readlink /snap/snapd/current || echo 0) + 1))
        mksquashfs /writable/snapd "/writable/snapd_$revision" -quiet -no-progress -noI -noD -noF -noX > /dev/null
        mkdir -p "/snap/snapd/$revision"
        mount -t squashfs -o ro,loop "/writable/snapd_$revision" "/snap/snapd/$revision"
        ln -sfn "$revision" /snap/snapd/current
    fi
}

# A revision of a snap is installed and made the current one: INSTANCE REVISION.
install() {
    local instance=$1 revision=$2 name=${1%_*}
    mkdir -p "/snap/$instance/$revision" "/snap/$name" "/var/snap/$instance/common/data" "/var/snap/$name"
    mountpoint -q "/snap/$instance/$revision" ||
        mount -t squashfs -o ro,loop "/images/${name}_$revision.squashfs" "/snap/$instance/$revision"
    ln -sfn "$revision" "/snap/$instance/current"
    : > "/var/lib/snapd/snaps/${instance}_$revision.snap"
    echo "$instance data" > "/var/snap/$instance/common/data/v"
    for app in look serve; do echo @unrestricted > "/var/lib/snapd/seccomp/bpf/snap.$instance.$app.bin"; done
}

# Of which instance the other verbs speak.
instance=acorn

# snapd writes the desired profile: one argument a line.
desire() { printf '%s\n' "$@" > "/var/lib/snapd/mount/snap.$instance.fstab"; }

# The same for per-user mounts.
desire_by_user() { printf '%s\n' "$@" > "/var/lib/snapd/mount/snap.$instance.user-fstab"; }

# What is said, without the places in a program's source that some warnings begin with, and without the reasons that
# versions word in their own way.
plain() {
    sed -E 's/^[a-z_]+\.go:[0-9]+: //; s/(cannot change mount namespace according to change .*\)): .*/\1/
        s/(cannot load .* mount profile of snap "[a-z_]+"): .*/\1/'
}

# Starts the app as root; it shows the files and directories that are named.
start() { confined "" look "$@"; }

# Starts the app as an ordinary user.
start_as_user() { confined "setpriv --reuid 1000 --regid 1000 --clear-groups" look "$@"; }

confined() {
    local status=0 said=/tmp/said.$BASHPID
    (enter "$@") > "$said" 2>&1 || status=$?
    plain < "$said"
    echo "start: $status"
    clear_groups
}

# With the second version, systemd removes the group of an app that has ended.
clear_groups() { [ "$CGROUPS" = 1 ] || rmdir $groups/snap.*.scope 2>/dev/null || :; }

# Becomes an app: what to start snap-confine with, the app, its arguments.
enter() {
    local how=$1 app=$2 name=${instance%_*} key=
    case $instance in *_*) key=${instance#*_} ;; esac
    shift 2
    # With the second version it is snapd that moves an app into a group, asking systemd; with the first, snap-confine.
    if [ "$CGROUPS" = 2 ]; then
        mkdir -p "$groups/snap.$instance.$app.$BASHPID.scope"
        echo $BASHPID > "$groups/snap.$instance.$app.$BASHPID.scope/cgroup.procs"
    fi
    # shellcheck disable=SC2086 # the first argument is a command in words
    exec env -i PATH=/usr/bin:/bin HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000 SNAP="/snap/$name/current" \
        SNAP_NAME="$name" SNAP_INSTANCE_NAME="$instance" SNAP_INSTANCE_KEY="$key" \
        SNAP_REVISION="$(readlink "/snap/$instance/current")" SNAP_REAL_HOME=/home/user \
        $how "$(realpath $snapd)/snap-confine" --base "${base:-core99}" "snap.$instance.$app" /usr/lib/snapd/snap-exec \
        "$instance.$app" "$@"
}

# Starts the service. It reads names from one fifo and shows in the other what it sees there, in one process.
serve() {
    local common=/var/snap/$instance/common
    rm -f "$common/ask" "$common/answer"
    mkfifo "$common/ask" "$common/answer"
    (enter "" serve "$common") > /tmp/service 2>&1 &
    service=$!
}

# Asks the service, which must be the very process that was started.
ask() {
    local common=/var/snap/$instance/common
    # shellcheck disable=SC2016 # for the inner shell
    timeout 20 sh -c 'echo "$*" > "$0/ask"; cat "$0/answer"' "$common" "$@" > /tmp/answer || cat /tmp/service
    sed "s/^process $service\$/the same process/" /tmp/answer
}

# Stops the service.
stop() {
    kill "$service"
    wait "$service" || :
    clear_groups
}

# snapd runs the tool on a living namespace.
refresh() {
    local status=0
    $snapd/snap-update-ns "$instance" > /tmp/said 2>&1 || status=$?
    plain < /tmp/said
    echo "refresh: $status"
}

# snapd throws the namespace away.
discard() {
    local status=0
    $snapd/snap-discard-ns "$instance" || status=$?
    echo "discard: $status"
}

# What the preserved namespace shows.
inside() { nsenter --mount="/run/snapd/ns/$instance.mnt" /bin/sh "/snap/$instance/current/bin/look" "$@"; }

# The record, in any order.
record() { [ ! -e "/run/snapd/ns/snap.$instance.fstab" ] || sort "/run/snapd/ns/snap.$instance.fstab"; }

# The mounts of the preserved namespace (mounts.awk); not those of the machine's own file systems of names (/dev, /proc,
# /sys), nor what the host is seen by.
mounts() {
    [ -e "/run/snapd/ns/$instance.mnt" ] || return 0
    nsenter --mount="/run/snapd/ns/$instance.mnt" /bin/cat /proc/self/mountinfo |
        busybox awk -v without='^/(dev|images|proc|sys|var/lib/snapd/hostfs)(/|$)' "$MOUNTS" | sort
}

# The whole state: mounts, record, and which namespaces there are.
state() {
    mounts
    record | sed 's/^/record /'
    find /run/snapd/ns -name '*.mnt' -printf 'namespace %f\n' | sort
    # Groups of snaps, and whether anybody in them was left frozen.
    case $CGROUPS in
    1) grep -H . "$groups"/freezer/snap.*/freezer.state 2>/dev/null | sed 's/.*snap/group snap/' ;;
    2) grep -H . "$groups"/snap.*/cgroup.freeze 2>/dev/null | sed -E 's/.*(snap.*)\.[0-9]+\.scope/group \1/' ;;
    esac || :
}

# Waits until a command succeeds.
until_so() {
    for _ in $(seq 500); do
        "$@" && return
        sleep 0.02
    done
    echo "in vain: $*"
}

# The third time: in the container. It has its own view of processes, and nothing of the machine's to mount.
enter_container() {
    mkfifo /run/entrance
    unshare --user --mount --pid --net --fork --kill-child --propagation unchanged \
        bash -c 'read -r _ < /run/entrance && exec bash /world.sh contained' &
    local init=$!
    until_so not_in_my_user_namespace $init
    echo '0 0 65536' > /proc/$init/uid_map
    echo '0 0 65536' > /proc/$init/gid_map
    echo enter > /run/entrance
    wait $init
}

not_in_my_user_namespace() { [ "$(readlink "/proc/$1/ns/user")" != "$(readlink /proc/self/ns/user)" ]; }

if [ "$1" = contained ]; then
    # A container mounts these itself; what it inherited it could not take away again.
    mount -t proc proc /proc
    mkdir /run/cgroups
    mount --rbind "$groups" /run/cgroups
    mount -t sysfs sysfs /sys
    mount --move /run/cgroups "$groups"
    mount -t tmpfs -o mode=0755 devices /run/cgroups
    for name in full null random tty urandom zero; do
        : > /run/cgroups/$name
        mount --bind /dev/$name /run/cgroups/$name
    done
    mkdir /run/cgroups/pts /run/cgroups/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts /run/cgroups/pts
    ln -s pts/ptmx /run/cgroups/ptmx
    mount --move /run/cgroups /dev
    eval "$SCENARIO"
    exit
fi

# --- the second time: the machine ---

case $CGROUPS in
1) umount "$groups/freezer" && mount -t cgroup -o freezer freezer "$groups/freezer" ;;
2) umount "$groups" && mount -t cgroup2 cgroup2 "$groups" ;;
esac

images=$(dirname "$PLACE")
mount -t tmpfs -o mode=0755 world "$PLACE"
cp "$0" "$PLACE/world.sh"
cd "$PLACE"

# Fills a directory with what is not a program.
furnish() {
    mkdir -p etc/alternatives etc/ssl home/user media mnt opt root snap srv var/lib/snapd/features \
        var/lib/snapd/hostfs var/lib/snapd/mount var/lib/snapd/seccomp/bpf var/lib/snapd/snaps var/log var/snap var/tmp
    chmod 01777 var/tmp
    chown 1000:1000 home/user
    cp /etc/passwd /etc/group /etc/os-release /etc/nsswitch.conf etc/
    echo 'host hosts' > etc/hosts
}

# Fills a directory with snapd's programs: snap-confine opens its tools in its own directory.
programs() {
    mkdir -p "$1"
    local name
    for name in snap-confine snap-discard-ns snap-exec info; do cp -a "$PACKAGE/usr/lib/snapd/$name" "$1"; done
    cp "$OURS" "$1/ours"
    cp "$THEIRS" "$1/theirs"
    chown -R 0:0 "$1"
    chmod 04755 "$1/snap-confine"
}

# The machine's programs, and snapd's among them.
machine_with_snapd() {
    mkdir -p "$PLACE/upper/files" "$PLACE/upper/work"
    mount -t overlay -o "lowerdir=/usr,upperdir=$PLACE/upper/files,workdir=$PLACE/upper/work" overlay usr
    programs usr/lib/snapd
}

case $SHAPE in
classic | container)
    furnish
    mkdir -p dev images proc run sys tmp usr
    for name in bin lib lib64 sbin; do ln -s "usr/$name" "$name"; done
    chmod 01777 tmp
    machine_with_snapd
    mount -t tmpfs -o mode=0755 run run
    ;;
# Ubuntu Core: the root is the boot base, which nobody can write to. What can be written to lies in /writable, and each
# piece of it is bound to its place, some of /etc file by file.
core*)
    mkdir -p data/system-data data/user-data root
    mv world.sh data/
    mount -t squashfs -o ro,loop "$images/core_1.squashfs" root
    cd data/system-data
    furnish
    mkdir -p etc/modprobe.d etc/ssh etc/systemd/system etc/udev/rules.d var/lib/extrausers
    echo 'a unit' > etc/systemd/system/unit
    echo core > etc/hostname
    printf 'NAME="Ubuntu Core"\nID=ubuntu-core\nVERSION_ID="%s"\n' "${SHAPE#core}" > etc/os-release
    cd ../../root
    mount -t tmpfs -o mode=0755 run run
    case $SHAPE in
    core16 | core18) mount --bind ../data writable ;;
    # From 20 on the partitions are mounted in /run/mnt.
    *)
        mkdir -p run/mnt/data run/mnt/ubuntu-seed
        mount --bind ../data run/mnt/data
        mount -t tmpfs seed run/mnt/ubuntu-seed
        mount --bind run/mnt/data writable
        ;;
    esac
    for name in etc/hostname etc/hosts etc/modprobe.d etc/os-release etc/ssh etc/systemd etc/udev/rules.d home media mnt \
        root snap var/lib/extrausers var/lib/snapd var/log var/snap var/tmp; do
        mount --bind "writable/system-data/$name" "$name"
    done
    case $SHAPE in
    core16) machine_with_snapd ;;
    *) mount --bind -o ro /usr usr && programs ../data/snapd/usr/lib/snapd ;;
    esac
    mount -t tmpfs -o mode=01777 tmp tmp
    ;;
esac
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
mkdir -p run/snapd/lock run/snapd/ns run/user/1000
chown 1000:1000 run/user/1000
mount --bind -o ro "$images" images
pivot_root . mnt
cd /
umount -l /mnt
mount --make-rshared /

by "$FIRST"
install core99 1
install acorn 1
install birch 1
case $SHAPE in
core16) install core 1 ;;
container)
    eval "$PREPARE"
    enter_container
    exit
    ;;
esac
eval "$SCENARIO"
