//! The command line as a whole: the real program, what it sends, what it prints, how it ends.

mod access_log;
mod build;
mod image;
mod login;
mod otlp;
mod platform;
mod reference;
mod refusals;
mod requests;
mod support;
mod tables;
