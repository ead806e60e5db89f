// SPDX-License-Identifier: GPL-3.0-only
//! A hostile process: it swaps names as fast as it can, on another processor, while the program works.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::thread::{
    CpuSet, LinkNameSpaceType, UnshareFlags, move_into_link_name_space, sched_getcpu, sched_setaffinity,
    unshare_unsafe,
};

use crate::arena::Slot;

/// Who meddles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A process of the snap. It cannot rename what is a mount point to it.
    Snap,
    /// A process of the host, to which the snap's mount points are names like any other.
    Host,
}

/// A mount namespace that never sees what the program mounts.
pub fn elsewhere() -> OwnedFd {
    let make = || {
        // SAFETY: a namespace of the thread's own does no harm to others.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("make a namespace");
        File::open("/proc/thread-self/ns/mnt").expect("open a namespace").into()
    };
    thread::scope(|scope| scope.spawn(make).join().expect("make a namespace"))
}

/// Does something while somebody meddles; also says how often names were swapped.
pub fn meddle<T>(slots: &[Slot], who: Who, host: &OwnedFd, seed: u64, act: impl FnOnce() -> T) -> (T, u64) {
    let (ready, over, swaps) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    let cpu = sched_getcpu();
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            leave(cpu);
            if who == Who::Host {
                // SAFETY: a working directory of the thread's own does no harm to others.
                unsafe { unshare_unsafe(UnshareFlags::FS) }.expect("a working directory of one's own");
                move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Mount))
                    .expect("go to the host");
            }
            ready.store(true, Ordering::Release);
            let mut random = seed | 1;
            // Quick ones meet a single look and its use, slow ones what lies farther apart.
            let rest = [0, 20, 100, 500, 2500][(seed % 5) as usize] / slots.len().min(5);
            while !over.load(Ordering::Relaxed) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                slots[(random % slots.len() as u64) as usize].swap();
                swaps.fetch_add(1, Ordering::Relaxed);
                for _ in 0..rest {
                    std::hint::spin_loop();
                }
            }
        });
        while !ready.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let done = act();
        over.store(true, Ordering::Relaxed);
        done
    });
    (done, swaps.into_inner())
}

/// Moves this thread to another processor, if there is one.
fn leave(cpu: usize) {
    let mut others = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|other| *other != cpu).for_each(|other| others.set(other));
    // On a machine with one processor they take turns.
    let _ = sched_setaffinity(None, &others);
}
