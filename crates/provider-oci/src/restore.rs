//! After a start: functions come back from disk, and what images nobody needs any more goes.
//!
//! A function exists whether or not its image does. One that is lost is looked for again in the background, so that no
//! registry can hold up the start.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use image::Image;
use model::FunctionId;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::keeper::Plan;
use crate::state::Wish;
use crate::{Function, Images, Inner};

const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Takes up a wish from disk.
pub async fn restore(inner: &Arc<Inner>, wish: Wish) {
    let image = inner.images.here(&wish.spec.image, &wish.digest).await.unwrap_or_else(|error| {
        tracing::warn!(function = %wish.spec.id, error = &error as &dyn std::error::Error, "image is damaged");
        None
    });
    let is_lost = image.is_none();
    let end = inner.keep(Plan { wish: wish.clone(), image });
    if is_lost {
        tracing::error!(function = %wish.spec.id, image = %wish.spec.image, "image is lost, it is looked for again");
        let recovering = recover(Arc::downgrade(inner), Arc::clone(&inner.images), wish, end.clone());
        inner.host.tasks.spawn(async move { end.run_until_cancelled(recovering).await });
    }
}

/// Until the image is found, or the function has another one. Holds no platform that is dropped.
async fn recover(inner: Weak<Inner>, images: Arc<dyn Images>, wish: Wish, end: CancellationToken) {
    let id = &wish.spec.id;
    let mut pause = PAUSE_FIRST;
    loop {
        let looked = images.find_again(&wish.spec.image, &wish.digest).await;
        let Some(inner) = inner.upgrade() else { return };
        // A function of the same name may have come after this one.
        if end.is_cancelled() || inner.plan(id).is_ok_and(|plan| plan.image.is_some()) {
            return;
        }
        match looked {
            Ok(image) => return inner.in_turn(id, found(&inner, id, image, &end)).await,
            Err(error) => {
                tracing::warn!(function = %id, error = &error as &dyn std::error::Error, "image is not found");
            }
        }
        drop(inner);
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn found(inner: &Arc<Inner>, id: &FunctionId, image: Image, end: &CancellationToken) {
    let Ok(mut plan) = inner.plan(id) else { return };
    if end.is_cancelled() || plan.image.is_some() {
        return;
    }
    if plan.wish.digest != image.digest {
        plan.wish.digest = image.digest.clone();
        if let Err(error) = inner.save(&plan.wish).await {
            tracing::warn!(function = %id, error = &error as &dyn std::error::Error, "image that was found is not noted");
        }
    }
    plan.image = Some(image);
    tracing::info!(function = %id, "image is found again");
    if let Some(function) = inner.functions().get(id) {
        function.plan.send_replace(plan);
    }
}

/// Removes images whenever one may have lost its last user.
pub async fn sweep_images(inner: Weak<Inner>, host: Arc<Host>) {
    loop {
        host.images_freed.notified().await;
        let Some(inner) = inner.upgrade() else { return };
        let images = Arc::clone(&inner.images);
        let digest = |function: &Function| function.plan.borrow().wish.digest.clone();
        let in_use: HashSet<_> = inner.functions().values().map(digest).collect();
        drop(inner);
        if let Err(error) = images.sweep(in_use).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "images are not swept");
        }
    }
}
