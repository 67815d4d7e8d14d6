//! What the stages of a call tell while it is on its way; they find it in the request's extensions, or not at all.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use http::Extensions;
use model::FunctionId;

use super::{Leg, LegKind};

/// Replicas that one call is told to have been offered to; a call is offered to few.
const LEGS_MAX: usize = 16;

#[derive(Clone, Default)]
pub(crate) struct Marks(Option<Arc<Marked>>);

pub(super) struct Marked {
    begun: Instant,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    function: Option<FunctionId>,
    legs: Vec<Leg>,
    open: Option<(Stage, Instant)>,
}

/// A stage that takes time.
pub(crate) enum Stage {
    Activation,
    Upstream { replica: String },
}

impl Marks {
    pub fn new(begun: Instant) -> Self {
        Self(Some(Arc::new(Marked { begun, told: Mutex::default() })))
    }

    /// Those of a request; without an observer there are none, and nothing is marked.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    pub fn function(&self, id: &FunctionId) {
        if let Some(marked) = &self.0 {
            marked.told().function = Some(id.clone());
        }
    }

    /// The stage is made only when somebody is to be told of it. The one before it is over.
    pub fn begin(&self, stage: impl FnOnce() -> Stage) {
        if let Some(marked) = &self.0 {
            marked.told().next(Some(stage()), marked.begun);
        }
    }

    /// The stage under way is over.
    pub fn end(&self) {
        if let Some(marked) = &self.0 {
            marked.told().next(None, marked.begun);
        }
    }

    /// All that was told; a stage under way ends now.
    pub fn take(&self) -> (Option<FunctionId>, Vec<Leg>) {
        let Some(marked) = &self.0 else { return (None, Vec::new()) };
        let mut told = marked.told();
        told.next(None, marked.begun);
        // The last replica that was tried is the one that answered, or was to.
        if let Some(Leg { kind, .. }) = told.legs.last_mut()
            && let LegKind::Unreached { replica } = kind
        {
            *kind = LegKind::Upstream { replica: std::mem::take(replica) };
        }
        (told.function.take(), std::mem::take(&mut told.legs))
    }
}

impl Marked {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Told {
    fn next(&mut self, stage: Option<Stage>, begun: Instant) {
        let now = Instant::now();
        if let Some((stage, since)) = self.open.take()
            && self.legs.len() < LEGS_MAX
        {
            let kind = match stage {
                Stage::Activation => LegKind::Activation,
                Stage::Upstream { replica } => LegKind::Unreached { replica },
            };
            let (began, ended) = (since.duration_since(begun), now.duration_since(begun));
            self.legs.push(Leg { kind, began, ended });
        }
        self.open = stage.map(|stage| (stage, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_each_other() {
        let marks = Marks::new(Instant::now());
        let upstream = |replica: &str| Stage::Upstream { replica: replica.to_owned() };
        marks.begin(|| Stage::Activation);
        marks.end();
        marks.begin(|| upstream("a"));
        marks.begin(|| upstream("b"));
        let (function, legs) = marks.take();
        assert_eq!(function, None);
        let kinds: Vec<_> = legs.iter().map(|leg| leg.kind.clone()).collect();
        let replica = |name: &str| name.to_owned();
        assert_eq!(
            kinds,
            [
                LegKind::Activation,
                LegKind::Unreached { replica: replica("a") },
                LegKind::Upstream { replica: replica("b") },
            ]
        );
        assert!(legs.windows(2).all(|pair| pair[0].began <= pair[0].ended && pair[0].ended <= pair[1].began));
    }

    #[test]
    fn nothing_is_marked_for_nobody() {
        let marks = Marks::of(&Extensions::new());
        marks.begin(|| unreachable!("nobody is told"));
        assert_eq!(marks.take(), (None, Vec::new()));
    }
}
