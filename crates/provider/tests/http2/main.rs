//! The HTTP/2 client over real sockets.

mod calls;
mod lines;
mod support;
mod unprocessed;
