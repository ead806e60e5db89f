// SPDX-License-Identifier: GPL-3.0-only
//! What is said on the way, one line at a time.
#![forbid(unsafe_code)]
