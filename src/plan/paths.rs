// SPDX-License-Identifier: GPL-3.0-only
//! All paths that a plan speaks of, as numbers: sorted so that a directory stands in front of everything below it. Who
//! lies above or below whom is a comparison of numbers then.
#![forbid(unsafe_code)]

use crate::limits::PROFILE_ENTRIES;
use crate::text::{path, sort};
use core::cmp::Ordering;

/// Targets and sources of two profiles.
const MOST: usize = 4 * PROFILE_ENTRIES.max;

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
    /// The first path behind it that does not lie below it; before all are sorted, how many were added before it.
    end: PathId,
}

/// A sorted set of clean paths.
pub struct Paths<'t> {
    places: &'t mut heapless::Vec<Place<'t>, MOST>,
    /// The place of each in the order in which they were added.
    ids: &'t mut heapless::Vec<PathId, MOST>,
}

/// Room for them.
pub struct Places<'t> {
    places: heapless::Vec<Place<'t>, MOST>,
    ids: heapless::Vec<PathId, MOST>,
}

impl Places<'_> {
    /// Empty room.
    pub const fn new() -> Self {
        Places { places: heapless::Vec::new(), ids: heapless::Vec::new() }
    }
}

impl Default for Places<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'t> Paths<'t> {
    /// No paths.
    pub const fn new(memory: &'t mut Places<'t>) -> Self {
        let Places { places, ids } = memory;
        Paths { places, ids }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.places.clear();
        self.ids.clear();
    }

    /// Adds a path, which may be there already; or notes that there is none. More than two for each entry are not
    /// taken, and never come.
    pub fn add(&mut self, path: Option<&'t [u8]>) {
        let end = self.ids.len() as u32;
        let _ = self.ids.push(NOWHERE);
        if let Some(path) = path {
            let _ = self.places.push(Place { path, above: NOWHERE, end });
        }
    }

    /// The place of the path that was added when there were so many before it.
    pub fn id(&self, number: usize) -> PathId {
        self.ids.get(number).copied().unwrap_or(NOWHERE)
    }

    /// Sorts, leaves each path once, and finds out who lies below whom.
    pub fn build(&mut self) {
        sort::sort(self.places, |a, b| path::compare(a.path, b.path) == Ordering::Less);
        let mut kept = 0;
        let mut last = NOWHERE;
        for at in 0..self.places.len() {
            let Some(&here) = self.places.get(at) else { break };
            // Directories that have come to their end.
            while let Some(open) = self.places.get_mut(last as usize) {
                if path::covers(open.path, here.path) {
                    break;
                }
                open.end = kept;
                last = open.above;
            }
            let same = self.places.get(last as usize).is_some_and(|open| open.path == here.path);
            if let Some(place) = self.places.get_mut(kept as usize).filter(|_| !same) {
                *place = Place { above: last, ..here };
                last = kept;
                kept += 1;
            }
            if let Some(id) = self.ids.get_mut(here.end as usize) {
                *id = last;
            }
        }
        while let Some(open) = self.places.get_mut(last as usize) {
            open.end = kept;
            last = open.above;
        }
        self.places.truncate(kept as usize);
    }

    fn search(&self, path: &[u8]) -> usize {
        self.places.partition_point(|place| path::compare(place.path, path) == Ordering::Less)
    }

    /// The first path that is sorted behind one, which need not have been added: if anything lies below it, that.
    pub fn first_behind(&self, path: &[u8]) -> PathId {
        let at = self.search(path);
        let same = self.places.get(at).is_some_and(|place| place.path == path);
        at as PathId + PathId::from(same)
    }

    /// The place of a path; [`NOWHERE`] when it was not added.
    pub fn find(&self, path: &[u8]) -> PathId {
        let at = self.search(path);
        if self.places.get(at).is_some_and(|place| place.path == path) { at as PathId } else { NOWHERE }
    }

