//! fwatchdog as its users meet it: the real binary, real programs behind it, real sockets.

mod client;
mod forking;
mod health;
mod http;
mod http_streams;
mod lifecycle;
mod logs;
mod start;
mod upstream;
mod watchdog;
