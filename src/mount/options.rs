// SPDX-License-Identifier: GPL-3.0-only
//! Mount options: the words of the fourth field, what they ask of mount(2), and what they tell us.
#![forbid(unsafe_code)]

use super::{About, Kind, Origin};
use crate::text::arena::{Arena, Full};
use crate::text::{Split, place, split};

/// The flags of mount(2), as Linux numbers them on every architecture.
pub mod ms {
    #![allow(missing_docs)]

    pub const RDONLY: u32 = 0x1;
    pub const NOSUID: u32 = 0x2;
    pub const NODEV: u32 = 0x4;
    pub const NOEXEC: u32 = 0x8;
    pub const SYNCHRONOUS: u32 = 0x10;
    pub const REMOUNT: u32 = 0x20;
    pub const MANDLOCK: u32 = 0x40;
    pub const DIRSYNC: u32 = 0x80;
    pub const NOATIME: u32 = 0x400;
    pub const NODIRATIME: u32 = 0x800;
    pub const BIND: u32 = 0x1000;
    pub const MOVE: u32 = 0x2000;
    pub const REC: u32 = 0x4000;
    pub const SILENT: u32 = 0x8000;
    pub const POSIXACL: u32 = 0x1_0000;
    pub const PRIVATE: u32 = 0x4_0000;
    pub const SLAVE: u32 = 0x8_0000;
    pub const SHARED: u32 = 0x10_0000;
    pub const RELATIME: u32 = 0x20_0000;
    pub const STRICTATIME: u32 = 0x100_0000;

    /// All kinds of propagation that an option can ask for.
    pub const PROPAGATION: u32 = PRIVATE | SLAVE | SHARED;
}

/// The words that are flags of mount(2), each where its bit is, with its length before it; none of them takes another
/// back. Where a comma is, there is no word: no word has one.
///
/// Behind the flags are `rw`, which is none, and the recursive words in the order of those that are not.
const WORDS: &[u8] = b"\x02ro\x06nosuid\x05nodev\x06noexec\x04sync\x07remount\x04mand\x07dirsync\x01,\x01,\
    \x07noatime\x0anodiratime\x04bind\x04move\x01,\x06silent\x03acl\x01,\x07private\x05slave\x06shared\
    \x08relatime\x01,\x01,\x0bstrictatime\x02rw\x05rbind\x08rprivate\x06rslave\x07rshared";

const RBIND: u32 = 1 << 26;
const RPROPAGATION: u32 = ms::PROPAGATION << TO_RECURSIVE;
/// How far the bit of `rprivate` is from that of `private`.
const TO_RECURSIVE: u32 = 9;
/// What is no flag of mount(2), or not one for the mount itself.
const OTHERS: u32 = !0 << 25 | ms::PROPAGATION;

/// The bit of a word in [`WORDS`]; 0 when it is none of ours but the file system's own.
#[inline(never)]
fn bit(word: &[u8]) -> u32 {
    let (mut rest, mut bit) = (WORDS, 1);
    while let Some((len, behind)) = rest.split_first()
        && let Some((known, behind)) = behind.split_at_checked(usize::from(*len))
    {
        if known == word {
            return bit;
        }
        rest = behind;
        bit <<= 1;
    }
    0
}

/// Whether a word is one for the file system itself: none for mount(2), none for us, and not `defaults`, which no
/// file system knows.
fn is_data(word: &[u8]) -> bool {
    bit(word) == 0 && !is_ours(word) && word != b"defaults"
}

/// Whether the word speaks to us alone and never to the kernel.
fn is_ours(word: &[u8]) -> bool {
    word.starts_with(b"x-snapd.")
}

/// What the options ask of mount(2). All words are taken together; none takes another back, so `ro,rw` is
/// read-only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// None.
    pub(super) const NONE: Flags = Flags(0);

    /// The flags of [`ms`] without [`ms::REC`] and [`ms::PROPAGATION`]; [`ms::BIND`] and [`ms::RDONLY`] are among
    /// them.
    pub fn mount(self) -> u32 {
        self.0 & !OTHERS
    }

    /// `bind` or `rbind` is there.
    pub fn bind(self) -> bool {
        self.0 & ms::BIND != 0
    }

    /// `rbind` is there: what is mounted below the source comes along.
    ///
    /// The original had one bit for this and for [`Flags::propagation_recursive`]. Under it a `bind,rslave` took
    /// along what is mounted below; here it does not.
    pub fn recursive(self) -> bool {
        self.0 & RBIND != 0
    }

    /// Whether it is a bind of one mount alone, and no propagation is asked for.
    pub fn lone_bind(self) -> bool {
        self.0 & (ms::BIND | RBIND | ms::PROPAGATION | RPROPAGATION) == ms::BIND
    }

    /// `ro` is there.
    pub fn read_only(self) -> bool {
        self.0 & ms::RDONLY != 0
    }

    /// The kinds of propagation asked for, of [`ms::PROPAGATION`]; the kernel refuses more than one.
    pub fn propagation(self) -> u32 {
        (self.0 | self.0 >> TO_RECURSIVE) & ms::PROPAGATION
    }

    /// One of `rprivate`, `rslave`, `rshared` is there: the propagation also of what is mounted below changes.
    pub fn propagation_recursive(self) -> bool {
        self.0 & RPROPAGATION != 0
    }
}

