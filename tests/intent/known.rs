// SPDX-License-Identifier: GPL-3.0-only
//! Sequences that went wrong once, made as small as they go wrong. Their seeds would not do: with a change of the
//! generator these mean other sequences.

use crate::sequence::{Disturb, Edit, Entry, Sequence, Step};

/// A line for each entry, and an empty one between two steps; a word alone is what happens before.
const KNOWN: &[(&str, &str)] = &[
    (
        "a mimic that is needed beneath a layout which goes for a moment changes the source of what stays",
        "/opt/depot/inner /opt/new/new none bind
         tmpfs /opt/depot/inner tmpfs mode=0755,x-snapd.origin=layout

         /var/snap/acorn/common/conf /opt/depot/inner/new none bind,x-snapd.kind=file
         /opt/depot/inner /opt/new/new none bind
         tmpfs /opt/depot/inner tmpfs mode=0755,x-snapd.origin=layout",
    ),
    (
        "the same, where the target is there in a layout that goes",
        "/opt/depot/inner /opt/new/new none bind
         /snap/birch/1/export /opt/depot/inner/new none bind,x-snapd.origin=layout
         tmpfs /opt/depot/inner tmpfs mode=0755,x-snapd.origin=layout

         /var/snap/acorn/common/conf /opt/depot/inner/new none bind,x-snapd.kind=file
         /opt/depot/inner /opt/new/new none bind",
    ),
    (
        "the same, where what needs the mimic waits for its source",
        "tmpfs /srv/site tmpfs mode=0755,x-snapd.origin=layout
         /srv/site /opt/new/deep none bind

         tmpfs /srv/site tmpfs mode=0755,x-snapd.origin=layout
         /srv/site /opt/new/deep none bind
         /usr/share/fonts/new/wide /srv/site/new none bind
         /var/snap/birch/common/shared /usr/share/fonts/new/wide none bind",
    ),
    (
        "a recursive bind that becomes a plain one shows what is mounted below its source no more",
        "/opt/depot /snap/acorn/1/import/new2 none rbind
         /var/snap/acorn/common/tree /opt/depot none rbind

         /opt/depot /snap/acorn/1/import/new2 none bind
         /var/snap/acorn/common/tree /opt/depot none rbind",
    ),
    (
        "a mimic over an entry's directory is known as such beneath a layout that covers both",
        "tmpfs /opt/depot/inner/new tmpfs mode=0755
         /snap/acorn/1/data /opt/depot none bind,x-snapd.origin=layout
         /usr/share/doc /opt/depot/inner none bind",
    ),
    (
        "what lies beneath an entry that a mimic hides is taken away after both",
        "/var/snap/acorn/common/b /etc/foo.d none bind,x-snapd.origin=layout
         /etc/foo.d/new /opt/spare/new none bind,x-snapd.origin=layout
         tmpfs /etc/foo.d/new tmpfs mode=0755",
    ),
    (
        "a mimic beneath an entry that another mimic hides is not taken for gone",
        "/usr/share/doc /opt/depot/inner/new none bind
         /new /opt/depot none bind,ro,x-snapd.origin=layout
         /var/snap/acorn/common/c /opt/depot/inner none bind,x-snapd.origin=layout",
    ),
    (
        "what lies beneath that mimic is taken away after it",
        "/var/snap/birch/common/shared /opt/depot none bind
         /usr/share/doc /opt/depot/inner none bind,x-snapd.origin=overname
         /var/snap/birch/common/shared /opt/depot/inner/new none bind,x-snapd.origin=overname
         tmpfs /opt/depot/new tmpfs mode=0755",
    ),
    (
        "a mimic in the place of an entry that goes is made before its directory is a source",
        "/var/snap/acorn/common/a /usr/share/fonts/new/deep none bind,x-snapd.origin=layout
         tmpfs /usr/share/fonts tmpfs mode=0755

         /var/snap/acorn/common/a /usr/share/fonts/new/deep none bind,x-snapd.origin=layout
         /usr/share/fonts /var/cache/new none bind",
    ),
    (
        "a bind of a tmpfs is not taken for a tmpfs of its own",
        "tmpfs /opt/depot/new tmpfs mode=0755
         /opt/depot/new /opt/new/deep none bind,ro

         tmpfs /opt/new/deep tmpfs mode=0755",
    ),
    (
        "a file that was replaced gives way to a directory",
        "/var/snap/acorn/common/conf /snap/acorn/1/new none bind,x-snapd.kind=file

         ReplaceFile
         /snap/birch/1/export /snap/acorn/1/new none bind",
    ),
    (
        "an entry beneath a layout is taken away although another entry takes the layout's place",
        "/var/snap/birch/common/shared /opt/depot none bind,x-snapd.origin=layout
         /snap/acorn/1/data /opt/depot/inner none bind

         /var/snap/acorn/common/tree /opt/depot none bind",
    ),
    (
        "a target in what will be covered is made anew in its turn",
        "/opt/depot /opt/spare none bind
         /var/snap/acorn/common/a /opt/depot none bind
         /var/snap/birch/common/newsource/two /opt/depot/new none bind,x-snapd.origin=layout

         LoseRecord
         /var/snap/acorn/common/a /opt/depot none bind
         /var/snap/birch/common/newsource/two /opt/depot/new none bind,x-snapd.origin=layout
         /opt/depot /opt/spare none bind",
    ),
    (
        "what was made in the source of an entry that goes is taken away before it",
        "/snap/birch/1/more /snap/acorn/1/import/new none bind,x-snapd.origin=layout
         /var/snap/acorn/common/b /snap/acorn/1/import none bind

         /snap/birch/1/more /snap/acorn/1/import/new none bind,x-snapd.origin=layout",
    ),
    (
        "mimics in what an entry that goes has covered come from the outside in, too",
        "tmpfs /opt/depot tmpfs mode=0755

         /snap/birch/1/export /opt/depot/inner/new none rbind
         /var/snap/acorn/common/tree /opt/depot/new none rbind,x-snapd.origin=layout",
    ),
    (
        "of two mimics that stay, one in the other, the inner one is no part of what the outer one covers",
        "/var/snap/acorn/common/b /opt/new none bind,ro
         /var/snap/acorn/common/newsource /usr/share/fonts none bind,ro,x-snapd.origin=layout
         tmpfs /opt/new/new tmpfs mode=0755
         /var/snap/birch/common/shared /usr/share/fonts/new/wide none bind
         /usr/share/fonts/new/wide /opt/depot/new none bind,x-snapd.origin=layout

         tmpfs /opt/new/new tmpfs mode=0755
         /var/snap/birch/common/shared /usr/share/fonts/new/wide none bind
         /snap/birch/2/more /usr/share/fonts none bind,x-snapd.origin=layout
         /usr/share/fonts/new/wide /opt/depot/new none bind,x-snapd.origin=layout",
    ),
    (
        "a directory that a tmpfs was on is ensured",
        "tmpfs /var/snap/acorn/common/new tmpfs mode=0755,x-snapd.origin=layout

         none /var/snap/acorn/common/new none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=/var/snap/acorn/common",
    ),
    (
        "a mimic that goes lies beneath one that was made later, for the source of a layout",
        "/var/snap/birch/common/shared /opt/depot/inner/new none bind
         /opt/new/deep /etc/sub/new none bind,x-snapd.origin=layout

         /opt/new/deep /etc/sub/new none bind,x-snapd.origin=layout

         tmpfs /var/cache tmpfs mode=0755,x-snapd.origin=layout",
    ),
    (
        "a bind with a mimic over it becomes a layout, which covers that",
        "/var/snap/acorn/common/conf /etc/foo.d/new none bind,x-snapd.kind=file
         /var/snap/acorn/common/b /etc/foo.d none rbind,ro

         /var/snap/acorn/common/conf /etc/foo.d/new none bind,x-snapd.kind=file
         /var/snap/acorn/common/b /etc/foo.d none rbind,ro,x-snapd.origin=layout",
    ),
    (
        "what lies in a tmpfs belongs beneath it from now on",
        "tmpfs /var/snap/acorn/common/d tmpfs mode=0755
         /opt/readme /var/snap/acorn/common/d/v none bind,x-snapd.kind=file,x-snapd.origin=overname

         tmpfs /var/snap/acorn/common/d tmpfs mode=0755
         /opt/readme /var/snap/acorn/common/d/v none bind,x-snapd.kind=file

         tmpfs /var/snap/acorn/common/d tmpfs mode=0755
         /opt/readme /var/snap/acorn/common/d/v none bind,x-snapd.kind=file,x-snapd.origin=overname",
    ),
    (
        "a bind of a tmpfs over a mimic without parts is not taken for that",
        "none /etc/foo.d/new none x-snapd.kind=symlink,x-snapd.symlink=../a
         tmpfs /snap/acorn/1/data tmpfs mode=0755
         /snap/acorn/1/data /etc/foo.d none bind,x-snapd.origin=layout",
    ),
    (
        "an inner mimic that is made first stays whole in the copy that lies on the outer one",
        "tmpfs /opt/depot/new tmpfs mode=0755
         /opt/new/deep /var/cache none rbind,x-snapd.origin=layout

         tmpfs /opt/depot/new tmpfs mode=0755

         tmpfs /opt/depot/inner/new tmpfs mode=0755
         tmpfs /opt/depot/new tmpfs mode=0755
         /opt/new/deep /var/cache none rbind,x-snapd.origin=layout

         /opt/new/deep /var/cache none rbind,x-snapd.origin=layout",
    ),
    (
        "of two mimics over one directory neither is handed over, so that both can be told apart",
        "tmpfs /snap/acorn/1/import/new tmpfs mode=0755
         /snap/birch/1/export /snap/acorn/1/import none bind,ro,x-snapd.origin=layout

         tmpfs /snap/acorn/1/import/new tmpfs mode=0755
         /snap/birch/1/export /snap/acorn/1/import none bind,ro,x-snapd.origin=layout
         /snap/acorn/1/import/new /etc/foo.d none bind,ro,x-snapd.origin=layout

         tmpfs /snap/acorn/1/import/new tmpfs mode=0755
         /snap/birch/1/export /snap/acorn/1/import none bind,ro,x-snapd.origin=layout",
    ),
    (
        "a mimic that another entry needs from now on still counts as made before one that was made later",
        "/var/snap/acorn/common/c /opt/depot/new none bind

         /var/snap/acorn/common/c /opt/depot/new none bind
         /usr/share/doc /opt/depot/inner none bind,x-snapd.origin=layout
         tmpfs /opt/new/new tmpfs mode=0755

         /usr/share/doc /opt/depot/inner none bind,x-snapd.origin=layout
         tmpfs /opt/new/new tmpfs mode=0755

         tmpfs /opt/new/new tmpfs mode=0755",
    ),
];

/// Each with its name.
pub fn known() -> impl Iterator<Item = (&'static str, Sequence)> {
    KNOWN.iter().map(|(name, text)| {
        let steps = text.split("\n\n").map(step).collect();
        (*name, Sequence { steps, by_snapd: true })
    })
}

fn step(text: &'static str) -> Step {
    let mut step = Step::default();
    for line in text.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name, dir, fstype, options] => step.profile.push(Entry {
                name: name.into(),
                dir: dir.into(),
                fstype,
                options: options.into(),
            }),
            ["ReplaceFile"] => step.edits.push(Edit::ReplaceFile("/var/snap/acorn/common/conf")),
            ["LoseRecord"] => step.disturb.push(Disturb::LoseRecord),
            _ => panic!("no entry, and nothing that happens: {line}"),
        }
    }
    step
}
