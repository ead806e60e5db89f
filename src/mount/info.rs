// SPDX-License-Identifier: GPL-3.0-only
//! The mount table as proc_pid_mountinfo(5) shows it: one line of it, and the stream of its lines.
//!
//! Fields are separated by single spaces: a mount whose source is the empty string shows an empty field between
//! two of them. Everything but the numbers is raw bytes.
#![forbid(unsafe_code)]

use super::Options;
use super::table::Mount;
use crate::text::escape::{cut_field, cut_field_hash};
use crate::text::number::parse_u32;
use crate::text::path::put;
use crate::text::{cut, cut_at, place, position};

/// What a line says of a mount, taken apart in place; its escapes are decoded. `None` when it is not a line of mountinfo.
///
/// What has to be there are the first six fields and the lone `-` behind the optional ones; what is missing after
/// that is empty.
pub fn parse_line<'l>(line: &'l mut [u8]) -> Option<Mount<'l>> {
    let mut rest = line;
    // (1) mount id, (2) parent id, (3) major:minor
    let id = number(&mut rest, b' ')?;
    let parent = number(&mut rest, b' ')?;
    let major = number(&mut rest, b':')?;
    let minor = number(&mut rest, b' ')?;
    // (4) root, (5) mount point, (6) options of the mount
    let root = cut_field(&mut rest, b' ');
    let dir = cut_field(&mut rest, b' ');
    let options = Options(cut(&mut rest, b' '));
    // (7) optional fields, any number of them, up to a lone dash
    let mut unbindable = false;
    for _ in 0..place(rest, b' ', b"-")? {
        unbindable |= cut(&mut rest, b' ') == b"unbindable";
    }
    cut(&mut rest, b' ');
    // file system type, source, options of the file system
    let fstype = cut_field_hash(&mut rest, b' ');
    // The source is what somebody called it.
    cut(&mut rest, b' ');
    let is_bound_read_only = options.has(b"ro");
    Some(Mount {
        id,
        parent,
        dev: u64::from(major) << 32 | u64::from(minor),
        root,
        dir,
        read_only: is_bound_read_only || Options(rest).has(b"ro"),
        is_bound_read_only,
        unbindable,
        fstype,
        mark: 0,
    })
}

#[inline(never)]
fn number(rest: &mut &mut [u8], separator: u8) -> Option<u32> {
    // It is short: byte by byte is soonest.
    let len = rest.iter().position(|byte| *byte == separator)?;
    parse_u32(cut_at(rest, len))
}

/// The lines of a text that is read piece by piece, like mountinfo with read(2), through a buffer lent by the
/// caller.
///
/// Ask for lines with [`Lines::next`] until there are none, then put the next piece into [`Lines::fill`] and tell
/// its length with [`Lines::advance`]. A line that does not fit the buffer is left out as a whole and counted; the
/// buffer has to be larger than the longest line together with its end.
pub struct Lines<'b> {
    buffer: &'b mut [u8],
    /// Where the text not yet handed out begins.
    start: usize,
    /// Where it ends.
    end: usize,
    /// The text so far is the front of a line that is left out.
    skipping: bool,
    /// Lines left out because they did not fit.
    pub skipped: u32,
}

