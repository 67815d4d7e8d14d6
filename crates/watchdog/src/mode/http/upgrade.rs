//! After a 101 the two connections are one tunnel; it holds the call's place until either side closes.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::limit::Slot;

pub async fn tunnel(client: OnUpgrade, upstream: OnUpgrade, slot: Option<Slot>) {
    if let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) {
        // How a tunnel ends is the business of its ends.
        let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
    }
    drop(slot);
}
