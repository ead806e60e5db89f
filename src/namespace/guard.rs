// SPDX-License-Identifier: GPL-3.0-only
//! A process beside ours that thaws the snap's processes should we die before we do it.
//!
//! It waits for the end of a pipe whose other end only we hold: that comes with our death, whatever the cause. It has left
//! our group of processes and holds on to nothing but that pipe and the files that thaw: not to the lock, nor to the output
//! of whoever started us, who waits for its end. When all has gone well it is told to leave, and waited for: later it
//! would thaw what the next run has frozen.
#![forbid(unsafe_code)]

use crate::kernel::process::{self, Fork};
use crate::kernel::{Fd, Result, file};

/// The process that watches over us.
#[derive(Debug)]
pub struct Guard {
    pipe: Fd,
    child: u32,
}

impl Guard {
    /// Starts the process. In it `keeps` tells which descriptors are needed to thaw; and when that is to be done, it goes on
    /// without a guard.
    pub fn start(keeps: &dyn Fn(&Fd) -> bool) -> Result<Option<Guard>> {
        let (read, write) = process::pipe()?;
        match process::fork()? {
            Fork::Parent(child) => Ok(Some(Guard { pipe: write, child })),
            Fork::Child => {
                process::leave_group();
                process::close_all(&|fd| *fd == read || keeps(fd));
                // One byte: all is well. None: we are dead.
                if file::read(&read, &mut [0]) != Ok(0) {
                    process::leave(0);
                }
                Ok(None)
            }
        }
    }

    /// Lets it go, and waits for its end. If not all is well, or should it not get the byte, it sees the end of the pipe and
    /// thaws.
    pub fn dismiss(self, well: bool) {
        if well {
            let _ = file::write_all(&self.pipe, b".");
        }
        drop(self.pipe);
        process::wait_for(self.child);
    }
}
