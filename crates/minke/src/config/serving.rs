//! How much is served at once, and how it ends.

use std::time::Duration;

use model::Quantity;
use model::duration::parse_duration;
use model::env::{self, openfaas};

use super::ConfigError;
use super::file::File;
use super::sources::{Reader, Sources};

const COUNT_MAX: usize = 1_000_000;
const DELAY_MAX: Duration = Duration::from_secs(60 * 60);

/// The gateway's own default holds where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serving {
    /// Threads that serve connections.
    pub workers: Option<usize>,
    /// Calls under way at once.
    pub calls_max: Option<usize>,
    /// Connections of clients at once.
    pub connections_max: Option<usize>,
    /// Largest body of a call, bytes.
    pub max_body: Option<u64>,
    /// Idle connections to one replica, or to a foreign provider.
    pub idle_max: Option<usize>,
    pub drain_delay: Option<Duration>,
    pub drain_grace: Option<Duration>,
    /// As long as the write timeout where there is none.
    pub drain_timeout: Option<Duration>,
}

impl Serving {
    pub(super) fn resolve(sources: &Sources<'_>, file: &File) -> Result<Self, ConfigError> {
        let count =
            |variable, file: &Option<String>, key| sources.parsed(None, variable, file.clone(), key, COUNT);
        let delay =
            |variable, file: &Option<String>, key| sources.parsed(None, variable, file.clone(), key, DELAY);
        Ok(Self {
            workers: count(env::WORKERS, &file.workers, "workers")?,
            calls_max: count(env::CALLS_MAX, &file.calls_max, "calls-max")?,
            connections_max: count(env::CONNECTIONS_MAX, &file.connections_max, "connections-max")?,
            max_body: sources.parsed(None, env::MAX_BODY, file.max_body.clone(), "max-body", SIZE)?,
            idle_max: idle_max(sources, file)?,
            drain_delay: delay(env::DRAIN_DELAY, &file.drain_delay, "drain-delay")?,
            drain_grace: delay(env::DRAIN_GRACE, &file.drain_grace, "drain-grace")?,
            drain_timeout: delay(env::DRAIN_TIMEOUT, &file.drain_timeout, "drain-timeout")?,
        })
    }
}

/// As the contract has it: what is less than one does not count, and a host gets no more than all of them.
fn idle_max(sources: &Sources<'_>, file: &File) -> Result<Option<usize>, ConfigError> {
    let whole = |variable: &str, file: &Option<String>| {
        sources.parsed(None, variable, file.clone(), &variable.replace('_', "-"), WHOLE)
    };
    let all = whole(openfaas::MAX_IDLE_CONNS, &file.max_idle_conns)?;
    let host = whole(openfaas::MAX_IDLE_CONNS_PER_HOST, &file.max_idle_conns_per_host)?;
    let told = all.into_iter().chain(host).filter(|number| *number > 0);
    Ok(told.filter_map(|number| usize::try_from(number).ok()).min())
}

const WHOLE: Reader<i64> = (|text| text.parse().ok(), "a whole number, like 1024");
const COUNT: Reader<usize> =
    (|text| text.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count)), "a number from 1 to 1000000");
const SIZE: Reader<u64> =
    (|text| Some(text.parse::<Quantity>().ok()?.whole()), "a size like 1048576 or 10Mi");
const DELAY: Reader<Duration> =
    (|text| parse_duration(text).filter(|delay| *delay <= DELAY_MAX), "a duration like 5s, of at most 1h");

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn resolve(name: &str, text: &str) -> Result<Serving, String> {
        let variables = BTreeMap::from([(name.to_owned(), text.to_owned())]);
        let sources = Sources { variables: &variables, warnings: &mut Vec::new() };
        Serving::resolve(&sources, &File::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_set_is_read_and_nothing_else_is_guessed() {
        let none = Serving::default();
        let second = Some(Duration::from_secs(1));
        assert_eq!(resolve(env::WORKERS, "3"), Ok(Serving { workers: Some(3), ..none.clone() }));
        assert_eq!(resolve(env::MAX_BODY, "1Mi"), Ok(Serving { max_body: Some(1 << 20), ..none.clone() }));
        assert_eq!(resolve(env::DRAIN_DELAY, "1s"), Ok(Serving { drain_delay: second, ..none.clone() }));
        assert_eq!(resolve(env::DRAIN_TIMEOUT, ""), Ok(none.clone()));
        let idle = |idle_max| Ok(Serving { idle_max, ..none.clone() });
        assert_eq!(resolve(openfaas::MAX_IDLE_CONNS, "7"), idle(Some(7)));
        assert_eq!(resolve(openfaas::MAX_IDLE_CONNS_PER_HOST, "7"), idle(Some(7)));
        assert_eq!(resolve(openfaas::MAX_IDLE_CONNS, "0"), idle(None));
        assert_eq!(resolve(openfaas::MAX_IDLE_CONNS_PER_HOST, "-1"), idle(None));
        for (name, text) in [
            (env::WORKERS, "0"),
            (env::CALLS_MAX, "many"),
            (env::CONNECTIONS_MAX, "-1"),
            (env::MAX_BODY, "big"),
            (env::DRAIN_GRACE, "soon"),
            (openfaas::MAX_IDLE_CONNS, "many"),
            (openfaas::MAX_IDLE_CONNS_PER_HOST, "1.5"),
            (env::DRAIN_TIMEOUT, "2h"),
        ] {
            let told = resolve(name, text).unwrap_err();
            assert!(told.starts_with(&format!("{name}: {text:?} is not a")), "{told}");
        }
    }
}
