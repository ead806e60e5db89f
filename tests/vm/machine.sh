# SPDX-License-Identifier: GPL-3.0-only
# shellcheck shell=bash
# Runs in the virtual machine that scripts/vm-test starts, from its first boot on.
#   bash machine.sh early     before snapd: puts the tool into the original's place
#   bash machine.sh test      the scenario, when everything is up
# What is needed lies in /material: the snaps, the variant's name, and ours. What is found out goes into /results, and from
# there onto a disk that is read outside; each step's verdict is said on the console too.
set -u

material=/material
results=/results
variant=$(cat $material/variant)

# Where snapd's programs are; those of its snap take over.
# shellcheck disable=SC2034 # for the scenario
case $variant in
snap*) tools=/snap/snapd/x1/usr/lib/snapd ;;
*) tools=/usr/lib/snapd ;;
esac

# --- before snapd starts ---

if [ "$1" = early ]; then
    # What the desktop interface shows of the machine, if it is there.
    mkdir -p /usr/share/fonts/truetype /usr/local/share/fonts /var/cache/fontconfig
    case $variant in
    ours) mount --bind -o ro $material/snap-update-ns /usr/lib/snapd/snap-update-ns ;;
    esac
    exit
fi

# --- verbs ---

say() { echo "vm-test: $*" > /dev/console; }

number=0
passed=0
failed=0

# A step: its name, and shell commands that must all succeed. What they print, and the state after them, is kept.
step() {
    local name=$1 script status place
    script=$(cat)
    [ $number -lt "$(cat $material/steps)" ] || return 0
    number=$((number + 1))
    place=$(printf '%s/%02d' $results $number)
    echo "$name" > "$place.name"
    (
        set -eu
        eval "$script"
    ) > "$place.out" 2>&1
    status=$?
    state > "$place.state" 2>&1
    denials > $results/denials
    tar -c -C $results . | dd of=/dev/vdc bs=64k conv=fsync status=none
    if [ $status = 0 ]; then
        passed=$((passed + 1))
        say "$(printf '%4d s' $SECONDS) ok $number $name"
    else
        failed=$((failed + 1))
        say "$(printf '%4d s' $SECONDS) FAILED $number $name"
        sed 's/^/    /' "$place.out" > /dev/console
    fi
}

# After this step the state is not the original's, on purpose: by which row of docs/compatibility.md.
differs() { echo "$1" > "$place.differs"; }

# The commands' output must be that which is read.
expect() {
    local wanted seen
    wanted=$(cat)
    seen=$("$@" 2>&1) || seen="$seen
status $?"
    echo "$seen"
    [ "$seen" = "$wanted" ] || {
        echo "wanted was:"
        echo "$wanted"
        return 1
    }
}

# Asks snapd again where it has not answered in the two minutes that its client waits.
patiently() {
    local said=/tmp/said.$BASHPID status
    while true; do
        status=0
        "$@" > "$said" 2>&1 || status=$?
        grep -q 'timeout exceeded while waiting for response' "$said" || break
    done
    cat "$said"
    rm "$said"
    return $status
}

quietly() { "$@" 2> /dev/null; }

# Installs snaps: NAME_VERSION. What is there already is refreshed.
install() {
    local name files=()
    for name; do files+=("$material/$name.snap"); done
    patiently snap install --dangerous "${files[@]}"
}

as_user() { su --login user --command "XDG_RUNTIME_DIR=/run/user/1000 $*"; }

# Asks the service what it sees, which must be the very process that was there when it was last looked at.
ask() {
    local common=/var/snap/${instance:-acorn}/common
    # shellcheck disable=SC2016 # for the inner shell
    timeout 300 sh -c 'echo "$*" > "$0/ask"; cat "$0/answer"' "$common" "$@" |
        sed "s/^process $(cat /run/service)\$/the same process/"
}

# From now on this process of the service is meant.
look_at_service() {
    local common=/var/snap/${instance:-acorn}/common
    [ -p "$common/answer" ] || mkfifo "$common/ask" "$common/answer"
    systemctl show --property MainPID --value "snap.${instance:-acorn}.serve.service" > /run/service
}

# What is seen of the mounts of a preserved namespace, and how many lie there (tests/confine/mounts.awk); not the machine's
# own, nor what the host is seen by.
mounts() {
    nsenter --mount="/run/snapd/ns/$1.mnt" /bin/cat /proc/self/mountinfo | busybox awk -v seen=1 -f $material/mounts.awk \
        -v without='^/(dev/(hugepages|mqueue|pts)|proc|sys|run|material|var/lib/snapd/hostfs)(/|$)' | sort
}

# The state of everything that the tool has to do with.
state() {
    local name
    cd /run/snapd/ns || return 0
    for name in *.mnt; do
        [ -e "$name" ] || continue
        name=${name%.mnt}
        echo "namespace $name"
        mounts "$name"
    done
    for name in *.fstab; do
        [ ! -e "$name" ] || sort "$name" | sed "s/^/record $name /"
    done
    find /sys/fs/cgroup -path '*snap.*' -name cgroup.freeze -exec grep -H 1 {} +
    find /tmp -maxdepth 1 ! -path '/tmp/systemd-private-*' -printf 'tmp %f %m %U\n' | sort
}

# The denials since the machine was started, without what differs between two of the same.
denials() {
    journalctl --boot --output cat _TRANSPORT=kernel | grep 'apparmor="DENIED"' |
        sed -E 's/.*(apparmor=.*)/\1/; s/ (pid|peer_pid)=[0-9]+//g; s,/proc/[0-9]+/,/proc/PID/,' | sort | uniq -c | sed -E 's/^ *[0-9]+ //'
}

finish() {
    snap changes > $results/changes 2>&1
    journalctl --boot --no-hostname > $results/journal 2>&1
    tar -c -C $results . | dd of=/dev/vdc bs=64k conv=fsync status=none
    say "$passed passed, $failed failed"
    systemctl poweroff --force --force # nobody has to be waited for
}

# shellcheck source=tests/vm/scenario.sh
. $material/scenario.sh
finish
