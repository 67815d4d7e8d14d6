//! HTTP/2 at the gateway, and to functions that speak it.

mod abuse;
mod calls;
mod connection;
mod functions;
mod support;
