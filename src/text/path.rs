// SPDX-License-Identifier: GPL-3.0-only
//! Paths as text: nothing here asks the file system.
//!
//! A path is *clean* when it says nothing twice: no `//`, no `.` or removable `..` component, no `/` at its end but
//! in `/` itself, and `.` for nothing at all. `..` is resolved by its letters, as if no directory were a symbolic
//! link; that is how targets of mount entries have always been compared and recorded.
#![forbid(unsafe_code)]

use core::cmp::Ordering;

use super::{Split, position, split};

/// Whether the path begins at the root directory.
pub fn is_absolute(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
}

/// Whether the clean absolute path is that of the root directory.
pub fn is_root(path: &[u8]) -> bool {
    path.len() == 1
}

/// Cleans the path in place and returns its new length, which is never larger than the old one.
///
/// The clean form of the empty path is `.`, for which it has no room: it stays empty.
pub fn clean(path: &mut [u8]) -> usize {
    let root = usize::from(is_absolute(path));
    // The front is overwritten while the rest is read. It never overtakes the reader: every component that is
    // written was read before, with a separator before it.
    let mut len = root;
    // What lies before this mark cannot be taken back by `..`: the root, or the leading `..` of a relative path.
    let mut fixed = root;
    let mut start = 0;
    while let Some(rest) = path.get(start..) {
        let end = start + position(rest, b'/');
        let component = path.get(start..end).unwrap_or_default();
        let dots = dots(component);
        if dots == UP && len > fixed {
            len -= 1;
            while len > fixed && path.get(len) != Some(&b'/') {
                len -= 1;
            }
        } else if dots >= UP + root {
            // A name, or `..` of a relative path.
            if len > root {
                put(path, &mut len, b'/');
            }
            for at in start..end {
                let byte = path.get(at).copied().unwrap_or_default();
                put(path, &mut len, byte);
            }
            if dots == UP {
                fixed = len;
            }
        }
        start = end + 1;
    }
    if len == 0 {
        put(path, &mut len, b'.');
    }
    len
}

/// How many dots a component is; more than [`UP`] for a name. [`UP`] lead up, fewer nowhere.
fn dots(component: &[u8]) -> usize {
    if component.iter().all(|byte| *byte == b'.') { component.len() } else { UP + 1 }
}

const UP: usize = 2;

/// Cleans the path in place.
#[inline(never)]
pub(crate) fn cleaned(path: &mut [u8]) -> &mut [u8] {
    let len = if is_clean(path) { path.len() } else { clean(path) };
    path.get_mut(..len).unwrap_or_default()
}

/// Writes a byte over the front of a text, of which `len` bytes have been written.
pub(crate) fn put(path: &mut [u8], len: &mut usize, byte: u8) {
    if let Some(place) = path.get_mut(*len) {
        *place = byte;
        *len += 1;
    }
}

/// Whether [`clean`] would leave the path as it is. The empty path is not clean.
#[inline(never)]
pub fn is_clean(path: &[u8]) -> bool {
    // `/`, `.` or a name.
    if path.len() == 1 {
        return true;
    }
    let (mut may_climb, rest) = match path {
        [b'/', rest @ ..] => (false, rest),
        _ => (true, path),
    };
    // Of the component so far, as [`dots`] counts them.
    let mut dots = 0;
    for byte in rest {
        if *byte != b'/' {
            dots = if *byte == b'.' { dots + 1 } else { dots | (2 * UP) };
            continue;
        }
        if dots < UP || dots == UP && !may_climb {
            return false;
        }
        may_climb = dots == UP;
        dots = 0;
    }
    dots > UP || dots == UP && may_climb
}

/// Where the last component of a clean path is: `/a` for `/a/b`, `/` for `/a` and for `/` itself, `.` for `a`.
#[inline(never)]
pub fn parent(path: &[u8]) -> &[u8] {
    let name = name(path).len();
    match path.len() - name {
        0 => b".",
        1 => b"/",
        slash => path.get(..slash - 1).unwrap_or_default(),
    }
}

