//! The HTTP/1.1 client of the data path against real sockets: servers that speak bytes from a script, and hyper's.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cancel;
mod duplex;
mod framing;
mod interim;
mod pool;
mod proxy;
mod request;
mod retry;
mod support;
