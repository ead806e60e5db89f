// SPDX-License-Identifier: GPL-3.0-only
//! Mounting and unmounting: mount(2) and umount2(2), by descriptor.