/// The last component of a clean path; empty for `/`.
#[inline(never)]
pub fn name(path: &[u8]) -> &[u8] {
    let mut start = path.len();
    while start > 0 && path.get(start - 1) != Some(&b'/') {
        start -= 1;
    }
    path.get(start..).unwrap_or_default()
}

/// Whether the clean `path` lies strictly below the clean directory `dir`: `/a/b` does below `/a` and `/`, `/ab`
/// and `/a` do not below `/a`.
pub fn is_inside(path: &[u8], dir: &[u8]) -> bool {
    below(path, dir).is_some_and(|rest| !rest.is_empty())
}

/// Whether the clean `path` is the clean `dir` or lies below it.
pub fn covers(dir: &[u8], path: &[u8]) -> bool {
    below(path, dir).is_some()
}

/// What follows the clean `dir` in the clean `path`, without a `/` at its front; empty when they are equal.
#[inline(never)]
pub fn below<'p>(path: &'p [u8], dir: &[u8]) -> Option<&'p [u8]> {
    match path.strip_prefix(dir)? {
        [] => Some(b""),
        [b'/', rest @ ..] => Some(rest),
        rest if dir == b"/" => Some(rest),
        _ => None,
    }
}

/// The order of targets: byte by byte, as if each path ended in a `/`. So `/q-1` < `/q.1` < `/q` < `/q/z`, and a
/// directory comes directly before all that lies in it.
#[inline(never)]
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let shared = a.len().min(b.len());
    let starts = a.get(..shared).cmp(&b.get(..shared));
    starts.then_with(|| closed(a, shared).cmp(&closed(b, shared)))
}

/// What is left of a path behind so many bytes when the `/` that it lacks is added: the next byte, and how many there
/// are.
fn closed(path: &[u8], at: usize) -> (u8, usize) {
    let len = path.len() + usize::from(path.last() != Some(&b'/'));
    let end = if at < len { b'/' } else { 0 };
    (path.get(at).copied().unwrap_or(end), len)
}

/// The components of a path, without those that are empty.
pub fn components(path: &[u8]) -> Components<'_> {
    Components(split(path, b'/'))
}

/// See [`components`].
#[derive(Clone, Copy, Debug)]
pub struct Components<'p>(Split<'p>);

impl<'p> Iterator for Components<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        loop {
            let component = self.0.next()?;
            if !component.is_empty() {
                return Some(component);
            }
        }
    }
}

/// The directories on the way to a clean absolute path, and it itself: `/a`, `/a/b` for `/a/b`, nothing for `/`.
pub fn prefixes(path: &[u8]) -> Prefixes<'_> {
    Prefixes { path, end: usize::from(path.len() == 1) }
}

/// See [`prefixes`].
#[derive(Clone, Copy, Debug)]
pub struct Prefixes<'p> {
    path: &'p [u8],
    end: usize,
}

