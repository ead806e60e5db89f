// SPDX-License-Identifier: GPL-3.0-only
//! Sorting in place without recursion and without a way to panic, which the sort of `core` does not promise.
#![forbid(unsafe_code)]

use core::cell::Cell;

/// Sorts the list so that nothing stands behind something it is to come `before`: heapsort, at most about
/// 2 n log₂ n questions. Not stable: let `before` break ties.
pub fn sort<T: Copy>(list: &mut [T], mut before: impl FnMut(&T, &T) -> bool) {
    let list = Cell::from_mut(list).as_slice_of_cells();
    let both = |a: usize, b: usize| Some((list.get(a)?, list.get(b)?));
    heap_sort(list.len(), &mut |step| match step {
        Step::Before(a, b) => both(a, b).is_some_and(|(a, b)| before(&a.get(), &b.get())),
        Step::Swap(a, b) => {
            if let Some((a, b)) = both(a, b) {
                let kept = a.get();
                a.set(b.get());
                b.set(kept);
            }
            true
        }
    });
}

/// What the algorithm, which is the same for all lists, asks of one.
enum Step {
    /// Does the first come before the second?
    Before(usize, usize),
    /// Let them change places.
    Swap(usize, usize),
}

fn heap_sort(len: usize, list: &mut dyn FnMut(Step) -> bool) {
    for root in (0..len / 2).rev() {
        sink(root, len, list);
    }
    for end in (1..len).rev() {
        // The top of the heap is the last of what is left.
        list(Step::Swap(0, end));
        sink(0, end, list);
    }
}

/// Restores the heap below `root` in the first `end` places: no child comes behind its parent.
fn sink(root: usize, end: usize, list: &mut dyn FnMut(Step) -> bool) {
    let mut parent = root;
    loop {
        let mut child = 2 * parent + 1;
        if child >= end {
            return;
        }
        if child + 1 < end && list(Step::Before(child, child + 1)) {
            child += 1;
        }
        if !list(Step::Before(parent, child)) {
            return;
        }
        list(Step::Swap(parent, child));
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
