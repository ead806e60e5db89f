// SPDX-License-Identifier: GPL-3.0-only
//! Sorting without recursion and without a way to panic, which the sort of `core` does not promise.
#![forbid(unsafe_code)]

use crate::kernel::list::List;
use core::cell::Cell;
use core::ops::Range;
use heapless::Vec;

/// Sorts numbers so that none stands behind another that it is to come `before`, in a list that has room for twice as
/// many: runs that are in order are merged with each other, so a list that is in order is only looked at. Stable: what is
/// the same stays in its order.
#[inline(never)]
pub fn sort(list: &mut List<'_, u64>, before: &dyn Fn(u64, u64) -> bool) {
    let len = list.len();
    // Where runs begin. Two are merged when the third lies in another block of a power of two.
    let mut runs = Vec::<usize, 64>::new();
    let mut end = 0;
    while end < len {
        let _ = runs.push(end);
        let rest = list.get(end..).unwrap_or_default().windows(2);
        end += 1 + rest.take_while(|pair| !before(pair[1], pair[0])).count();
        while let [.., first, second] = runs[..]
            && (end == len || first ^ second < second ^ end)
        {
            runs.pop();
            merge(list, first..second, end, before);
        }
    }
}

/// Merges a run with the one behind it, which ends before a place.
fn merge(list: &mut List<'_, u64>, run: Range<usize>, end: usize, before: &dyn Fn(u64, u64) -> bool) {
    let len = list.len();
    for at in run.clone() {
        let number = list.get(at).copied().unwrap_or_default();
        let _ = list.push(number);
    }
    let (list_of, room) = list.split_at_mut_checked(len).unwrap_or_default();
    let (mut place, mut right) = (run.start, run.end);
    // When all of them are in, the others are in their places.
    let mut lefts = &*room;
    while let [left, others @ ..] = lefts {
        let next = list_of.get(right..end).and_then(<[u64]>::first).copied();
        let next = next.filter(|next| before(*next, *left));
        if let Some(place) = list_of.get_mut(place) {
            *place = next.unwrap_or(*left);
        }
        place += 1;
        match next {
            Some(_) => right += 1,
            None => lefts = others,
        }
    }
    list.truncate(len);
}

/// Lists the places of things, so many, in the order in which they come `before` each other.
#[inline(never)]
pub fn sort_places(list: &mut List<'_, u64>, len: usize, before: &dyn Fn(u64, u64) -> bool) {
    list.clear();
    for place in 0..len as u64 {
        let _ = list.push(place);
    }
    sort(list, before);
}

/// Sorts numbers, the smallest first: keys with a position in their lower half sort a list of anything.
#[inline(never)]
pub fn sort_keys(list: &mut List<'_, u64>) {
    sort(list, &|a, b| a < b);
}

/// How many of the first `len` places come before what is looked for, in a list where no such place stands behind
/// another one: a binary search, so `before` is asked about log₂ len times.
pub fn partition(len: usize, before: &dyn Fn(usize) -> bool) -> usize {
    search(len, len / 2, len, before)
}

/// The same, from where the last search ended: neighbours are found at once.
pub fn partition_near(len: usize, last: &Cell<usize>, before: &dyn Fn(usize) -> bool) -> usize {
    let found = search(len, last.get(), 0, before);
    last.set(found);
    found
}

/// A search that begins somewhere, and goes on from there by a step that is doubled each time until what is looked for
/// lies between two places.
#[inline(never)]
fn search(len: usize, first: usize, step: usize, before: &dyn Fn(usize) -> bool) -> usize {
    let (mut start, mut end, mut at, mut step) = (0, len, first, step);
    while start < end {
        if before(at) {
            start = at + 1;
        } else {
            end = at;
        }
        at = start + (end - start) / 2;
        if end == len {
            at = at.min(start + step);
        } else if start == 0 {
            at = at.max(end.saturating_sub(step + 1));
        }
        step = step * 2 + 1;
    }
    start
}

