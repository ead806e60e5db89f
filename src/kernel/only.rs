// SPDX-License-Identifier: GPL-3.0-only
//! What there is one of while the program runs, each at a place that is known when it is linked. So a reference to it takes no
//! room, and nobody has to hand on where it is: that is a kilobyte of code.

use crate::apply::Results;
use crate::apply::ground::Ground;
use crate::apply::notes::Notes;
use crate::apply::walk::Walker;
use crate::limits::MEMORY;
use crate::log::Log;
use crate::mount::table::Table;
use crate::namespace::freezer::Frozen;
use crate::plan::{Plan, Profile};
use crate::text::arena::Arena;
use crate::update::{Run, Work};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// What has a place of its own.
///
/// # Safety
///
/// It is always the same place that is told, and nobody names it elsewhere.
pub unsafe trait Single {
    /// Where it is.
    fn place() -> *mut Self;
}

macro_rules! single {
    ($($name:ident: $of:ty = $value:expr;)*) => { $(
        static mut $name: $of = $value;

        // SAFETY: it is a static, which nobody else names.
        unsafe impl Single for $of {
            fn place() -> *mut Self {
                (&raw mut $name).cast()
            }
        }
    )* };
}

/// What everything is read into, and room for all lists.
#[cfg_attr(target_env = "musl", unsafe(link_section = ".bss.FAR"))]
static mut TEXT: [u8; MEMORY.max] = [0; MEMORY.max];

/// All of that.
const fn text() -> &'static mut [u8] {
    let text = &raw mut TEXT;
    // SAFETY: it is asked for once, and nobody else names it, so the reference is the only one.
    unsafe { &mut *text }
}

static mut DESIRED: Profile<'static> = Profile::new();
static mut RECORD: Profile<'static> = Profile::new();

single! {
    PLAN: Plan<'_> = Plan::new();
    TABLE: Table<'_> = Table::new();
    NOTES: Notes<'_> = Notes::new();
    RESULTS: Results<'_> = Results::new();
    ARENA: Arena<'_> = Arena::new(text());
    LOG: Log = Log::new(false);
    GROUND: Ground<'_> = Ground::new();
    WALKER: Walker<'_> = Walker::new();
    FROZEN: Frozen = Frozen::new();
}

/// Lends it all.
///
/// # Safety
///
/// It is called once, and there is one thread.
pub unsafe fn lend() -> Run {
    let (desired, record) = (&raw mut DESIRED, &raw mut RECORD);
    // SAFETY: nobody else names them, so these references are the only ones.
    let (desired, record) = unsafe { (&mut *desired, &mut *record) };
    let work = Work {
        plan: Only(PhantomData),
        table: Only(PhantomData),
        notes: Only(PhantomData),
        results: Only(PhantomData),
        arena: Only(PhantomData),
        log: Only(PhantomData),
        ground: Only(PhantomData),
        walker: Only(PhantomData),
        frozen: Only(PhantomData),
    };
    Run { desired, record, work }
}

/// The owner of one of these.
pub struct Only<T>(PhantomData<*mut T>);

impl<T: Single> Only<T> {
    /// A reference of which there can be more.
    pub fn share(&self) -> Shared<'_, T> {
        Shared(PhantomData)
    }
}

impl<T: Single> Deref for Only<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: there is one owner, who lends it and does not change it meanwhile.
        unsafe { &*T::place() }
    }
}

impl<T: Single> DerefMut for Only<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: there is one owner, who lends it to nobody else meanwhile.
        unsafe { &mut *T::place() }
    }
}

/// What an owner lends to everybody.
pub struct Shared<'a, T>(PhantomData<&'a T>);

impl<'a, T: Single> Shared<'a, T> {
    /// The same as an ordinary reference.
    #[inline(always)]
    pub fn lent(&self) -> &'a T {
        // SAFETY: its owner does not change it for so long.
        unsafe { &*T::place() }
    }
}

impl<T: Single> Deref for Shared<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.lent()
    }
}