    /// The path of a number.
    pub fn path(&self, id: PathId) -> Option<&'t [u8]> {
        self.places.get(id as usize).map(|place| place.path)
    }

    /// Whether a path is a prefix of one that was added, or one itself.
    pub fn is_on_the_way(&self, path: &[u8]) -> bool {
        self.places.get(self.search(path)).is_some_and(|place| path::covers(path, place.path))
    }

    /// The nearest path above, or [`NOWHERE`].
    pub fn above(&self, id: PathId) -> PathId {
        self.places.get(id as usize).map_or(NOWHERE, |place| place.above)
    }

    /// The nearest path at or above one that need not have been added.
    pub fn nearest(&self, path: &[u8]) -> PathId {
        let at = self.search(path);
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
    pub fn end(&self, id: PathId) -> PathId {
        self.places.get(id as usize).map_or(0, |place| place.end)
    }
}

/// A number on each path, 0 at first, and the highest of all below it.
pub struct Marks<'t> {
    marks: &'t mut MarkList,
}

/// Room for them.
pub type MarkList = heapless::Vec<(u32, u32), MOST>;

impl<'t> Marks<'t> {
    /// No marks at all; [reset](Marks::reset) first.
    pub const fn new(marks: &'t mut MarkList) -> Self {
        Marks { marks }
    }

    /// Sets all marks to 0.
    pub fn reset(&mut self, paths: &Paths<'_>) {
        self.marks.clear();
        // One for each path, which fitted.
        let _ = self.marks.resize(paths.places.len(), (0, 0));
    }

    /// Raises the mark of a path.
    pub fn raise(&mut self, paths: &Paths<'_>, id: PathId, mark: u32) {
        if let Some((own, _)) = self.marks.get_mut(id as usize) {
            *own = mark.max(*own);
        }
        let mut above = paths.above(id);
        // What lies further above has as high a mark below it.
        while let Some((_, below)) = self.marks.get_mut(above as usize)
            && *below < mark
        {
            *below = mark;
            above = paths.above(above);
        }
    }

    /// The mark of a path itself.
    #[inline(never)]
    pub fn at(&self, id: PathId) -> u32 {
        self.marks.get(id as usize).map_or(0, |marks| marks.0)
    }

    /// The highest mark of a path strictly below.
    #[inline(never)]
    pub fn below(&self, id: PathId) -> u32 {
        self.marks.get(id as usize).map_or(0, |marks| marks.1)
    }

    /// The highest mark of a path and of what lies below.
    #[inline(never)]
    pub fn from(&self, id: PathId) -> u32 {
        self.at(id).max(self.below(id))
    }

    /// The highest mark of a path strictly above.
    pub fn above(&self, paths: &Paths<'_>, id: PathId) -> u32 {
        let mut highest = 0;
        let mut above = paths.above(id);
        while above != NOWHERE {
            highest = self.at(above).max(highest);
            above = paths.above(above);
        }
        highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    fn set(paths: &[&'static str]) -> Paths<'static> {
        let mut set = Paths::new(Box::leak(Box::default()));
        for path in paths {
            set.add(Some(path.as_bytes()));
        }
        set.build();
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
        assert!(set.is_on_the_way(b"/a/b") && set.is_on_the_way(b"/") && !set.is_on_the_way(b"/a/c"));
    }

    #[test]
    fn a_mark_is_seen_from_above_and_from_below() {
        let set = set(&["/", "/a", "/a/b", "/a/b/c", "/d"]);
        let id = |path: &str| set.find(path.as_bytes());
        let mut marks = Marks::new(Box::leak(Box::default()));
        marks.reset(&set);
        marks.raise(&set, id("/a/b"), 7);
        assert_eq!((marks.below(id("/a")), marks.below(id("/")), marks.below(id("/a/b"))), (7, 7, 0));
        assert_eq!((marks.above(&set, id("/a/b/c")), marks.above(&set, id("/d"))), (7, 0));
        assert_eq!(marks.at(id("/a/b")), 7);
    }
}