/// How many keys of a sorted list are lower than one.
#[inline(never)]
pub fn bound(keys: &[u64], key: u64) -> usize {
    partition(keys.len(), &|at| keys.get(at).is_some_and(|found| *found < key))
}

/// The keys of a sorted list from one on.
pub fn from(keys: &[u64], key: u64) -> &[u64] {
    keys.get(bound(keys, key)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::arena::Arena;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn room(most: usize) -> List<'static, u64> {
        let mut list = List::new();
        list.claim(most, &mut Arena::new(Vec::leak(std::vec![0; 8 * (most + 2)])));
        list
    }

    /// The list, sorted in such a place as the program has.
    fn sorted(list: &[u64], before: &dyn Fn(u64, u64) -> bool) -> Vec<u64> {
        let mut room = room(2 * list.len());
        list.iter().for_each(|number| room.push(*number).unwrap());
        sort(&mut room, before);
        room.to_vec()
    }

    #[test]
    fn lists_of_none_one_and_two_are_sorted() {
        for list in [&[][..], &[1], &[1, 2], &[2, 1], &[1, 1]] {
            let mut expected = list.to_vec();
            expected.sort();
            assert_eq!(sorted(list, &|a, b| a < b), expected);
        }
    }

    #[test]
    fn the_number_of_questions_is_bounded_also_for_lists_in_order() {
        const LEN: u32 = 50_000;
        let bound = LEN * (LEN.ilog2() + 1);
        for make in [
            |n| n,
            |n| LEN - n,
            |_| 7,
            |n| n % 10,
            |n| n % 256,
            |n| n * 117 % LEN,
            |n| n % 257 * 200 + n / 257,
            |n: u32| n.min(LEN - n),
            |n: u32| n.wrapping_mul(2_654_435_761),
        ] {
            let list: Vec<u64> = (0..LEN).map(make).map(u64::from).collect();
            let questions = core::cell::Cell::new(0);
            let list = sorted(&list, &|a, b| {
                questions.set(questions.get() + 1);
                a < b
            });
            assert!(list.is_sorted());
            let questions = questions.get();
            assert!(questions <= bound, "{questions} > {bound}");
        }
    }

    #[test]
    fn what_is_the_same_stays_in_its_order() {
        let list: Vec<u64> = (0..1000).map(|n| ((n * 117 % 7) << 32) | n).collect();
        assert!(sorted(&list, &|a, b| a >> 32 < b >> 32).is_sorted());
    }

    #[test]
    fn an_inconsistent_order_still_ends_and_loses_nothing() {
        let flip = core::cell::Cell::new(false);
        let mut list = sorted(&(0..100).collect::<Vec<_>>(), &|_, _| {
            flip.set(!flip.get());
            flip.get()
        });
        list.sort();
        assert_eq!(list, (0..100).collect::<Vec<u64>>());
    }

    #[test]
    fn places_are_sorted_by_what_is_there() {
        let mut places = room(8);
        sort_places(&mut places, 4, &|a, b| b"dacb"[a as usize] < b"dacb"[b as usize]);
        assert_eq!(*places, [1, 3, 2, 0]);
    }

    #[test]
    fn a_partition_is_found_at_its_first_place() {
        for len in 0..20 {
            for places in 0..=len {
                assert_eq!(partition(len, &|at| at < places), places);
            }
        }
    }

    #[test]
    fn keys_are_sorted_by_their_upper_half_first() {
        let mut list = room(10);
        for key in [3 << 32, 1 << 32 | 7, 1 << 32 | 2, 9, u64::MAX] {
            list.push(key).unwrap();
        }
        sort_keys(&mut list);
        assert_eq!(*list, [9, 1 << 32 | 2, 1 << 32 | 7, 3 << 32, u64::MAX]);
    }

    proptest! {
        #[test]
        fn sorting_agrees_with_the_standard_library(list in prop::collection::vec(0u64..50, 0..200)) {
            let mut expected = list.clone();
            expected.sort();
            prop_assert_eq!(sorted(&list, &|a, b| a < b), expected);
        }
    }
}
