// SPDX-License-Identifier: GPL-3.0-only
//! All paths that a plan speaks of, sorted so that a directory stands in front of everything below it, and
//! marks on them: "what is the highest mark above, at or below this path?" is answered in O(log n).
#![forbid(unsafe_code)]

use crate::limits::PROFILE_ENTRIES;
use crate::text::{path, sort};
use core::cmp::Ordering;

/// Targets and sources of two profiles.
const MOST: usize = 4 * PROFILE_ENTRIES.max;

/// The place of a path in [`Paths`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathId(u32);

/// A sorted set of clean paths.
pub struct Paths<'t> {
    sorted: heapless::Vec<&'t [u8], MOST>,
}

impl<'t> Paths<'t> {
    /// No paths.
    pub const fn new() -> Self {
        Paths { sorted: heapless::Vec::new() }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.sorted.clear();
    }

    /// Adds a path; it may be there already. More than four for each entry are not taken, and never come.
    pub fn add(&mut self, path: &'t [u8]) {
        let _ = self.sorted.push(path);
    }

    /// Sorts, and leaves each path once.
    pub fn build(&mut self) {
        sort::sort(&mut self.sorted, |a, b| path::compare(a, b) == Ordering::Less);
        let mut kept: usize = 0;
        let mut last: Option<&[u8]> = None;
        for at in 0..self.sorted.len() {
            let Some(&here) = self.sorted.get(at) else { break };
            if last == Some(here) {
                continue;
            }
            last = Some(here);
            if let Some(place) = self.sorted.get_mut(kept) {
                *place = here;
                kept += 1;
            }
        }
        self.sorted.truncate(kept);
    }

    /// The place of a path that was added.
    pub fn find(&self, path: &[u8]) -> Option<PathId> {
        let at = self.sorted.partition_point(|p| path::compare(p, path) == Ordering::Less);
        (*self.sorted.get(at)? == path).then_some(PathId(at as u32))
    }

    /// Whether a path is a prefix of one that was added, or one itself.
    pub fn is_on_the_way(&self, path: &[u8]) -> bool {
        let at = self.sorted.partition_point(|p| path::compare(p, path) == Ordering::Less);
        self.sorted.get(at).is_some_and(|p| path::covers(path, p))
    }
}

/// A number on each path, 0 at first: a segment tree of maxima.
pub struct Marks {
    tree: heapless::Vec<u32, { 2 * MOST }>,
}

impl Marks {
    /// No marks at all; [reset](Marks::reset) first.
    pub const fn new() -> Self {
        Marks { tree: heapless::Vec::new() }
    }

    /// Sets all marks to 0.
    pub fn reset(&mut self, paths: &Paths<'_>) {
        self.tree.clear();
        // Twice the paths, which fitted.
        let _ = self.tree.resize(2 * paths.sorted.len(), 0);
    }

    /// Raises the mark of a path.
    pub fn raise(&mut self, id: PathId, mark: u32) {
        let mut at = id.0 as usize + self.tree.len() / 2;
        while let Some(place) = self.tree.get_mut(at) {
            if at == 0 || *place >= mark {
                break;
            }
            *place = mark;
            at /= 2;
        }
    }

    fn get(&self, at: usize) -> u32 {
        self.tree.get(at).copied().unwrap_or(0)
    }

    /// The mark of a path itself.
    pub fn at(&self, id: PathId) -> u32 {
        self.get(id.0 as usize + self.tree.len() / 2)
    }

    /// The highest mark of a directory strictly above a path.
    pub fn above(&self, paths: &Paths<'_>, path: &[u8]) -> u32 {
        if self.get(1) == 0 {
            return 0;
        }
        let root: &[u8] = b"/";
        core::iter::once(root)
            .chain(path::prefixes(path))
            .filter(|prefix| prefix.len() < path.len())
            .filter_map(|prefix| paths.find(prefix))
            .fold(0, |highest, id| highest.max(self.at(id)))
    }

    /// The highest mark of a path strictly below.
    pub fn below(&self, paths: &Paths<'_>, id: PathId) -> u32 {
        if self.get(1) == 0 {
            return 0;
        }
        let Some(dir) = paths.sorted.get(id.0 as usize) else { return 0 };
        let (_, rest) = paths.sorted.split_at_checked(id.0 as usize + 1).unwrap_or_default();
        let mut left = self.tree.len() / 2 + id.0 as usize + 1;
        let mut right = left + rest.partition_point(|p| path::is_inside(p, dir));
        let mut highest = 0;
        while left < right {
            if left & 1 == 1 {
                highest = highest.max(self.get(left));
                left += 1;
            }
            if right & 1 == 1 {
                right -= 1;
                highest = highest.max(self.get(right));
            }
            left /= 2;
            right /= 2;
        }
        highest
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Paths<'_> {
    fn default() -> Self {
        Self::new()
    }
}
