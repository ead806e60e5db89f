// SPDX-License-Identifier: GPL-3.0-only
//! Sorting in place without recursion and without a way to panic, which the sort of `core` does not promise.
#![forbid(unsafe_code)]

/// Sorts the list so that nothing stands behind something it is to come `before`: Shell's sort, about n log₂ n
/// questions and at most twice as many for any list we could think of. Not stable: let `before` break ties.
pub fn sort<T>(list: &mut [T], mut before: impl FnMut(&T, &T) -> bool) {
    shell_sort(list.len(), &mut |front, behind| {
        // They are never the same.
        let Some([front, .., behind]) = list.get_mut(front..behind + 1) else { return false };
        let swaps = before(behind, front);
        if swaps {
            core::mem::swap(front, behind);
        }
        swaps
    });
}

/// Sorts numbers of things so that none stands behind another that it is to come `before`, with as much room beside it:
/// runs of one, two, four and so on are merged; those that are in order already cost one question.
/// Stable: what is the same stays in its order.
#[inline(never)]
pub fn merge_sort(list: &mut [u32], scratch: &mut [u32], before: &dyn Fn(u32, u32) -> bool) {
    let len = list.len();
    let (mut from, mut to) = (list, scratch.get_mut(..len).unwrap_or_default());
    let mut run = 1;
    loop {
        let (mut left, mut right, mut middle, mut end) = (0, 0, 0, 0);
        for (at, place) in to.iter_mut().enumerate() {
            if at == end {
                (left, middle, end) = (at, len.min(at + run), len.min(at + 2 * run));
                if middle < end && !before(number(from, middle), number(from, middle - 1)) {
                    middle = end;
                }
                right = middle;
            }
            let takes_right =
                left == middle || right < end && before(number(from, right), number(from, left));
            let next = if takes_right { &mut right } else { &mut left };
            *place = number(from, *next);
            *next += 1;
        }
        if run >= len {
            // Now it is the same in both.
            return;
        }
        core::mem::swap(&mut from, &mut to);
        run *= 2;
    }
}

fn number(list: &[u32], at: usize) -> u32 {
    list.get(at).copied().unwrap_or_default()
}

/// Sorts numbers, the smallest first: keys with a position in their lower half sort a list of anything.
#[inline(never)]
pub fn sort_keys(list: &mut [u64]) {
    sort(list, |a, b| a < b);
}

/// How many of the first `len` places come before what is looked for, in a list where no such place stands behind
/// another one: a binary search, so `before` is asked about log₂ len times.
#[inline(never)]
pub fn partition(len: usize, before: &dyn Fn(usize) -> bool) -> usize {
    let (mut start, mut end) = (0, len);
    while start < end {
        let middle = start + (end - start) / 2;
        if before(middle) {
            start = middle + 1;
        } else {
            end = middle;
        }
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

/// The algorithm, which is the same for all lists. `order` puts two places in order and says whether they were not.
fn shell_sort(len: usize, order: &mut dyn FnMut(usize, usize) -> bool) {
    // Most lists are in order already.
    let mut gap = if (1..len).all(|at| !order(at - 1, at)) { 0 } else { len };
    while gap > 1 {
        // Like the gaps of Gonnet and Baeza-Yates, (5 gap - 1) / 11, but the last is always 1.
        gap = (5 * gap + 1) / 11;
        for end in gap..len {
            let mut at = end;
            while let Some(front) = at.checked_sub(gap)
                && order(front, at)
            {
                at = front;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn lists_of_none_one_and_two_are_sorted() {
        for list in [&mut [][..], &mut [1], &mut [1, 2], &mut [2, 1], &mut [1, 1]] {
            let mut expected = list.to_vec();
            expected.sort();
            sort(list, |a, b| a < b);
            assert_eq!(list, expected);
        }
    }

    #[test]
    fn the_number_of_questions_is_bounded_also_for_lists_in_order() {
        const LEN: u32 = 50_000;
        let bound = 2 * LEN * (LEN.ilog2() + 1);
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
            let mut list: Vec<u32> = (0..LEN).map(make).collect();
            let mut questions = 0;
            sort(&mut list, |a, b| {
                questions += 1;
                a < b
            });
            assert!(list.is_sorted());
            assert!(questions <= bound, "{questions} > {bound}");
        }
    }

    #[test]
    fn an_inconsistent_order_still_ends_and_loses_nothing() {
        let mut list: Vec<u8> = (0..100).collect();
        let mut flip = false;
        sort(&mut list, |_, _| {
            flip = !flip;
            flip
        });
        list.sort();
        assert_eq!(list, (0..100).collect::<Vec<u8>>());
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
        let mut list = [3 << 32, 1 << 32 | 7, 1 << 32 | 2, 9, u64::MAX];
        sort_keys(&mut list);
        assert_eq!(list, [9, 1 << 32 | 2, 1 << 32 | 7, 3 << 32, u64::MAX]);
    }

    proptest! {
        #[test]
        fn sorting_agrees_with_the_standard_library(mut list in prop::collection::vec(0u16..50, 0..200)) {
            let mut expected = list.clone();
            expected.sort();
            sort(&mut list, |a, b| a < b);
            prop_assert_eq!(list, expected);
        }
    }
}
