// SPDX-License-Identifier: GPL-3.0-only
//! A kernel that does not know some calls: a seccomp(2) filter that refuses them, as an older kernel or a container
//! does.

use std::io;

/// Calls by number, and what each is answered with.
pub type Refused = &'static [(libc::c_long, i32)];

/// openat2(2) of before Linux 5.6: paths are walked by steps.
pub const NO_OPENAT2: Refused = &[(libc::SYS_openat2, libc::ENOSYS)];

/// A filter, ready to be installed between fork and exec.
pub struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Nothing is allocated after this.
    pub fn new(refused: Refused) -> Filter {
        let step = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
        let answer = |value| step(libc::BPF_RET | libc::BPF_K, value, 0, 0);
        // The first field of struct seccomp_data is the number.
        let mut steps = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
        for (number, errno) in refused {
            steps.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *number as u32, 0, 1));
            steps.push(answer(libc::SECCOMP_RET_ERRNO | *errno as u32));
        }
        steps.push(answer(libc::SECCOMP_RET_ALLOW));
        Filter(steps)
    }

    /// Installs the filter for this process and what it executes; root's to do.
    pub fn install(&self) -> io::Result<()> {
        if self.0.len() == 2 {
            return Ok(());
        }
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the kernel copies the program, which outlives the call.
        let done =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
