// SPDX-License-Identifier: GPL-3.0-only
//! Lists in room that is handed out when it is known how much there will be: so what belongs to a few entries lies
//! together, on a few pages, and what belongs to many fits all the same.

use crate::text::arena::Arena;
use core::marker::PhantomData;
use core::mem::{align_of, needs_drop};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;

/// A list with room for so many.
pub struct List<'t, T> {
    room: NonNull<Room>,
    of: PhantomData<&'t mut [T]>,
}

/// What stands in front of the room of a list.
#[repr(C, align(8))]
struct Room {
    len: u32,
    most: u32,
}

// SAFETY: nobody else refers to the room.
unsafe impl<T: Send> Send for List<'_, T> {}

/// The room of a list that has none. Nobody writes to it: it can hold nothing, and there is nothing to be taken away.
static NONE: Room = Room { len: 0, most: 0 };
// SAFETY: a static has an address.
const NOTHING: NonNull<Room> = unsafe { NonNull::new_unchecked((&raw const NONE).cast_mut()) };

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Room {
    /// Room for so many of that size.
    #[inline(never)]
    fn claim(most: usize, size: usize, arena: &mut Arena<'_>) -> NonNull<Room> {
        let bytes = most.saturating_mul(size).saturating_add(size_of::<Room>() + align_of::<Room>() - 1);
        let Ok(room) = arena.take(bytes) else {
            arena.exhaust();
            return NOTHING;
        };
        let room = room.as_mut_ptr();
        let room = room.wrapping_add(room.align_offset(align_of::<Room>())).cast::<Room>();
        // SAFETY: these are bytes of the arena's, and aligned.
        unsafe {
            room.write(Room { len: 0, most: most as u32 });
            NonNull::new_unchecked(room)
        }
    }
}

impl<'t, T> List<'t, T> {
    /// A list without room.
    pub const fn new() -> Self {
        const { assert!(align_of::<T>() <= align_of::<Room>() && !needs_drop::<T>()) };
        List { room: NOTHING, of: PhantomData }
    }

    /// Makes it an empty list with room for so many. Where not enough is left it has room for none, and the arena is full from
    /// then on: see [`Arena::check`].
    pub fn claim(&mut self, most: usize, arena: &mut Arena<'t>) {
        self.room = Room::claim(most, size_of::<T>(), arena);
    }

    fn room(&self) -> &Room {
        // SAFETY: it is ours, and lasts as long as we do.
        unsafe { self.room.as_ref() }
    }

    /// Where they are: behind that.
    fn start(&self) -> *mut T {
        // SAFETY: there is that much.
        unsafe { self.room.add(1) }.as_ptr().cast()
    }

    /// Adds one at the end; gives it back when there is no room.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let Room { len, most } = *self.room();
        if len >= most {
            return Err(value);
        }
        // SAFETY: the place lies in the room.
        unsafe { self.start().add(len as usize).write(value) };
        // SAFETY: the room is ours, and there is some.
        unsafe { (*self.room.as_ptr()).len = len + 1 };
        Ok(())
    }

    /// Takes away the last.
    pub fn pop(&mut self) {
        self.truncate(self.len().saturating_sub(1));
    }

    /// Takes away all.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Takes away all behind the first few.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            // SAFETY: the room is ours, and something is in it.
            unsafe { (*self.room.as_ptr()).len = len as u32 };
        }
    }
}

impl<T: Copy> List<'_, T> {
    /// Adds so many times the same, or as often as there is room.
    pub fn extend(&mut self, count: usize, value: T) {
        for _ in 0..count {
            let _ = self.push(value);
        }
    }
}

impl<T> Deref for List<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many have been written there, and nobody changes them while we are lent.
        unsafe { slice::from_raw_parts(self.start(), self.room().len as usize) }
    }
}

impl<T> DerefMut for List<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: so many have been written there, and nobody else refers to them.
        unsafe { slice::from_raw_parts_mut(self.start(), self.room().len as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_list_takes_what_it_has_room_for() {
        let mut memory = vec![0; 100];
        let mut arena = Arena::new(&mut memory);
        let mut list = List::new();
        assert_eq!((list.push(1u64), list.len()), (Err(1), 0));
        list.claim(3, &mut arena);
        for number in 1..=3u64 {
            assert_eq!(list.push(number), Ok(()));
        }
        assert_eq!((list.push(4), &*list), (Err(4), &[1, 2, 3][..]));
        list.pop();
        list[0] = 7;
        assert_eq!(*list, [7, 2]);
        list.truncate(5);
        list.extend(9, 0);
        assert_eq!(*list, [7, 2, 0]);
        list.clear();
        assert!(list.is_empty());
    }

    #[test]
    fn where_too_little_is_left_a_list_has_room_for_nothing_and_that_is_seen() {
        let mut memory = vec![0; 100];
        let mut arena = Arena::new(&mut memory);
        let mut list = List::<u64>::new();
        list.claim(4, &mut arena);
        assert!(arena.check().is_ok() && list.push(1).is_ok());
        for most in [100, usize::MAX] {
            list.claim(most, &mut arena);
            assert!(arena.check().is_err());
            list.truncate(0);
            list.pop();
            assert_eq!((list.push(1), &*list), (Err(1), &[][..]));
        }
    }
}
