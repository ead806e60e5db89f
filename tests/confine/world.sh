# SPDX-License-Identifier: GPL-3.0-only
# A machine with snapd's C part and two snaps, for one scenario: the real snap-confine, snap-discard-ns and snap-exec
# of Debian's package, and the snap-update-ns that is given. Run by bash as process 1 of its own mount, PID and cgroup
# namespaces:
#
#   unshare --mount --pid --cgroup --fork --propagation private bash world.sh PLACE ORIGINAL TOOL < SCENARIO
#
#   PLACE      an empty directory to mount on; core99.squashfs and acorn.squashfs, birch.squashfs lie beside it
#   ORIGINAL   the unpacked package
#   TOOL       the snap-update-ns to put into place
#   SCENARIO   shell commands, with the verbs at the end of this file
#
# What the scenario prints is what is compared.
set -eu
place=$1 original=$2 tool=$3
scenario=$(cat)

# snap-confine puts processes of the snap into freezer groups. They shall be groups of a tree of our own.
freezer=/sys/fs/cgroup/freezer
umount -l "$freezer"
mount -t cgroup -o freezer freezer "$freezer"

mount -t tmpfs -o mode=0755 world "$place"
images=$(dirname "$place")
cd "$place"
mkdir -p dev etc/alternatives etc/ssl home/user media mnt opt proc root run snap/core99/1 snap/acorn/1 snap/birch/1 \
    srv sys tmp usr var/lib/snapd/hostfs var/lib/snapd/mount var/lib/snapd/seccomp/bpf var/lib/snapd/snaps \
    var/log var/snap/acorn/common/data var/tmp upper/files upper/work
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$name"; done
chmod 01777 tmp var/tmp
chown 1000:1000 home/user
cp /etc/passwd /etc/group /etc/os-release /etc/nsswitch.conf etc/
echo 'common data' > var/snap/acorn/common/data/v
echo 'host hosts' > etc/hosts

# The machine's programs, and snapd's beside each other: snap-confine opens its tools in its own directory.
mount -t overlay -o lowerdir=/usr,upperdir=upper/files,workdir=upper/work overlay usr
mkdir -p usr/lib/snapd
for name in snap-confine snap-discard-ns snap-exec info; do cp -a "$original/usr/lib/snapd/$name" usr/lib/snapd/; done
cp "$tool" usr/lib/snapd/snap-update-ns
chmod 0755 usr/lib/snapd/snap-update-ns
chown -R 0:0 usr/lib/snapd
chmod 04755 usr/lib/snapd/snap-confine

mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
mount -t tmpfs -o mode=0755 run run
mkdir -p run/snapd/lock run/snapd/ns run/user/1000
chown 1000:1000 run/user/1000
for snap in core99 acorn birch; do
    mount -t squashfs -o ro,loop "$images/$snap.squashfs" "snap/$snap/1"
    ln -s 1 "snap/$snap/current"
    : > "var/lib/snapd/snaps/${snap}_1.snap"
done
echo @unrestricted > var/lib/snapd/seccomp/bpf/snap.acorn.look.bin
pivot_root . mnt
cd /
umount -l /mnt

# --- verbs of scenarios ---

# snapd writes the desired profile: one argument a line.
desire() { printf '%s\n' "$@" > /var/lib/snapd/mount/snap.acorn.fstab; }

# The same for per-user mounts.
desire_by_user() { printf '%s\n' "$@" > /var/lib/snapd/mount/snap.acorn.user-fstab; }

# Starts the app as root; it shows the files and directories that are named.
start() { confined "" "$@"; }

# Starts the app as an ordinary user.
start_as_user() { confined "setpriv --reuid 1000 --regid 1000 --clear-groups" "$@"; }

confined() {
    local how=$1 status=0
    shift
    # shellcheck disable=SC2086 # the first argument is a command in words
    env -i PATH=/usr/bin:/bin HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000 SNAP=/snap/acorn/1 SNAP_NAME=acorn \
        SNAP_INSTANCE_NAME=acorn SNAP_REVISION=1 SNAP_REAL_HOME=/home/user \
        $how /usr/lib/snapd/snap-confine --base core99 snap.acorn.look /usr/lib/snapd/snap-exec acorn.look "$@" \
        2>&1 || status=$?
    echo "start: $status"
}

# snapd runs the tool on a living namespace.
refresh() {
    local status=0
    /usr/lib/snapd/snap-update-ns acorn || status=$?
    echo "refresh: $status"
}

# snapd throws the namespace away.
discard() {
    local status=0
    /usr/lib/snapd/snap-discard-ns acorn || status=$?
    echo "discard: $status"
}

# What the preserved namespace shows.
inside() { nsenter --mount=/run/snapd/ns/acorn.mnt /bin/sh /snap/acorn/1/bin/look "$@"; }

# The record, in any order.
record() { sort /run/snapd/ns/snap.acorn.fstab; }

# The mount points below a path, in the preserved namespace.
mounts() { nsenter --mount=/run/snapd/ns/acorn.mnt /bin/cat /proc/self/mountinfo | cut -d' ' -f5 | grep "^$1" | sort || :; }

eval "$scenario"
