//! Keeps one function as it is wished: a loop that looks at what there is, decides, and acts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use image::Image;
use model::FunctionId;
use provider::{Endpoint, Route, RouteTable};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::health::Probe;
use crate::host::Host;
use crate::logs::FunctionLog;
use crate::replica::{Replica, Report};
use crate::state::Wish;
use crate::{secrets, translate};

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A replica that served for so long had started well.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// Reports that wait for the keeper; replicas wait when there are more.
const REPORTS_MAX: usize = 64;

/// What a function is to be, with what it takes to make it so.
#[derive(Clone)]
pub struct Plan {
    pub wish: Wish,
    /// Kept as long as replicas may be started from it, so that it is not collected. None while it is lost: nothing
    /// is started then.
    pub image: Option<Image>,
}

pub struct Keeper {
    host: Arc<Host>,
    routes: Arc<RouteTable>,
    log: Arc<FunctionLog>,
    plan: watch::Receiver<Plan>,
    /// The function is deleted, or the platform stops.
    end: CancellationToken,
    replicas: BTreeMap<String, Kept>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    backoff: Backoff,
}

struct Kept {
    generation: u64,
    endpoint: Option<(Arc<Endpoint>, Instant)>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Keeper {
    pub fn new(
        host: Arc<Host>,
        routes: Arc<RouteTable>,
        log: Arc<FunctionLog>,
        plan: watch::Receiver<Plan>,
        end: CancellationToken,
    ) -> Self {
        let (backoff, reports) = (Backoff::default(), mpsc::channel(REPORTS_MAX));
        Self { host, routes, log, plan, end, replicas: BTreeMap::new(), reports, backoff }
    }

    /// Until the end, and until no replica is left. Nothing is published once `quiet` is dropped.
    pub async fn run(mut self, quiet: DropGuard) {
        let mut generation = None;
        while !self.end.is_cancelled() {
            let plan = self.plan.borrow_and_update().clone();
            if generation.replace(plan.wish.generation).is_some_and(|last| last != plan.wish.generation) {
                self.host.images_freed.notify_one();
            }
            let decision = decide(&self.observed(), &plan.wish, self.backoff.until, Instant::now());
            if let Some(image) = &plan.image {
                (0..decision.start).for_each(|_| self.start(&plan.wish, image));
            }
            // Who is to go takes no new calls first.
            self.publish(&plan.wish, &decision.serve);
            decision.stop.iter().for_each(|replica| self.stop(replica));
            let wake = self.backoff.until.filter(|at| *at > Instant::now());
            tokio::select! {
                () = self.end.cancelled() => (),
                changed = self.plan.changed() => match changed {
                    Ok(()) => self.backoff = Backoff::default(),
                    Err(_) => break,
                },
                Some(report) = self.reports.1.recv() => {
                    if self.is_last_of_old(&report, plan.wish.generation) {
                        self.host.images_freed.notify_one();
                    }
                    self.note(report);
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => (),
            }
        }
        let wish = self.plan.borrow().wish.clone();
        self.publish(&wish, &[]);
        drop(quiet);
        self.replicas.values().for_each(|replica| replica.stop.cancel());
        while !self.replicas.is_empty() {
            match self.reports.1.recv().await {
                Some(report) => self.note(report),
                None => break,
            }
        }
        let host = Arc::clone(&self.host);
        // The plan, and with it the image.
        drop(self);
        host.images_freed.notify_one();
    }

    /// Whether the report tells that nothing runs any more from what the function was before.
    fn is_last_of_old(&self, report: &Report, generation: u64) -> bool {
        let Report::Ended { replica, .. } = report else { return false };
        let is_old = |kept: &Kept| kept.generation != generation;
        self.replicas.get(replica).is_some_and(is_old)
            && self.replicas.values().filter(|k| is_old(k)).count() == 1
    }

    fn observed(&self) -> Vec<Observed> {
        let observed = |(name, kept): (&String, &Kept)| Observed {
            name: name.clone(),
            generation: kept.generation,
            stopping: kept.stop.is_cancelled(),
            since: kept.endpoint.as_ref().map(|(_, since)| *since),
        };
        self.replicas.iter().map(observed).collect()
    }

    fn start(&mut self, wish: &Wish, image: &Image) {
        let id = &wish.spec.id;
        let name = format!("{}.{}.{:08x}", id.name, id.namespace, fastrand::u32(..));
        let container = translate::container(&name, &wish.spec, image).map_err(|error| error.to_string());
        let secrets = secrets::manage::named_by(&wish.spec).map_err(|error| error.to_string());
        let all = container
            .and_then(|container| Ok((container, Probe::of(&wish.spec)?)))
            .and_then(|(container, probe)| Ok((container, probe, secrets?)));
        let (container, probe, secrets) = match all {
            Ok(all) => all,
            Err(why) => return self.refused(id, &why),
        };
        let stop = CancellationToken::new();
        let replica = Replica {
            function: id.clone(),
            log: Arc::clone(&self.log),
            container,
            secrets,
            image: image.clone(),
            probe,
            stop: stop.clone(),
            reports: self.reports.0.clone(),
        };
        self.replicas.insert(name, Kept { generation: wish.generation, endpoint: None, stop });
        self.host.tasks.spawn(replica.live(Arc::clone(&self.host)));
    }

    /// Cannot be for a wish that was accepted, but one on disk may be older than a rule.
    fn refused(&mut self, function: &FunctionId, why: &str) {
        tracing::error!(%function, why, "function cannot be run any more, deploy it anew");
        self.backoff.failed(Instant::now());
    }

    fn stop(&self, replica: &str) {
        if let Some(kept) = self.replicas.get(replica) {
            kept.stop.cancel();
        }
    }

    fn note(&mut self, report: Report) {
        match report {
            Report::Ready { replica, endpoint } => {
                if let Some(kept) = self.replicas.get_mut(&replica) {
                    kept.endpoint = Some((endpoint, Instant::now()));
                }
            }
            Report::Ended { replica, why } => {
                let kept = self.replicas.remove(&replica);
                let steady =
                    kept.is_some_and(|kept| kept.endpoint.is_some_and(|(_, at)| at.elapsed() > STEADY_AFTER));
                if steady {
                    self.backoff = Backoff::default();
                }
                if why.is_some() {
                    self.backoff.failed(Instant::now());
                }
            }
        }
    }

    fn publish(&self, wish: &Wish, serve: &[String]) {
        let endpoint = |name: &String| Some(Arc::clone(&self.replicas.get(name)?.endpoint.as_ref()?.0));
        self.routes.publish(route(wish, serve.iter().filter_map(endpoint).collect()));
    }
}

/// The route of a function that these endpoints serve.
pub fn route(wish: &Wish, endpoints: Vec<Arc<Endpoint>>) -> Route {
    Route::new(&wish.spec, wish.replicas, endpoints)
}

impl Backoff {
    /// Replicas that are lost together are one failure: those of the pause that is under way count no more.
    fn failed(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        let pause = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        self.failures += 1;
        self.until = Some(now + pause);
    }
}

/// A replica as the decision sees it.
struct Observed {
    name: String,
    generation: u64,
    stopping: bool,
    /// Since when it takes calls, if it does.
    since: Option<Instant>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Decision {
    start: usize,
    stop: Vec<String>,
    /// Who takes calls.
    serve: Vec<String>,
}

/// Replicas of an earlier generation serve until all of the new one do.
fn decide(observed: &[Observed], wish: &Wish, not_before: Option<Instant>, now: Instant) -> Decision {
    let alive = || observed.iter().filter(|replica| !replica.stopping);
    let (new, old): (Vec<_>, Vec<_>) = alive().partition(|replica| replica.generation == wish.generation);
    let target = wish.replicas as usize;
    let missing = target.saturating_sub(new.len());
    let is_waiting = not_before.is_some_and(|at| at > now);
    let mut decision = Decision { start: if is_waiting { 0 } else { missing }, ..Decision::default() };

    // Those that serve the longest stay.
    let mut by_merit = new;
    by_merit.sort_by_key(|replica| (replica.since.is_none(), replica.since));
    let surplus = by_merit.split_off(target.min(by_merit.len()));
    decision.stop.extend(surplus.iter().map(|replica| replica.name.clone()));
    let names = |replicas: &[&Observed]| {
        replicas
            .iter()
            .filter(|replica| replica.since.is_some())
            .map(|replica| replica.name.clone())
            .collect::<Vec<_>>()
    };
    let ready = names(&by_merit);
    let old_ready = names(&old);
    if ready.len() >= target {
        decision.stop.extend(old.iter().map(|replica| replica.name.clone()));
        decision.serve = ready;
    } else if old_ready.is_empty() {
        decision.serve = ready;
    } else {
        decision.serve = old_ready;
    }
    let is_idle = |replica: &&&Observed| replica.since.is_none();
    decision.stop.extend(old.iter().filter(is_idle).map(|replica| replica.name.clone()));
    decision
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: u64 = 2;

    /// `n1+` is a replica of the new generation that takes calls, `o1-` an old one that does not, `n1x` one that goes.
    fn check(target: u32, there: &str, start: usize, stop: &str, serve: &str) {
        let now = Instant::now();
        let observed = there.split_whitespace().map(|word| Observed {
            name: word[..2].to_owned(),
            generation: if word.starts_with('n') { NEW } else { 1 },
            stopping: word.ends_with('x'),
            since: word.ends_with('+').then_some(now),
        });
        let observed: Vec<_> = observed.collect();
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let decision = decide(&observed, &wish(target), None, now);
        assert_eq!(decision, Decision { start, stop: names(stop), serve: names(serve) }, "{target}: {there}");
    }

    fn wish(replicas: u32) -> Wish {
        let id = model::FunctionId::parse("f", &model::Namespace::default()).unwrap();
        Wish {
            spec: model::FunctionSpec::new(id, "alpine".parse().unwrap()),
            replicas,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            generation: NEW,
            digest: model::image::Digest::from_sha256([0; 32]),
        }
    }

    #[test]
    fn replicas_come_and_go_as_wished() {
        check(0, "", 0, "", "");
        check(2, "", 2, "", "");
        check(2, "n1-", 1, "", "");
        check(2, "n1+ n2-", 0, "", "n1");
        check(1, "n1- n2+", 0, "n1", "n2");
        check(0, "n1+ n2-", 0, "n1 n2", "");
        check(1, "n1x", 1, "", "");
    }

    #[test]
    fn the_old_ones_serve_until_all_of_the_new_do() {
        check(2, "o1+ o2+", 2, "", "o1 o2");
        check(2, "o1+ o2+ n1+ n2-", 0, "", "o1 o2");
        check(2, "o1+ o2+ n1+ n2+", 0, "o1 o2", "n1 n2");
        check(2, "o1x n1+ n2-", 0, "", "n1");
        check(1, "o1- n1-", 0, "o1", "");
        check(0, "o1+", 0, "o1", "");
    }

    #[test]
    fn nothing_starts_before_the_back_off_is_over() {
        let now = Instant::now();
        let later = now + BACKOFF_FIRST;
        assert_eq!(decide(&[], &wish(3), Some(later), now).start, 0);
        assert_eq!(decide(&[], &wish(3), Some(later), later).start, 3);
    }

    #[test]
    fn replicas_lost_together_are_one_failure() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        for pause in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            (0..20).for_each(|_| backoff.failed(now));
            assert_eq!(backoff.until, Some(now + Duration::from_millis(pause)));
            now += Duration::from_millis(pause);
        }
    }
}
