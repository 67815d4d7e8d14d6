//! What a script asks to be there before its first exchange.

use std::sync::Arc;
use std::time::Duration;

use gateway::{Config, Credentials};
use provider::{Provider, Remote, RemoteConfig};

use crate::recorder::Recorder;
use crate::script::Script;
use crate::support::{Served, id, spec};

pub struct Stage {
    pub served: Served,
    pub recorder: Recorder,
}

impl Stage {
    pub async fn set(script: &Script) -> Self {
        let lines: Vec<Vec<&str>> = script.setup.iter().map(|line| line.split(' ').collect()).collect();
        let has = |words: &[&str]| lines.iter().any(|line| line == words);
        let recorder =
            if has(&["replicas", "gone"]) { Recorder::nowhere().await } else { Recorder::start().await };
        let memory = Arc::new(recorder.memory());
        let mut config = Config::default();
        for line in &lines {
            match &line[..] {
                ["function", name, rest @ ..] => deploy(&*memory, name, rest).await,
                ["set", setting] => set(&mut config, setting),
                ["replicas" | "provider", "gone"] => {}
                other => panic!("{}: what is {other:?}", script.name()),
            }
        }
        let provider: Arc<dyn Provider> = if has(&["provider", "gone"]) {
            let nowhere = Recorder::nowhere().await;
            Arc::new(Remote::new(RemoteConfig::new(format!("http://{}", nowhere.address))).expect("a client"))
        } else {
            memory
        };
        Self { served: Served::start(provider, config).await, recorder }
    }

    pub async fn end(self) {
        self.served.stop().await;
    }
}

async fn deploy(memory: &dyn Provider, name: &str, rest: &[&str]) {
    let mut wished = spec(name);
    let mut replicas = None;
    for pair in rest {
        match pair.split_once('=').expect("KEY=VALUE") {
            ("replicas", count) => replicas = Some(count.parse().expect("a count")),
            (key, value) => drop(wished.annotations.insert(key.into(), value.into())),
        }
    }
    memory.deploy(wished).await.expect("it is deployed");
    if let Some(replicas) = replicas {
        memory.scale(&id(name), replicas).await.expect("it is scaled");
    }
}

fn set(config: &mut Config, setting: &str) {
    let (name, value) = setting.split_once('=').expect("NAME=VALUE");
    let number = || value.parse::<usize>().expect("a number");
    let millis = || Duration::from_millis(value.parse().expect("milliseconds"));
    match name {
        "auth" => {
            let (user, password) = value.split_once(':').expect("user:password");
            config.auth = Some(Credentials { user: user.into(), password: password.into() });
        }
        "scale_from_zero" => config.scale_from_zero = value == "true",
        "calls_max" => config.calls_max = number(),
        "json_max" => config.json_max = number(),
        "upstream_timeout" => config.upstream_timeout = millis(),
        "read_timeout" => config.read_timeout = millis(),
        "activation_timeout" => config.activation_timeout = millis(),
        other => panic!("no such setting: {other}"),
    }
}
