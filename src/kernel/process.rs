// SPDX-License-Identifier: GPL-3.0-only
//! The process itself: identity, capabilities, namespaces, signals, locks, time.
