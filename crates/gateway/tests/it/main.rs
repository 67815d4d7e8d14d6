//! The gateway over real sockets.

mod conformance;
mod support;
