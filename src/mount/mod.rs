// SPDX-License-Identifier: GPL-3.0-only
//! The vocabulary of mounting: an entry of a mount profile, its options, a line of the mount table.
#![forbid(unsafe_code)]

pub mod expand;
pub mod info;
pub mod options;
pub mod profile;
pub mod table;

pub use options::{Flags, Options};

use crate::limits::PROFILE_LINE;
use crate::text::escape::write_escaped;
use crate::text::{Length, Out};
use core::num::NonZeroU32;

/// One line of a mount profile, with the fields of getmntent(3). They point into the profile's own text.
///
/// `==` compares bytes; [`MountEntry::same`] compares meaning.
#[derive(Clone, Copy, Debug, Eq)]
pub struct MountEntry<'t> {
    /// What is mounted: the source of a bind, a device, or a word like `tmpfs` and `none`.
    pub name: &'t [u8],
    /// Where: the target.
    pub dir: &'t [u8],
    /// The file system; `none` for binds and for what is no mount.
    pub fstype: &'t [u8],
    /// How.
    pub options: Options<'t>,
    /// What the options say of it.
    pub about: About,
    /// For dump(8): read, compared and written, nothing more.
    pub freq: i64,
    /// For fsck(8): read, compared and written, nothing more.
    pub passno: i64,
}

/// The id of a mount, field 1 of mountinfo. No mount that can be seen has the number 0.
pub type MountId = NonZeroU32;

/// What an entry needs at its target: `x-snapd.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory to mount on.
    Directory,
    /// A regular file to mount a file on.
    File,
    /// Nothing is mounted: a symbolic link is made.
    Symlink,
    /// Nothing is mounted: directories are made, in the user's home.
    EnsureDir,
    /// A word that is not known: nothing is done, and that is recorded.
    Unknown,
}

/// Who asked for an entry: `x-snapd.origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An interface; also when the word is not known.
    Interface,
    /// A layout of the snap.
    Layout,
    /// The renaming of a parallel instance.
    Overname,
    /// snap-confine, for the root file system of the namespace.
    Rootfs,
}

/// What the options of an entry say of it, found out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What mount(2) is asked for.
    pub flags: Flags,
    /// What the entry needs at its target.
    pub kind: Kind,
    /// Who asked for it.
    pub origin: Origin,
    /// Whether we made the entry up ourselves, as a part of a writable mimic.
    pub synthetic: bool,
}

impl About {
    /// What no options say.
    pub const NONE: About =
        About { flags: Flags::NONE, kind: Kind::Directory, origin: Origin::Interface, synthetic: false };
}

impl<'t> MountEntry<'t> {
    /// What the entry needs at its target.
    pub fn kind(&self) -> Kind {
        self.about.kind
    }

    /// Who asked for the entry.
    pub fn origin(&self) -> Origin {
        self.about.origin
    }

    /// What [`MountEntry::needed_by`] of other entries names this one by: `x-snapd.id`, or else the target.
    pub fn id(&self) -> &'t [u8] {
        self.options.value(b"x-snapd.id").unwrap_or(self.dir)
    }

    /// Whether we made the entry up ourselves, as a part of a writable mimic.
    pub fn is_synthetic(&self) -> bool {
        self.about.synthetic
    }

    /// The id of the entry that a synthetic one serves.
    pub fn needed_by(&self) -> Option<&'t [u8]> {
        self.options.value(b"x-snapd.needed-by")
    }

    /// Whether to unmount it even while it is busy (`MNT_DETACH`).
    pub fn wants_detach(&self) -> bool {
        self.options.has(b"x-snapd.detach")
    }

    /// The text of the symbolic link to make.
    pub fn symlink_text(&self) -> Option<&'t [u8]> {
        self.options.value(b"x-snapd.symlink")
    }

    /// The directory that has to be there already when directories are made below it.
    pub fn must_exist_dir(&self) -> Option<&'t [u8]> {
        self.options.value(b"x-snapd.must-exist-dir")
    }

    /// Whether to pass over the entry in silence when its source or target is missing.
    #[inline(never)]
    pub fn ignore_missing(&self) -> bool {
        self.options.has(b"x-snapd.ignore-missing")
    }

    /// Whether it is a bind mount, recursive or not.
    pub fn is_bind(&self) -> bool {
        self.about.flags.bind()
    }

    /// Whether both entries ask for the same mount: the same fields and numbers, and the
    /// [same options](Options::same).
    pub fn same(&self, other: &MountEntry<'_>) -> bool {
        self.options.same(other.options) && self.same_but_options(other)
    }

    fn same_but_options(&self, other: &MountEntry<'_>) -> bool {
        self.name == other.name
            && self.dir == other.dir
            && self.fstype == other.fstype
            && self.freq == other.freq
            && self.passno == other.passno
    }

    /// Writes the canonical line, without its end: six fields, escaped, with single spaces between; `none` stands
    /// for an empty field and `defaults` for no options.
    pub fn write(&self, w: &mut dyn Out) {
        for &field in &[self.name, self.dir, self.fstype, self.options.written()] {
            write_escaped(w, if field.is_empty() { b"none" } else { field });
            w.put(b" ");
        }
        number(w, self.freq);
        w.put(b" ");
        number(w, self.passno);
    }

    /// Whether it could not be read again by every version once it is written (L32).
    pub fn is_too_long(&self) -> bool {
        // A byte is four at most when it is written.
        let bytes = self.name.len() + self.dir.len() + self.fstype.len() + self.options.0.len();
        bytes > PROFILE_LINE.max / 5 && self.written_len() > PROFILE_LINE.max
    }

    /// The length of what [`MountEntry::write`] writes.
    pub fn written_len(&self) -> usize {
        let mut length = Length(0);
        self.write(&mut length);
        length.0
    }
}

