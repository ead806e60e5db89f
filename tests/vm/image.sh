# SPDX-License-Identifier: GPL-3.0-only
# shellcheck shell=bash
# Turns a Debian into the virtual machine: an ordinary user, the scenario's two services, and nothing that a test waits for
# in vain.
#   bash image.sh ROOT
set -eu
cd "$1"
chroot . useradd --create-home --shell /bin/bash --uid 1000 user
echo machine > etc/hostname
printf '%s\n' '/dev/vda / ext4 defaults 0 0' '/dev/vdb /material squashfs ro 0 0' > etc/fstab
mkdir material results
printf '%s\n' loop squashfs > etc/modules-load.d/snaps.conf
# An emulated processor is slow.
mkdir -p etc/systemd/system.conf.d
printf '[Manager]\nDefaultTimeoutStartSec=600\nDefaultTimeoutStopSec=600\n' > etc/systemd/system.conf.d/slow.conf
mkdir -p etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nAudit=no\nRuntimeMaxUse=200M\n' > etc/systemd/journald.conf.d/all.conf
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    e2scrub_reap.service getty@tty1.service serial-getty@ttyS0.service systemd-pstore.service systemd-tmpfiles-clean.timer \
    snapd.recovery-chooser-trigger.service systemd-timedated.service systemd-update-utmp.service \
    systemd-journal-flush.service getty.target remote-fs.target systemd-machine-id-commit.service; do
    ln -sfn /dev/null "etc/systemd/system/$unit"
done
# Each time that snapd writes a unit, all generators run, and each time that it writes rules, all devices are asked anew.
mkdir -p etc/systemd/system-generators
for generator in lib/systemd/system-generators/*; do
    case $generator in
    */systemd-fstab-generator | */snapd-generator) ;;
    *) ln -s /dev/null "etc/systemd/system-generators/${generator##*/}" ;;
    esac
done
find lib/udev/rules.d ! -name '50-udev-default.rules' ! -name '99-systemd.rules' -name '*.rules' -delete
rm -f etc/resolv.conf etc/apparmor.d/lsb_release etc/apparmor.d/nvidia_modprobe
cat > etc/systemd/system/test-early.service << 'UNIT'
[Unit]
DefaultDependencies=no
RequiresMountsFor=/material
Before=sysinit.target snapd.apparmor.service snapd.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash /material/machine.sh early
[Install]
WantedBy=sysinit.target
UNIT
cat > etc/systemd/system/test.service << 'UNIT'
[Unit]
After=snapd.service dbus.service systemd-logind.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/bash /material/machine.sh test
[Install]
WantedBy=multi-user.target
UNIT
chroot . systemctl --quiet enable test-early.service test.service
rm -rf var/lib/apt/lists/* var/cache/apt/*
