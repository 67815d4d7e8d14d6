//! From a function and its image to a container.

use std::collections::BTreeMap;

use image::Image;
use model::FunctionSpec;

use crate::container::{ContainerSpec, ContainerSpecError, Limits};

/// The container of one replica: the image's own wishes, with the function's over them.
pub fn container(
    id: &str,
    function: &FunctionSpec,
    image: &Image,
) -> Result<ContainerSpec, ContainerSpecError> {
    let config = image.config.config().as_ref();
    let list = |list: Option<&Option<Vec<String>>>| list.and_then(Clone::clone).unwrap_or_default();
    let text = |text: Option<&Option<String>>| text.and_then(Clone::clone).unwrap_or_default();
    let mut args = list(config.map(|config| config.entrypoint()));
    args.extend(list(config.map(|config| config.cmd())));
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    // An entry of an image without '=' is tolerated everywhere, and means nothing.
    let own = list(config.map(|config| config.env()));
    env.extend(own.iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())));
    env.extend(function.environment().into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())));
    let cwd = text(config.map(|config| config.working_dir()));
    let spec = ContainerSpec {
        id: id.to_owned(),
        layers: image.layer_dirs.clone(),
        args,
        env: env.into_iter().collect(),
        cwd: if cwd.starts_with('/') { cwd } else { format!("/{cwd}") },
        user: text(config.map(|config| config.user())),
        hostname: function.id.name.to_string(),
        read_only: function.read_only_root,
        // Read when a replica starts.
        secrets: Vec::new(),
        limits: Limits {
            memory_bytes: function.limits.memory.map(|memory| memory.whole()),
            cpu_millis: function.limits.cpu.map(|cpu| cpu.milli()),
            ..Limits::default()
        },
    };
    spec.check()?;
    Ok(spec)
}