impl PartialEq for MountEntry<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.options == other.options && self.same_but_options(other)
    }
}

fn number(w: &mut dyn Out, number: i64) {
    if number < 0 {
        w.put(b"-");
    }
    w.number(number.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    const PLAIN: MountEntry<'static> = MountEntry {
        name: b"tmpfs",
        dir: b"/t",
        fstype: b"tmpfs",
        options: Options(b""),
        about: About::NONE,
        freq: 0,
        passno: 0,
    };

    fn with(options: &'static [u8]) -> MountEntry<'static> {
        let options = Options(options);
        MountEntry { options, about: options.about(), ..PLAIN }
    }

    fn written(entry: &MountEntry<'_>) -> String {
        let mut line = Vec::new();
        entry.write(&mut line);
        assert_eq!(line.len(), entry.written_len());
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn an_entry_is_written_in_its_canonical_form() {
        assert_eq!(written(&PLAIN), "tmpfs /t tmpfs defaults 0 0");
        let entry = MountEntry {
            name: b"",
            dir: b"/a b\\",
            fstype: b"",
            options: Options(b"bind,ro x\ty"),
            about: About::NONE,
            freq: i64::MIN,
            passno: 2,
        };
        assert_eq!(written(&entry), r"none /a\040b\134 none bind,ro\040x\011y -9223372036854775808 2");
    }

    #[test]
    fn the_kind_is_a_directory_unless_it_is_said() {
        for (options, kind) in [
            (&b""[..], Kind::Directory),
            (b"x-snapd.kind", Kind::Directory),
            (b"x-snapd.kind=", Kind::Directory),
            (b"rw,x-snapd.kind=file", Kind::File),
            (b"x-snapd.kind=symlink,x-snapd.kind=file", Kind::Symlink),
            (b"x-snapd.kind=ensure-dir", Kind::EnsureDir),
            (b"x-snapd.kind=Directory", Kind::Unknown),
        ] {
            assert_eq!(with(options).kind(), kind, "{options:?}");
        }
    }

    #[test]
    fn an_unknown_origin_is_like_none() {
        for (options, origin) in [
            (&b""[..], Origin::Interface),
            (b"x-snapd.origin=layout", Origin::Layout),
            (b"x-snapd.origin=overname", Origin::Overname),
            (b"x-snapd.origin=rootfs", Origin::Rootfs),
            (b"x-snapd.origin=elsewhere", Origin::Interface),
            (b"x-snapd.origin=", Origin::Interface),
        ] {
            assert_eq!(with(options).origin(), origin, "{options:?}");
        }
    }

    #[test]
    fn our_own_words_are_found() {
        let entry = with(
            b"rbind,x-snapd.synthetic,x-snapd.needed-by=/opt/a=b,x-snapd.detach,x-snapd.id=7,x-snapd.symlink=../x,\
              x-snapd.must-exist-dir=$HOME,x-snapd.ignore-missing",
        );
        assert!(entry.is_synthetic() && entry.wants_detach() && entry.ignore_missing() && entry.is_bind());
        assert_eq!(entry.needed_by(), Some(&b"/opt/a=b"[..]));
        assert_eq!(entry.id(), b"7");
        assert_eq!(entry.symlink_text(), Some(&b"../x"[..]));
        assert_eq!(entry.must_exist_dir(), Some(&b"$HOME"[..]));
        assert!(
            !PLAIN.is_synthetic() && !PLAIN.wants_detach() && !PLAIN.ignore_missing() && !PLAIN.is_bind()
        );
        assert_eq!((PLAIN.id(), PLAIN.needed_by()), (PLAIN.dir, None));
    }

    #[test]
    fn an_entry_without_options_is_the_same_as_its_written_form() {
        assert!(PLAIN.same(&with(b"defaults")));
        assert_ne!(PLAIN, with(b"defaults"));
        assert!(!PLAIN.same(&with(b"rw")));
        for other in [
            MountEntry { name: b"none", ..PLAIN },
            MountEntry { dir: b"/u", ..PLAIN },
            MountEntry { fstype: b"none", ..PLAIN },
            MountEntry { freq: 1, ..PLAIN },
            MountEntry { passno: 1, ..PLAIN },
        ] {
            assert!(!PLAIN.same(&other), "{other:?}");
        }
    }
}
