// SPDX-License-Identifier: GPL-3.0-only
//! A kernel that does not know some calls: a seccomp(2) filter that refuses them, as an older kernel or a container
//! does.

use std::io;

/// Calls by number, and what each is answered with.
pub type Refused = &'static [(libc::c_long, i32)];

/// openat2(2) of before Linux 5.6: paths are walked by steps.
pub const NO_OPENAT2: Refused = &[(libc::SYS_openat2, libc::ENOSYS)];

/// The calls for mounting that came after mount(2), with what a kernel or a filter answers that does not have them.
pub const fn newer(errno: i32) -> [(libc::c_long, i32); 10] {
    [
        (libc::SYS_open_tree, errno),
        (libc::SYS_move_mount, errno),
        (libc::SYS_fsopen, errno),
        (libc::SYS_fsconfig, errno),
        (libc::SYS_fsmount, errno),
        (libc::SYS_fspick, errno),
        (libc::SYS_mount_setattr, errno),
        // statmount(2), listmount(2) and open_tree_attr(2).
        (457, errno),
        (458, errno),
        (467, errno),
    ]
}

/// What a kernel of before Linux 4.11 does not know, of the calls that the program makes.
pub const OF_OLD: Refused = &{
    let newer = newer(libc::ENOSYS);
    let mut all = [(0, libc::ENOSYS); 13];
    let mut at = 0;
    while at < newer.len() {
        all[at] = newer[at];
        at += 1;
    }
    all[10].0 = libc::SYS_openat2;
    all[11].0 = libc::SYS_close_range;
    all[12].0 = libc::SYS_statx;
    all
};

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
