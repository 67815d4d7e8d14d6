//! How much of a hostile image is looked at before it is refused.

use std::time::Duration;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Bounds on what a registry, an archive or a layer may make this host read and store. Bytes unless named otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A manifest or index, as bytes of JSON.
    pub manifest_max: u64,
    /// An image configuration, as bytes of JSON.
    pub config_max: u64,
    /// Layers of one image. 128 is also what the overlay mount of the caller is laid out for.
    pub layers_max: usize,
    /// One layer as transferred.
    pub blob_max: u64,
    /// All layers of an image together, unpacked.
    pub unpacked_max: u64,
    /// Entries of all layers of an image together, with the directories that they need and have no entry for.
    pub entries_max: u64,
    /// Directories in a path.
    pub depth_max: usize,
    /// The paths of a layer's directories together, which are kept in memory.
    pub directory_paths_max: u64,
    /// Bytes of headers (long names, pax records) that may stand before one entry.
    pub header_max: u64,
    /// Unpacked bytes per compressed byte, looked at once `ratio_floor` bytes are unpacked. DEFLATE ends at 1032.
    pub ratio_max: u64,
    pub ratio_floor: u64,
    /// To reach a registry.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// A whole pull.
    pub pull_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_max: 4 * MIB,
            config_max: 8 * MIB,
            layers_max: 128,
            blob_max: 10 * GIB,
            unpacked_max: 10 * GIB,
            entries_max: 500_000,
            depth_max: 128,
            directory_paths_max: 64 * MIB,
            header_max: MIB,
            ratio_max: 1000,
            ratio_floor: 64 * MIB,
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(60),
            pull_timeout: Duration::from_secs(30 * 60),
        }
    }
}
