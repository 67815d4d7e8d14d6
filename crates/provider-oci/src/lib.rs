//! Functions in containers on this host, with no daemon.
//!
//! The platform's process never makes a container itself: a [launcher] does, a process of the same binary. What the
//! launcher is told is a [`container::ContainerSpec`]; what a function is, this crate's provider knows.

pub mod container;
pub mod launcher;