impl<'b> Lines<'b> {
    /// No text yet. The buffer must not be empty.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Lines { buffer, start: 0, end: 0, skipping: false, skipped: 0 }
    }

    /// Room for the next piece of text. Never empty once [`Lines::next`] has nothing more to give.
    pub fn fill(&mut self) -> &mut [u8] {
        // To the front with what is kept. Nothing is overwritten before it was read.
        let mut kept = 0;
        for at in self.start..self.end {
            let byte = self.buffer.get(at).copied().unwrap_or_default();
            put(self.buffer, &mut kept, byte);
        }
        (self.start, self.end) = (0, kept);
        if kept == self.buffer.len() && position(self.buffer, b'\n') == kept {
            self.end = 0;
            self.skipping = true;
            self.skipped = self.skipped.saturating_add(1);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// The first `len` bytes of [`Lines::fill`] have been written.
    pub fn advance(&mut self, len: usize) {
        self.end = (self.end + len).min(self.buffer.len());
        if self.skipping {
            // The end of the line that is left out.
            let len = position(self.buffer.get(..self.end).unwrap_or_default(), b'\n');
            self.skipping = len == self.end;
            (self.start, self.end) = if self.skipping { (0, 0) } else { (len + 1, self.end) };
        }
    }

    /// The next whole line, without its end; `None` when more text is needed.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend its own bytes")]
    pub fn next(&mut self) -> Option<&mut [u8]> {
        let text = self.buffer.get_mut(self.start..self.end).unwrap_or_default();
        let len = position(text, b'\n');
        if len == text.len() {
            return None;
        }
        self.start += len + 1;
        text.get_mut(..len)
    }

    /// At the end of the text: its last line when that has no end of its own.
    pub fn last(&mut self) -> Option<&mut [u8]> {
        let line = self.start..self.end;
        (self.start, self.end) = (0, 0);
        if line.is_empty() { None } else { self.buffer.get_mut(line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn parsed(line: &str, check: impl FnOnce(Option<Mount<'_>>)) {
        check(parse_line(&mut line.as_bytes().to_vec()));
    }

    #[test]
    fn a_line_has_all_its_fields() {
        let line = "36 35 98:1 /mnt1 /mnt2 rw,noatime shared:7 master:1 - ext3 /dev/root ro,errors=continue";
        parsed(line, |info| {
            assert_eq!(
                info,
                Some(Mount {
                    id: 36,
                    parent: 35,
                    dev: 98 << 32 | 1,
                    root: b"/mnt1",
                    dir: b"/mnt2",
                    read_only: true,
                    is_bound_read_only: false,
                    unbindable: false,
                    fstype: b"ext3",
                    mark: 0,
                })
            );
        });
    }

    #[test]
    fn optional_fields_may_be_none_or_many() {
        parsed("1 1 0:1 / / rw - tmpfs none rw", |info| {
            let info = info.unwrap();
            assert!(!info.unbindable);
            assert_eq!(info.fstype, b"tmpfs");
        });
        parsed("1 1 0:1 / / rw unbindable new:1 propagate_from:2 master:3 - tmpfs none rw", |info| {
            let info = info.unwrap();
            assert!(info.unbindable);
        });
    }

    #[test]
    fn an_empty_source_is_a_field() {
        parsed("69 68 0:43 / /p rw,relatime - tmpfs  ro", |info| {
            let info = info.unwrap();
            assert_eq!((info.fstype, info.read_only), (&b"tmpfs"[..], true));
        });
    }

    #[test]
    fn what_follows_the_dash_may_be_missing() {
        parsed("1 1 0:1 / / rw -", |info| assert_eq!(info.unwrap().fstype, b""));
        parsed("1 1 0:1 / / rw - ", |info| assert_eq!(info.unwrap().fstype, b""));
        parsed("1 1 0:1 / / rw - tmpfs", |info| assert_eq!(info.unwrap().fstype, b"tmpfs"));
        parsed("1 1 0:1 / / rw - tmpfs ro", |info| assert!(!info.unwrap().read_only));
        parsed("1 1 0:1 / / rw - tmpfs src a b,ro", |info| assert!(info.unwrap().read_only));
    }

    #[test]
    fn a_mount_is_read_only_by_itself_or_by_its_file_system() {
        for (mount, fs) in [("rw", "rw"), ("ro", "rw"), ("rw", "ro"), ("ro", "ro")] {
            parsed(&std::format!("1 1 0:1 / / noatime,{mount} - tmpfs none {fs},size=1"), |info| {
                let info = info.unwrap();
                assert_eq!(info.is_bound_read_only, mount == "ro");
                assert_eq!(info.read_only, mount == "ro" || fs == "ro");
            });
        }
    }

    #[test]
    fn escapes_are_decoded_where_the_kernel_writes_them() {
        parsed(r"1 1 0:1 /r\040\043 /d\011\012\134#\043 rw - f\043s so\043u\040r\134c rw,ro\040", |info| {
            let info = info.unwrap();
            assert_eq!(info.root, br"/r \043");
            assert_eq!(info.dir, b"/d\t\n\\#\\043");
            assert_eq!(info.fstype, b"f#s");
            assert!(!info.read_only);
        });
    }

    #[test]
    fn the_root_need_not_be_a_path() {
        parsed("5 1 0:4 uts:[4026531838] /run/uts rw - nsfs nsfs rw", |info| {
            assert_eq!(info.unwrap().root, b"uts:[4026531838]");
        });
        parsed("5 1 0:4 /../.. /sys/fs/cgroup rw - cgroup2 c rw", |info| {
            assert_eq!(info.unwrap().root, b"/../..");
        });
    }

    #[test]
    fn malformed_lines_are_none() {
        for line in [
            "",
            " ",
            "1",
            "1 1 0:1 / / rw",
            "1 1 0:1 / / rw ",
            "1 1 0:1 / / rw shared:1",
            "1 1 0:1 / / rw shared:1 -- tmpfs none rw",
            "x 1 0:1 / / rw - tmpfs none rw",
            "-1 1 0:1 / / rw - tmpfs none rw",
            "4294967296 1 0:1 / / rw - tmpfs none rw",
            "1 1 01 / / rw - tmpfs none rw",
            "1 1 0:1:2 / / rw - tmpfs none rw",
            "1  1 0:1 / / rw - tmpfs none rw",
        ] {
            parsed(line, |info| assert_eq!(info, None, "{line:?}"));
        }
    }

    #[test]
    fn the_mount_table_of_this_machine_is_understood() {
        let Ok(text) = std::fs::read("/proc/self/mountinfo") else { return };
        for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let mut copy = line.to_vec();
            assert!(parse_line(&mut copy).is_some(), "{}", std::string::String::from_utf8_lossy(line));
        }
    }

    /// Streams the text in pieces of the given lengths, over and over.
    fn streamed(text: &[u8], room: usize, pieces: &[usize]) -> (Vec<Vec<u8>>, u32) {
        let mut buffer = std::vec![0; room];
        let mut lines = Lines::new(&mut buffer);
        let mut list = Vec::new();
        let mut rest = text;
        let mut pieces = pieces.iter().cycle();
        while !rest.is_empty() {
            let space = lines.fill();
            assert!(!space.is_empty());
            let len = space.len().min(rest.len()).min(*pieces.next().unwrap());
            space[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            lines.advance(len);
            while let Some(line) = lines.next() {
                list.push(line.to_vec());
                line.fill(b'!');
            }
        }
        list.extend(lines.last().map(|line| line.to_vec()));
        (list, lines.skipped)
    }

    #[test]
    fn a_line_that_just_fits_is_given_and_one_byte_more_is_skipped_and_counted() {
        let fits = [&[b'x'; 9][..], b"\n"].concat();
        let long = [&[b'x'; 10][..], b"\n"].concat();
        assert_eq!(streamed(&fits, 10, &[3]), (std::vec![fits[..9].to_vec()], 0));
        assert_eq!(streamed(&long, 10, &[3]), (Vec::new(), 1));
        assert_eq!(
            streamed(&[b"a\n", &long[..], b"b\n", &long[..], &long[..], b"c"].concat(), 10, &[100]),
            (std::vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()], 3)
        );
    }

    #[test]
    fn a_full_buffer_of_lines_not_yet_taken_is_not_thrown_away() {
        let mut buffer = *b"a\nb\n....";
        let mut lines = Lines::new(&mut buffer[..4]);
        lines.advance(4);
        assert!(lines.fill().is_empty());
        assert_eq!(lines.next(), Some(&mut b"a".to_vec()[..]));
        assert_eq!(lines.fill().len(), 2);
        assert_eq!(lines.next(), Some(&mut b"b".to_vec()[..]));
        assert_eq!(lines.next(), None);
        assert_eq!(lines.skipped, 0);
    }

    proptest! {
        #[test]
        fn streaming_agrees_with_splitting_the_whole_text(
            text in "[a-c\n]{0,200}",
            room in 1usize..30,
            pieces in prop::collection::vec(1usize..40, 1..5),
        ) {
            let mut whole: Vec<&[u8]> = text.as_bytes().split(|&b| b == b'\n').collect();
            let last = whole.pop().filter(|last| !last.is_empty());
            let fits = |line: &&[u8]| line.len() < room;
            let mut expected: Vec<Vec<u8>> = whole.iter().copied().filter(fits).map(<[u8]>::to_vec).collect();
            expected.extend(last.filter(|last| last.len() <= room).map(<[u8]>::to_vec));
            let long = whole.iter().filter(|line| !fits(line)).count()
                + last.iter().filter(|last| last.len() > room).count();
            let (lines, skipped) = streamed(text.as_bytes(), room, &pieces);
            prop_assert_eq!(lines, expected);
            prop_assert_eq!(skipped as usize, long);
        }

        #[test]
        fn no_bytes_can_upset_the_parser(mut line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_line(&mut line);
        }

        #[test]
        fn whatever_the_kernel_escapes_is_read_back(root: Vec<u8>, dir: Vec<u8>, source: Vec<u8>) {
            let mut line = b"1 2 3:4 ".to_vec();
            crate::text::escape::write_escaped(&mut line, &root);
            line.push(b' ');
            crate::text::escape::write_escaped(&mut line, &dir);
            line.extend(b" rw shared:1 - fs ");
            let mut shown = Vec::new();
            crate::text::escape::write_escaped(&mut shown, &source);
            for byte in shown {
                match byte {
                    b'#' => line.extend(br"\043"),
                    other => line.push(other),
                }
            }
            line.extend(b" ro");
            let info = parse_line(&mut line).unwrap();
            prop_assert_eq!((info.root, info.dir, info.read_only), (&root[..], &dir[..], true));
        }
    }
}
