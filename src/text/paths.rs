// SPDX-License-Identifier: GPL-3.0-only
//! Many paths, as numbers: sorted so that a directory stands in front of everything below it. Who
//! lies above or below whom is a comparison of numbers then.
#![forbid(unsafe_code)]

use super::{path, sort};
use crate::kernel::list::List;
use crate::text::arena::Arena;
use core::cell::Cell;
use core::cmp::Ordering;

/// The place of a path in [`Paths`].
pub type PathId = u32;

/// No path.
pub const NOWHERE: PathId = PathId::MAX;

/// A path and its surroundings.
#[derive(Clone, Copy)]
pub struct Place<'t> {
    path: &'t [u8],
    /// The nearest path of the set above it.
    above: PathId,
    /// The first path behind it that does not lie below it.
    end: PathId,
    /// Where the first that belongs to it is among all, sorted.
    first: u32,
    /// Of each kind its own mark, and the highest of all below it.
    marks: [(u32, u32); 5],
}

/// A sorted set of clean paths.
pub struct Paths<'t> {
    places: List<'t, Place<'t>>,
    /// The place of each by the number that it was added with.
    ids: List<'t, PathId>,
    /// These numbers, sorted by path.
    order: List<'t, u64>,
    /// Where a path was found, and where the nearest of one.
    last: [Cell<usize>; 2],
}

impl Default for Paths<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'t> Paths<'t> {
    /// No paths.
    pub const fn new() -> Self {
        let last = [const { Cell::new(0) }; 2];
        Paths { places: List::new(), ids: List::new(), order: List::new(), last }
    }

    /// Forgets everything, and sees that there is room for the paths of so many numbers.
    pub fn claim(&mut self, most: usize, arena: &mut Arena<'t>) {
        self.places.claim(most, arena);
        self.ids.claim(most, arena);
        self.order.claim(2 * most, arena);
    }

    /// Adds the path of a number, higher than all before; two paths may be the same. There is room for it.
    pub fn add(&mut self, number: usize) {
        let _ = self.order.push(number as u64);
    }

    /// The place of the path that was added with a number.
    pub fn id(&self, number: usize) -> PathId {
        self.ids.get(number).copied().unwrap_or(NOWHERE)
    }

    /// The numbers that were added, sorted by their paths; of equals the lower number comes first.
    pub fn numbers(&self) -> &[u64] {
        &self.order
    }

    /// What belongs to the paths from one on to before another in a list that is sorted by them: that of
    /// [`Paths::numbers`], or the one that was [indexed](Paths::index).
    #[inline(never)]
    pub fn part<'a>(&self, list: &'a [u64], from: PathId, to: PathId) -> &'a [u64] {
        let first =
            |id: PathId| self.places.get(id as usize).map_or(list.len(), |place| place.first as usize);
        list.get(first(from)..first(to)).unwrap_or_default()
    }

    /// Notes where what belongs to each path is in a sorted list of keys, which have the path in their upper half.
    pub fn index(&mut self, keys: &[u64]) {
        let mut at = 0;
        for (place, id) in self.places.iter_mut().zip(0u64..) {
            while keys.get(at).is_some_and(|key| *key >> 32 < id) {
                at += 1;
            }
            place.first = at as u32;
        }
    }

    /// Sorts, takes each path once, and finds out who lies below whom.
    pub fn build(&mut self, path_of: &dyn Fn(u64) -> &'t [u8]) {
        let Paths { places, ids, order, .. } = self;
        // The last is the highest.
        let count = order.last().map_or(0, |last| *last + 1);
        ids.extend(count as usize, NOWHERE);
        sort::sort(order, &|a, b| path::compare(path_of(a), path_of(b)) == Ordering::Less);
        let mut last = NOWHERE;
        for (number, first) in order.iter().zip(0u32..) {
            let path = path_of(*number);
            last = close(places, last, Some(path));
            let next = places.len() as PathId;
            if places.get(last as usize).is_none_or(|open| open.path != path) {
                let _ = places.push(Place { path, above: last, end: NOWHERE, first, marks: [(0, 0); 5] });
                last = next;
            }
            if let Some(id) = ids.get_mut(*number as usize) {
                *id = last;
            }
        }
        close(places, last, None);
    }

    fn search(&self, path: &[u8], nearest: usize) -> usize {
        let before = |at: usize| {
            self.places.get(at).is_some_and(|place| path::compare(place.path, path) == Ordering::Less)
        };
        sort::partition_near(self.places.len(), &self.last[nearest], &before)
    }

    /// The place of a path or, where it was not added, of the next in order: if anything lies below it, the first such.
    pub fn first_from(&self, path: &[u8]) -> PathId {
        self.search(path, 0) as PathId
    }

    /// The place of a path; [`NOWHERE`] when it was not added.
    pub fn find(&self, path: &[u8]) -> PathId {
        let at = self.search(path, 0);
        if self.places.get(at).is_some_and(|place| place.path == path) { at as PathId } else { NOWHERE }
    }

    /// The path of a number.
    pub fn path(&self, id: PathId) -> Option<&'t [u8]> {
        self.places.get(id as usize).map(|place| place.path)
    }

    /// A path as it stands in one that was added, if it is a prefix of one, or one itself.
    pub fn on_the_way(&self, path: &[u8]) -> Option<&'t [u8]> {
        let found = self.places.get(self.search(path, 0))?.path;
        if path::covers(path, found) { found.get(..path.len()) } else { None }
    }

    /// The nearest path above, or [`NOWHERE`].
    pub fn above(&self, id: PathId) -> PathId {
        self.places.get(id as usize).map_or(NOWHERE, |place| place.above)
    }

    /// The nearest path at or above one that need not have been added.
    pub fn nearest(&self, path: &[u8]) -> PathId {
        let at = self.search(path, 1);
        let mut id = match self.places.get(at) {
            Some(place) if place.path == path => at as PathId,
            _ => (at as PathId).wrapping_sub(1),
        };
        while let Some(place) = self.places.get(id as usize) {
            if path::covers(place.path, path) {
                break;
            }
            id = place.above;
        }
        id
    }

    /// The first number behind those of everything below.
    #[inline(never)]
    pub fn end(&self, id: PathId) -> PathId {
        self.places.get(id as usize).map_or(0, |place| place.end)
    }
}

