//! Layers that were unpacked, and may not be on disk yet.
//!
//! Syncing a layer means to write out the whole file system, which takes seconds on a busy one. So a new layer carries
//! the id of the boot it was unpacked in, and is trusted as long as that boot lasts, because the kernel has its pages. A
//! thread syncs it and takes the mark away; after a power cut a layer that is still marked is unpacked again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, getxattr, setxattr, syncfs};
use rustix::io::Errno;

use crate::error::{ImageError, IoContext};

const MARK: &str = "trusted.minke.boot";

static BOOT: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| fs::read("/proc/sys/kernel/random/boot_id").ok());

/// Marks a layer before it gets its name; where marks cannot be, it is synced at once.
pub(super) fn mark(layer: &Path) -> Result<(), ImageError> {
    let marked = BOOT.as_ref().is_some_and(|boot| setxattr(layer, MARK, boot, XattrFlags::empty()).is_ok());
    if marked { Ok(()) } else { sync(layer) }
}

/// Synced, or unpacked since this machine was started.
pub(super) fn is_whole(layer: &Path) -> bool {
    let mut value = [0; 64];
    match getxattr(layer, MARK, &mut value) {
        Ok(length) => BOOT.as_ref().is_some_and(|boot| *boot == value[..length]),
        Err(error) => matches!(error, Errno::NODATA | Errno::NOTSUP),
    }
}

/// Needs no one to wait for it: a process that ends first leaves the mark, which says all there is to say. One at a
/// time; what is marked meanwhile is found at the next use of its image.
pub(super) fn sync_later(layers: &[PathBuf]) {
    static IS_RUNNING: AtomicBool = AtomicBool::new(false);
    // Held open: by the time of the removal another layer may have the name.
    let open = |layer: &PathBuf| File::open(layer).ok();
    let marked: Vec<File> = layers.iter().filter_map(open).filter(is_marked).collect();
    let Some(first) = marked.first() else { return };
    let Ok(first) = first.try_clone() else { return };
    if IS_RUNNING.swap(true, Ordering::AcqRel) {
        return;
    }
    let work = move || {
        if syncfs(&first).is_ok() {
            for layer in &marked {
                let _ = fremovexattr(layer, MARK);
            }
        }
        IS_RUNNING.store(false, Ordering::Release);
    };
    if let Err(error) = std::thread::Builder::new().name("image-sync".into()).spawn(work) {
        IS_RUNNING.store(false, Ordering::Release);
        tracing::debug!(%error, "layers stay marked as not synced");
    }
}

fn is_marked(layer: &File) -> bool {
    fgetxattr(layer, MARK, &mut [0; 64]).is_ok()
}

fn sync(layer: &Path) -> Result<(), ImageError> {
    let dir = File::open(layer).at("open", layer)?;
    syncfs(&dir).at("sync", layer)
}
