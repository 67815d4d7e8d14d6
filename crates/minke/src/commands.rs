//! One file for each command: its flags, and what it does.

pub mod build;
pub mod deploy;
pub mod describe;
pub mod image;
pub mod invoke;
pub mod list;
pub mod login;
pub mod logout;
pub mod remove;
pub mod scale;
pub mod up;
pub mod version;
