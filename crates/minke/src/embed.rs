//! What the binary carries inside, so that it alone is enough: static programs for images, and the sample function.

/// The watchdog, `/fwatchdog` of the image `minke/fwatchdog`.
pub const FWATCHDOG: &[u8] = include_bytes!(env!("BUILD_FWATCHDOG"));

/// The sample function's program and how it becomes an image.
pub const HELLO: &[u8] = include_bytes!(env!("BUILD_HELLO"));
pub const HELLO_DOCKERFILE: &str = include_str!("../../../examples/hello/Dockerfile");