/// Mount options as they stand in the fourth field of fstab(5), its escapes decoded: words with commas between.
/// The empty text is the empty list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'t>(pub &'t [u8]);

impl<'t> Options<'t> {
    /// The words in their order, the empty ones too; none for the empty list.
    #[inline(never)]
    pub fn iter(self) -> Split<'t> {
        if self.0.is_empty() { Split::NONE } else { split(self.0, b',') }
    }

    /// How many words there are before the first that is exactly `word`. Here the empty list is one empty word.
    pub fn position(self, word: &[u8]) -> Option<usize> {
        place(self.0, b',', word)
    }

    /// Whether one of the words is exactly `word`.
    pub fn has(self, word: &[u8]) -> bool {
        self.position(word).is_some()
    }

    /// What follows the `=` in the first word that begins with `name=`. It can be empty and can hold more `=`.
    #[inline(never)]
    pub fn value(self, name: &[u8]) -> Option<&'t [u8]> {
        for option in self.iter() {
            if let Some([b'=', value @ ..]) = option.strip_prefix(name) {
                return Some(value);
            }
        }
        None
    }

    /// The options with something else in the place of a part of their text, which has to be one.
    #[inline(never)]
    pub fn replaced(self, part: &[u8], new: &[u8], arena: &mut Arena<'t>) -> Result<Options<'t>, Full> {
        let start = part.as_ptr() as usize - self.0.as_ptr() as usize;
        let (before, from) = self.0.split_at_checked(start).unwrap_or_default();
        let behind = from.get(part.len()..).unwrap_or_default();
        Ok(Options(arena.concat(&[before, new, behind])?))
    }

    /// Whether both lists ask for the same: the same words in the same order. No options at all and the lone word
    /// `defaults`, which is how that is written, are the same.
    pub fn same(self, other: Options<'_>) -> bool {
        self.written() == other.written()
    }

    /// How they are written, but for escapes.
    pub(super) fn written(self) -> &'t [u8] {
        if self.0.is_empty() { b"defaults" } else { self.0 }
    }

    /// The words for mount(2), taken together.
    pub fn flags(self) -> Flags {
        let mut bits = 0;
        for word in self.iter() {
            bits |= bit(word);
        }
        if bits & RBIND != 0 {
            bits |= ms::BIND;
        }
        Flags(bits)
    }

    /// What they say of an entry.
    #[inline(never)]
    pub fn about(self) -> About {
        // Which of these words an option has as its value. One that is not there has the empty value.
        let choice = |option, words| Options(words).position(self.value(option).unwrap_or_default());
        About {
            flags: self.flags(),
            kind: match choice(b"x-snapd.kind", b",file,symlink,ensure-dir") {
                Some(0) => Kind::Directory,
                Some(1) => Kind::File,
                Some(2) => Kind::Symlink,
                Some(_) => Kind::EnsureDir,
                None => Kind::Unknown,
            },
            origin: match choice(b"x-snapd.origin", b",layout,overname,rootfs") {
                Some(1) => Origin::Layout,
                Some(2) => Origin::Overname,
                Some(3) => Origin::Rootfs,
                _ => Origin::Interface,
            },
            synthetic: self.has(b"x-snapd.synthetic"),
        }
    }

    /// The words for the file system itself, in their order: all that are not in the table, are not ours and are
    /// not `defaults`, which no file system knows. Empty words are among them.
    pub fn data(self) -> impl Iterator<Item = &'t [u8]> {
        self.iter().filter(|option| is_data(option))
    }

    /// The words that say something a bind mount cannot be told: flags other than `ro`, and all data.
    pub fn ignored_on_bind(self) -> impl Iterator<Item = &'t [u8]> {
        self.iter().filter(|option| is_ignored_on_bind(option))
    }
}