/// Closes the directories that do not hold a path, from the last opened one on. Returns the one that does.
fn close(places: &mut [Place<'_>], last: PathId, path: Option<&[u8]>) -> PathId {
    let end = places.len() as PathId;
    let mut last = last;
    while let Some(open) = places.get_mut(last as usize)
        && !path.is_some_and(|path| path::covers(open.path, path))
    {
        open.end = end;
        last = open.above;
    }
    last
}

/// What a plan marks paths for. Of each kind a path has a number, 0 at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Something changes there.
    Changed,
    /// Something goes there.
    Gone,
    /// Something comes there.
    Coming,
    /// Something earlier is there.
    Early,
    /// A mimic on record has a part there.
    Part,
}

impl Paths<'_> {
    /// Sets all marks of a kind to 0.
    pub fn reset(&mut self, kind: Mark) {
        for place in self.places.iter_mut() {
            place.marks[kind as usize] = (0, 0);
        }
    }

    /// Raises the mark of a path.
    pub fn raise(&mut self, kind: Mark, id: PathId, mark: u32) {
        let mut above = NOWHERE;
        if let Some(place) = self.places.get_mut(id as usize) {
            let (own, _) = &mut place.marks[kind as usize];
            *own = mark.max(*own);
            above = place.above;
        }
        // What lies further above has as high a mark below it.
        while let Some(place) = self.places.get_mut(above as usize) {
            let (_, below) = &mut place.marks[kind as usize];
            if *below >= mark {
                break;
            }
            *below = mark;
            above = place.above;
        }
    }

    /// The mark of a path, and the highest of all below it.
    #[inline(never)]
    fn marks(&self, kind: Mark, id: PathId) -> (u32, u32) {
        self.places.get(id as usize).map_or((0, 0), |place| place.marks[kind as usize])
    }

    /// The mark of a path itself.
    pub fn at(&self, kind: Mark, id: PathId) -> u32 {
        self.marks(kind, id).0
    }

    /// The highest mark of a path strictly below.
    pub fn below(&self, kind: Mark, id: PathId) -> u32 {
        self.marks(kind, id).1
    }

    /// The highest mark of a path and of what lies below.
    #[inline(never)]
    pub fn from(&self, kind: Mark, id: PathId) -> u32 {
        let (own, below) = self.marks(kind, id);
        own.max(below)
    }

    /// The highest mark of a path strictly above.
    pub fn mark_above(&self, kind: Mark, id: PathId) -> u32 {
        let mut highest = 0;
        let mut above = self.above(id);
        while above != NOWHERE {
            highest = self.at(kind, above).max(highest);
            above = self.above(above);
        }
        highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn set(paths: &'static [&'static str]) -> Paths<'static> {
        let mut set = Paths::new();
        set.claim(paths.len(), &mut Arena::new(Vec::leak(std::vec![0; 4096])));
        (0..paths.len()).for_each(|number| set.add(number));
        set.build(&|number| paths[number as usize].as_bytes());
        set
    }

    #[test]
    fn a_path_knows_what_lies_above_and_below_it() {
        let set = set(&["/b", "/a/b/c", "/a", "/a-1", "/a/b", "/a", "/a/z"]);
        let id = |path: &str| set.find(path.as_bytes());
        assert_eq!(set.above(id("/a/b/c")), id("/a/b"));
        assert_eq!(set.above(id("/a/b")), id("/a"));
        assert_eq!(set.above(id("/a")), NOWHERE);
        assert_eq!(set.end(id("/a")), id("/b"));
        assert_eq!(set.end(id("/a/b")), id("/a/z"));
        assert_eq!((set.id(0), set.id(2), set.id(5)), (id("/b"), id("/a"), id("/a")));
        assert_eq!(set.find(b"/a/b/c/d"), NOWHERE);
        assert_eq!(set.nearest(b"/a/b/c/d"), id("/a/b/c"));
        assert_eq!(set.nearest(b"/a/y"), id("/a"));
        assert_eq!(set.nearest(b"/c"), NOWHERE);
        assert_eq!(
            [&b"/a/b"[..], b"/", b"/a/c"].map(|path| set.on_the_way(path)),
            [Some(&b"/a/b"[..]), Some(b"/"), None]
        );
    }

    #[test]
    fn a_mark_is_seen_from_above_and_from_below() {
        let mut set = set(&["/", "/a", "/a/b", "/a/b/c", "/d"]);
        let [root, a, b, c, d] = ["/", "/a", "/a/b", "/a/b/c", "/d"].map(|path| set.find(path.as_bytes()));
        set.raise(Mark::Gone, b, 7);
        assert_eq!([a, root, b].map(|id| set.below(Mark::Gone, id)), [7, 7, 0]);
        assert_eq!([c, d].map(|id| set.mark_above(Mark::Gone, id)), [7, 0]);
        assert_eq!((set.at(Mark::Gone, b), set.at(Mark::Coming, b)), (7, 0));
        set.reset(Mark::Gone);
        assert_eq!((set.at(Mark::Gone, b), set.from(Mark::Gone, root)), (0, 0));
    }
}
