# SPDX-License-Identifier: GPL-3.0-only
# shellcheck shell=bash
# The snaps of the virtual machine, made by scripts/vm-test.
#   bash snaps.sh PLACE PACKAGE [PROGRAM]     PACKAGE: Debian's snapd, unpacked; PROGRAM: the snap-update-ns for a snapd
#                                             snap that takes over, which is made only then
set -eu
place=$1
package=$2
program=${3:-}
tree=$place/tree
programs=$(dirname "$0")/../confine

# Starts a snap: what is read is its meta/snap.yaml.
snap() {
    rm -rf "$tree"
    mkdir -p "$tree/meta"
    cat > "$tree/meta/snap.yaml"
}

# A file of it, with a text and without an end of line; a program if it begins like one.
file() {
    install -D -m 0755 /dev/stdin "$tree/$1"
}

directory() {
    local name
    for name; do mkdir -p "$tree/$name"; done
}

# Ends a snap.
pack() {
    mksquashfs "$tree" "$place/$1.snap" -quiet -no-progress -noappend -all-root -no-xattrs -comp gzip > /dev/null
    rm -r "$tree"
}

# --- a base: busybox, and the directories that snap-confine mounts on ---

for version in 1 2; do
    snap << YAML
name: core99
version: '$version'
type: base
summary: A base
description: busybox, and what the tests look at
YAML
    directory dev etc/alternatives etc/ssl home root proc sys tmp run snap media mnt lib/modules lib/firmware srv \
        usr/bin usr/lib/snapd usr/src usr/share/fonts usr/local/share/fonts usr/share/doc var/cache/fontconfig \
        usr/share/cups/doc-root usr/share/gtk-doc usr/share/libreoffice/help usr/share/xubuntu-docs \
        var/snap var/lib/snapd var/lib/extrausers var/tmp var/log bin
    install -m 0755 "$(command -v busybox)" "$tree/bin/busybox"
    # Hard links: the profiles of apps name the programs that may be run, and AppArmor follows symbolic links.
    for applet in cat id ls sh sleep; do ln "$tree/bin/busybox" "$tree/bin/$applet"; done
    file etc/nsswitch.conf <<< ''
    file opt/readme <<< "read me $version"
    file opt/spare/v <<< "spare $version"
    file srv/site/v <<< "site $version"
    file usr/share/doc/v <<< "doc of the base $version"
    pack "core99_$version"
done

# --- the provider ---

for version in 1 2; do
    snap << YAML
name: birch
version: '$version'
base: core99
summary: Provides content
description: Directories to read, and one to write
slots:
  fruit:
    interface: content
    content: fruit
    read: [\$SNAP/export]
  seeds:
    interface: content
    content: seeds
    source:
      read: [\$SNAP/more, \$SNAP/most]
  soil:
    interface: content
    content: soil
    write: [\$SNAP_COMMON/soil]
  grain:
    interface: content
    content: grain
    read: [\$SNAP/export]
YAML
    file export/v <<< "birch export $version"
    file more/v <<< "birch more $version"
    file most/v <<< "birch most $version"
    pack "birch_$version"
done

# --- the consumer ---

for version in 1 2; do
    snap << YAML
name: acorn
version: '$version'
base: core99
summary: Wants content, and has layouts
description: An app, a service, and what surrounds them
apps:
  look:
    command: bin/look
    plugs: [desktop, docs]
  serve:
    command: bin/serve
    daemon: simple
plugs:
  fruit:
    interface: content
    content: fruit
    target: \$SNAP/import
    default-provider: birch
  seeds:
    interface: content
    content: seeds
    target: \$SNAP/new/seeds
    default-provider: birch
  soil:
    interface: content
    content: soil
    target: \$SNAP_DATA/soil
    default-provider: birch
  grain:
    interface: content
    content: grain
    target: \$SNAP/barn
    default-provider: birch
  docs:
    interface: system-packages-doc
layout:
  /opt/acorn:
    bind: \$SNAP/lib
  /etc/acorn.conf:
    bind-file: \$SNAP/settings
  /usr/share/acorn:
    symlink: \$SNAP/lib
  /var/lib/acorn:
    bind: \$SNAP_COMMON/state
  /srv/site/acorn:
    type: tmpfs
    mode: 0755
  \$SNAP/deep/er/conf:
    bind-file: \$SNAP_DATA/conf
YAML
    # A layout more in the second version.
    [ $version = 1 ] || cat >> "$tree/meta/snap.yaml" << 'YAML'
  /opt/second:
    bind: $SNAP/lib
YAML
    file bin/look < "$programs/look"
    file bin/serve < "$programs/serve"
    file lib/v <<< "acorn lib $version"
    file settings <<< "acorn settings $version"
    file barn/v <<< "acorn barn $version"
    pack "acorn_$version"
done

# --- a snap whose layouts cannot all be made; in its second version they can ---

for version in 1 2; do
    snap << YAML
name: wilted
version: '$version'
base: core99
summary: Has a layout that fails
description: A directory in the place of a file
apps:
  look:
    command: bin/look
layout:
  /opt/fine:
    bind: \$SNAP/lib
YAML
    [ $version = 2 ] || cat >> "$tree/meta/snap.yaml" << 'YAML'
  /opt/readme:
    bind: $SNAP/lib
YAML
    file bin/look < "$programs/look"
    file lib/v <<< "wilted lib $version"
    pack "wilted_$version"
done

# --- snapd ---
# snapd wants its own snap to be there before it installs others. Version 1 is older than the machine's package, which so
# goes on working; the other is put together as it will be shipped, and takes over.

snapd() {
    snap << YAML
name: snapd
version: '$1'
type: snapd
summary: snapd
description: Debian's snapd
YAML
    cp -a "$package/etc" "$tree/"
    directory usr/lib/snapd
}

snapd 1
file usr/lib/snapd/info <<< 'VERSION=1'
pack snapd_1

[ -n "$program" ] || exit 0
snapd 2
cp -a "$package/lib" "$package/usr" "$tree/"
rm -r "${tree:?}/usr/share"
install -m 0755 "$program" "$tree/usr/lib/snapd/snap-update-ns"
pack snapd_2