fn is_ignored_on_bind(option: &[u8]) -> bool {
    const HEARD: u32 = OTHERS | ms::BIND | ms::RDONLY;
    match bit(option) {
        0 => is_data(option) && !option.is_empty(),
        bit => bit & HEARD == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn words(list: impl Iterator<Item = &'static [u8]>) -> Vec<&'static str> {
        list.map(|word| std::str::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn options_are_split_at_every_comma() {
        assert_eq!(words(Options(b"").iter()), [""; 0]);
        assert_eq!(words(Options(b"ro").iter()), ["ro"]);
        assert_eq!(words(Options(b",ro,,x=a b,").iter()), ["", "ro", "", "x=a b", ""]);
    }

    #[test]
    fn a_flag_option_is_a_whole_word() {
        let options = Options(b"rbind,rw,x-snapd.kind=file");
        assert!(options.has(b"rw") && options.has(b"rbind"));
        assert!(!options.has(b"bind") && !options.has(b"r") && !options.has(b"x-snapd.kind"));
    }

    #[test]
    fn a_valued_option_is_the_first_that_begins_with_its_name_and_an_equals_sign() {
        let options = Options(b"x-snapd.kind,x-snapd.kinder=a,x-snapd.kind=b=c,x-snapd.kind=d,e=");
        assert_eq!(options.value(b"x-snapd.kind"), Some(&b"b=c"[..]));
        assert_eq!(options.value(b"e"), Some(&b""[..]));
        assert_eq!(options.value(b"x-snapd"), None);
    }

    #[test]
    fn every_word_of_the_table_has_its_flag() {
        for (text, bits) in [
            ("rw", 0),
            ("ro", 0x1),
            ("nosuid", 0x2),
            ("nodev", 0x4),
            ("noexec", 0x8),
            ("sync", 0x10),
            ("remount", 0x20),
            ("mand", 0x40),
            ("dirsync", 0x80),
            ("noatime", 0x400),
            ("nodiratime", 0x800),
            ("bind", 0x1000),
            ("rbind", 0x5000),
            ("move", 0x2000),
            ("silent", 0x8000),
            ("acl", 0x10000),
            ("private", 0x40000),
            ("rprivate", 0x44000),
            ("slave", 0x80000),
            ("rslave", 0x84000),
            ("shared", 0x100000),
            ("rshared", 0x104000),
            ("relatime", 0x200000),
            ("strictatime", 0x1000000),
        ] {
            let flags = Options(text.as_bytes()).flags();
            let recursive = if flags.recursive() || flags.propagation_recursive() { ms::REC } else { 0 };
            assert_eq!(flags.mount() | flags.propagation() | recursive, bits, "{text}");
            assert_ne!(bit(text.as_bytes()), 0, "{text}");
            assert_eq!(Options(text.as_bytes()).data().count(), 0, "{text}");
        }
    }

    #[test]
    fn words_outside_the_table_are_data_in_their_order() {
        let options =
            Options(b"suid,ro,mode=0711,x-snapd.synthetic,,size=1m,x-snapd.mode=0700,lazytime,defaults");
        assert_eq!(words(options.data()), ["suid", "mode=0711", "", "size=1m", "lazytime"]);
        for text in
            ["exec", "dev", "async", "unbindable", "runbindable", "lazytime", "RO", " ro", "x-snap", ""]
        {
            assert_eq!(bit(text.as_bytes()), 0, "{text}");
        }
        assert_eq!(words(Options(b"defaults").data()), [""; 0]);
    }

    #[test]
    fn read_only_is_not_taken_back() {
        let flags = Options(b"ro,rw,nosuid").flags();
        assert!(flags.read_only() && !flags.bind());
        assert_eq!(flags.mount(), ms::RDONLY | ms::NOSUID);
    }

    #[test]
    fn the_recursions_of_bind_and_of_propagation_are_separate() {
        let flags = Options(b"bind,rslave").flags();
        assert!(flags.bind() && !flags.recursive() && flags.propagation_recursive());
        assert_eq!((flags.mount(), flags.propagation()), (ms::BIND, ms::SLAVE));

        let flags = Options(b"rbind,slave").flags();
        assert!(flags.bind() && flags.recursive() && !flags.propagation_recursive());

        let flags = Options(b"rbind,rshared,private").flags();
        assert!(flags.recursive() && flags.propagation_recursive());
        assert_eq!(flags.propagation(), ms::SHARED | ms::PRIVATE);
    }

    #[test]
    fn a_bind_hears_of_read_only_and_propagation_alone() {
        let options = Options(b"bind,rw,ro,nosuid,rslave,mode=1,x-snapd.origin=layout,defaults,,noatime");
        assert_eq!(words(options.ignored_on_bind()), ["nosuid", "mode=1", "noatime"]);
        assert_eq!(Options(b"rbind,rw").ignored_on_bind().count(), 0);
    }

    #[test]
    fn no_options_and_defaults_are_the_same() {
        assert!(Options(b"").same(Options(b"defaults")));
        assert!(Options(b"defaults").same(Options(b"")));
        assert!(!Options(b"").same(Options(b"rw")));
        assert!(!Options(b"defaults,ro").same(Options(b"ro")));
        assert!(!Options(b"bind,rw").same(Options(b"rw,bind")));
    }
}
