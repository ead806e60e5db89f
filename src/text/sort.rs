// SPDX-License-Identifier: GPL-3.0-only
//! Sorting in place without recursion and without a way to panic, which the sort of `core` does not promise.
#![forbid(unsafe_code)]

/// Sorts the list so that nothing stands behind something it is to come `before`: heapsort, at most about
/// 2 n log₂ n questions. Not stable: let `before` break ties.
pub fn sort<T: Copy>(list: &mut [T], mut before: impl FnMut(&T, &T) -> bool) {
    sort_with(list, &mut before);
}

/// Once for each kind of thing, not for each order.
#[inline(never)]
fn sort_with<T: Copy>(list: &mut [T], before: &mut dyn FnMut(&T, &T) -> bool) {
    heap_sort(list.len(), &mut |a, b, swap| {
        // The first always stands before the second.
        let Some((front, behind)) = list.split_at_mut_checked(b) else { return false };
        let (Some(a), Some(b)) = (front.get_mut(a), behind.first_mut()) else { return false };
        if swap {
            core::mem::swap(a, b);
            return true;
        }
        before(a, b)
    });
}

/// Sorts numbers, the smallest first: keys with a position in their lower half sort a list of anything.
pub fn sort_keys(list: &mut [u64]) {
    sort_with(list, &mut |a, b| a < b);
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

/// What the algorithm, which is the same for all lists, asks of one: with `false`, whether the first comes before the
/// second; with `true`, to let them change places.
type Ask<'l> = &'l mut dyn FnMut(usize, usize, bool) -> bool;

fn heap_sort(len: usize, list: Ask<'_>) {
    let mut root = len / 2;
    while root > 0 {
        root -= 1;
        sink(root, len, list);
    }
    let mut end = len;
    while end > 1 {
        end -= 1;
        // The top of the heap is the last of what is left.
        list(0, end, true);
        sink(0, end, list);
    }
}

/// Restores the heap below `root` in the first `end` places: no child comes behind its parent.
#[inline(never)]
fn sink(root: usize, end: usize, list: Ask<'_>) {
    let mut parent = root;
    loop {
        let mut child = 2 * parent + 1;
        if child >= end {
            return;
        }
        if child + 1 < end && list(child, child + 1, false) {
            child += 1;
        }
        if !list(parent, child, false) {
            return;
        }
        list(parent, child, true);
        parent = child;
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
        for make in [|n| n, |n| LEN - n, |_| 7, |n| n % 10, |n: u32| n.wrapping_mul(2_654_435_761)] {
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