impl<'p> Iterator for Prefixes<'p> {
    type Item = &'p [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'p [u8]> {
        let start = self.end + 1;
        self.end = start + position(self.path.get(start..)?, b'/');
        self.path.get(..self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn cleaned(path: &[u8]) -> Vec<u8> {
        let mut path = path.to_vec();
        let len = clean(&mut path);
        path.truncate(len);
        path
    }

    /// The obvious version: a stack of components.
    fn naively_cleaned(path: &[u8]) -> Vec<u8> {
        if path.is_empty() {
            return Vec::new();
        }
        let mut stack: Vec<&[u8]> = Vec::new();
        for component in path.split(|&b| b == b'/') {
            match component {
                b"" | b"." => {}
                b".." if stack.last().is_some_and(|top| *top != b"..") => drop(stack.pop()),
                b".." if path[0] == b'/' => {}
                other => stack.push(other),
            }
        }
        let joined = stack.join(&b'/');
        match (path[0] == b'/', joined.is_empty()) {
            (true, _) => [b"/", &joined[..]].concat(),
            (false, true) => b".".to_vec(),
            (false, false) => joined,
        }
    }

    #[test]
    fn cleaning_collapses_and_resolves_by_the_letters() {
        for (path, clean) in [
            ("/", "/"),
            ("//", "/"),
            ("/a//b/", "/a/b"),
            ("/a/./b/.", "/a/b"),
            ("/a/../b", "/b"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/b/../..", "/"),
            ("/var/cups/", "/var/cups"),
            ("a/..", "."),
            ("./", "."),
            ("../../a/..", "../.."),
            ("../a/../../b", "../../b"),
            ("a/b/../c", "a/c"),
            ("/...", "/..."),
            ("/a/..b", "/a/..b"),
            ("$HOME/.", "$HOME"),
        ] {
            assert_eq!(cleaned(path.as_bytes()), clean.as_bytes(), "{path}");
        }
    }

    #[test]
    fn the_empty_path_has_no_room_to_become_clean() {
        assert_eq!(clean(&mut []), 0);
        assert!(!is_clean(b""));
    }

    #[test]
    fn the_parent_of_the_root_is_the_root() {
        assert_eq!(parent(b"/"), b"/");
        assert_eq!(parent(b"/a"), b"/");
        assert_eq!(parent(b"/a/b"), b"/a");
        assert_eq!(name(b"/a/b"), b"b");
        assert_eq!(name(b"/a"), b"a");
        assert_eq!(name(b"/"), b"");
    }

    #[test]
    fn inside_means_by_components_and_strictly() {
        for (path, dir, inside) in [
            ("/a/b", "/a", true),
            ("/a/b", "/", true),
            ("/a", "/", true),
            ("/ab", "/a", false),
            ("/a", "/a", false),
            ("/", "/", false),
            ("/", "/a", false),
        ] {
            assert_eq!(is_inside(path.as_bytes(), dir.as_bytes()), inside, "{path} in {dir}");
            assert_eq!(covers(dir.as_bytes(), path.as_bytes()), inside || path == dir, "{dir} covers {path}");
        }
    }

    #[test]
    fn below_gives_the_rest_without_its_slash() {
        assert_eq!(below(b"/a/b/c", b"/a"), Some(&b"b/c"[..]));
        assert_eq!(below(b"/a/b", b"/"), Some(&b"a/b"[..]));
        assert_eq!(below(b"/a", b"/a"), Some(&b""[..]));
        assert_eq!(below(b"/", b"/"), Some(&b""[..]));
        assert_eq!(below(b"/ab", b"/a"), None);
    }

    #[test]
    fn a_directory_sorts_between_its_like_and_its_contents() {
        let order: [&[u8]; 5] = [b"/", b"/q-1", b"/q.1", b"/q", b"/q/z"];
        for (at, a) in order.iter().enumerate() {
            for (against, b) in order.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&against), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn prefixes_lead_from_the_root_to_the_path() {
        let list: Vec<_> = prefixes(b"/a/b/c").collect();
        assert_eq!(list, [&b"/a"[..], b"/a/b", b"/a/b/c"]);
        assert_eq!(prefixes(b"/").count(), 0);
        assert_eq!(prefixes(b"/a").collect::<Vec<_>>(), [b"/a"]);
        assert_eq!(components(b"//a/b/").collect::<Vec<_>>(), [b"a", b"b"]);
    }

    fn path_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(std::vec!["/", "/", ".", "..", "a", "b-", "$"]);
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn cleaning_agrees_with_the_obvious_version(path in path_like()) {
            prop_assert_eq!(cleaned(&path), naively_cleaned(&path));
        }

        #[test]
        fn cleaning_twice_is_cleaning_once(path in path_like()) {
            let once = cleaned(&path);
            prop_assert_eq!(cleaned(&once), once.clone());
            prop_assert_eq!(is_clean(&path), !path.is_empty() && path == once);
        }

        #[test]
        fn the_order_is_that_of_the_closed_paths(a in path_like(), b in path_like()) {
            let closed = |path: &[u8]| if path.ends_with(b"/") { path.to_vec() } else { [path, b"/"].concat() };
            prop_assert_eq!(compare(&a, &b), closed(&a).cmp(&closed(&b)));
        }
    }
}
