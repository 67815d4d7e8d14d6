//! Stage by stage, step by step: the layers and the configuration of an image.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use model::image::ImageRef;

use super::base::Source;
use super::config::{ConfigFile, History, Nothing};
use super::copy::{CopyError, Job};
use super::dockerfile::{Action, Base, Copy, Plan, Stage, Step, Words, platform_arg};
use super::ignore::Ignore;
use super::layer::{Content, LayerBuilder, Owner};
use super::substitute::expand;
use super::view::{View, parts};
use super::{BuildError, BuildOptions, BuiltinImage};
use crate::error::{ImageError, IoContext};
use crate::image::Image;
use crate::manifest::{CONFIG_OCI, Descriptor, drop_nulls, parse_json, write_manifest};
use crate::store::Store;

const IGNORE_MAX: u64 = 1024 * 1024;
/// Ports that one EXPOSE may name as a range.
const PORTS_MAX: u16 = 1000;

/// An image under way. A stage begins with a clone of its base.
#[derive(Clone)]
struct State {
    config: ConfigFile,
    layers: Vec<Descriptor>,
    /// The unpacked layers, lowest first; never empty.
    dirs: Vec<PathBuf>,
}

struct Run<'a> {
    store: &'a Store,
    plan: &'a Plan,
    options: &'a BuildOptions,
    created: String,
    context: View,
    ignore: Ignore,
    /// Done, by the number in the file.
    stages: BTreeMap<usize, State>,
    images: BTreeMap<ImageRef, State>,
}

pub(super) fn run(
    store: &Store,
    plan: &Plan,
    sources: BTreeMap<ImageRef, Source>,
    options: &BuildOptions,
) -> Result<Image, ImageError> {
    let session = store.session()?;
    let created = jiff::Timestamp::from_second(options.source_date_epoch)
        .map_err(|error| BuildError::Options(format!("the source date is invalid: {error}")))?;
    let context =
        fs::canonicalize(&options.context_dir).at("open the build context", &options.context_dir)?;
    let mut run = Run {
        store,
        plan,
        options,
        created: created.to_string(),
        context: View::new(std::slice::from_ref(&context)),
        ignore: read_ignore(&context, options)?,
        stages: BTreeMap::new(),
        images: BTreeMap::new(),
    };
    for (image, source) in &sources {
        let state = match source {
            Source::Builtin(builtin) => run.builtin(builtin)?,
            Source::Image(image) => run.image(image)?,
        };
        run.images.insert(image.clone(), state);
    }
    for stage in &plan.stages {
        let state = run.stage(stage)?;
        run.stages.insert(stage.number, state);
    }
    let result = run.stages.pop_last().map(|(_, state)| state);
    let state = result.ok_or_else(|| BuildError::Options("the Dockerfile has no stage".into()))?;
    let digest = run.finish(state)?;
    let image = store.load(&session, &options.tags[0], &digest)?;
    for tag in &options.tags {
        store.name(&session, tag, &digest, None)?;
    }
    Ok(image)
}

impl Run<'_> {
    fn stage(&self, stage: &Stage) -> Result<State, ImageError> {
        let mut state = self.base(&stage.base).into_owned();
        let mut args = BTreeMap::new();
        // CMD of the base goes when ENTRYPOINT is set; CMD of this stage stays.
        let mut has_cmd = false;
        for step in &stage.steps {
            has_cmd |= matches!(step.action, Action::Cmd(_));
            let before = state.layers.len();
            self.step(&mut state, &mut args, step, has_cmd).map_err(|error| match error {
                CopyError::Refused(message) => BuildError::Instruction { line: step.line, message }.into(),
                CopyError::Failed(source) => ImageError::from(BuildError::Failed { line: step.line, source }),
            })?;
            state.config.history.push(History {
                created: Some(self.created.clone()),
                created_by: Some(step.text.clone()),
                empty_layer: state.layers.len() == before,
            });
        }
        Ok(state)
    }

    fn step(
        &self,
        state: &mut State,
        args: &mut BTreeMap<String, String>,
        step: &Step,
        has_cmd: bool,
    ) -> Result<(), CopyError> {
        let keyword = step.text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let known = state.config.config.clone();
        let lookup = |name: &str| known.variable(name).or_else(|| args.get(name).cloned());
        let expanded = |text: &str| {
            expand(text, self.plan.escape, &lookup)
                .map_err(|reason| CopyError::Refused(format!("{keyword} {reason}")))
        };
        let config = &mut state.config.config;
        match &step.action {
            Action::Env(pairs) => {
                for (name, value) in pairs {
                    config.set_variable(&expanded(name)?, &expanded(value)?);
                }
            }
            Action::Label(pairs) => {
                for (name, value) in pairs {
                    config.labels.insert(expanded(name)?, expanded(value)?);
                }
            }
            Action::Arg(declared) => {
                let mut values = Vec::new();
                for (name, default) in declared {
                    let value = match (self.options.build_args.get(name), default) {
                        (Some(given), _) => Some(given.clone()),
                        (None, Some(default)) => Some(expanded(default)?),
                        (None, None) => {
                            self.plan.global_args.get(name).cloned().or_else(|| platform_arg(name))
                        }
                    };
                    values.extend(value.map(|value| (name.clone(), value)));
                }
                args.extend(values);
            }
            Action::User(user) => config.user = Some(expanded(user)?),
            Action::StopSignal(signal) => config.stop_signal = Some(expanded(signal)?),
            Action::Expose(ports) => {
                for port in ports {
                    for word in expanded(port)?.split_whitespace() {
                        config
                            .exposed_ports
                            .extend(read_ports(word)?.into_iter().map(|port| (port, Nothing {})));
                    }
                }
            }
            Action::Volume(paths) => {
                for path in paths {
                    config.volumes.insert(expanded(path)?, Nothing {});
                }
            }
            Action::Shell(words) => config.shell = Some(words.clone()),
            Action::Cmd(words) => config.cmd = in_shell(words, &config.shell()),
            Action::Entrypoint(words) => {
                config.entrypoint = in_shell(words, &config.shell());
                if !has_cmd {
                    config.cmd = None;
                }
            }
            Action::Workdir(path) => {
                let path = expanded(path)?;
                self.workdir(state, &path)?;
            }
            Action::Copy(copy) => {
                let sources =
                    copy.sources.iter().map(|source| expanded(source)).collect::<Result<Vec<_>, _>>()?;
                let chown = copy.chown.as_deref().map(&expanded).transpose()?;
                let chmod = copy.chmod.as_deref().map(&expanded).transpose()?;
                let copy = Copy {
                    sources,
                    dest: expanded(&copy.dest)?,
                    chown,
                    chmod,
                    from: copy.from.clone(),
                    ..*copy
                };
                self.copy(state, &copy)?;
            }
            Action::Nothing => {}
            Action::Run(command) => {
                let command = command.clone();
                return Err(ImageError::from(BuildError::Run { line: step.line, command }).into());
            }
        }
        Ok(())
    }

    fn copy(&self, state: &mut State, copy: &Copy) -> Result<(), CopyError> {
        let refused = |reason: String| CopyError::Refused(reason);
        let other = copy.from.as_ref().map(|from| View::new(&self.base(from).dirs));
        let everything = Ignore::default();
        let below = View::new(&state.dirs);
        let job = Job {
            store: self.store,
            source: other.as_ref().unwrap_or(&self.context),
            ignore: if other.is_some() { &everything } else { &self.ignore },
            below: &below,
            workdir: state.config.config.working_dir.as_deref().unwrap_or("/"),
            sources: &copy.sources,
            dest: &copy.dest,
            owner: copy.chown.as_deref().map(read_owner).transpose().map_err(refused)?.unwrap_or_default(),
            mode: copy.chmod.as_deref().map(read_mode).transpose().map_err(refused)?,
            unpacks: copy.unpacks,
        };
        let mut layer = LayerBuilder::new(self.options.source_date_epoch);
        job.run(&mut layer)?;
        Ok(self.add_layer(state, layer)?)
    }

    /// Made when it is not there, as Docker does.
    fn workdir(&self, state: &mut State, path: &str) -> Result<(), CopyError> {
        let current = state.config.config.working_dir.as_deref().unwrap_or("/");
        let absolute = if path.starts_with('/') { path.to_owned() } else { format!("{current}/{path}") };
        let refused = |reason: &str| CopyError::Refused(format!("WORKDIR {path} {reason}"));
        let wanted = parts(&absolute).ok_or_else(|| refused("leaves the image"))?;
        let text: String = wanted.iter().map(|part| format!("/{}", part.to_string_lossy())).collect();
        state.config.config.working_dir = Some(if text.is_empty() { "/".into() } else { text });
        let view = View::new(&state.dirs);
        let failed = |error: std::io::Error| refused(&format!("cannot be made: {error}"));
        match view.find(&wanted).map_err(failed)? {
            Some(found) if found.metadata.is_dir() => return Ok(()),
            Some(_) => return Err(refused("is a file")),
            None => {}
        }
        let place = view.place(&wanted).map_err(failed)?;
        let mut layer = LayerBuilder::new(self.options.source_date_epoch);
        layer.add_parents(&view, &place, Owner::default()).map_err(failed)?;
        layer.add(place, Owner::default(), 0o755, Content::Directory);
        Ok(self.add_layer(state, layer)?)
    }

    fn add_layer(&self, state: &mut State, layer: LayerBuilder) -> Result<(), ImageError> {
        if layer.is_empty() {
            return Ok(());
        }
        if state.layers.len() == self.store.limits().layers_max {
            let reason = format!("it has more than {} layers; copy more with one COPY", state.layers.len());
            return Err(ImageError::invalid("image", reason));
        }
        let written = layer.write(self.store)?;
        state.dirs.push(self.store.unpack_layer(&written.descriptor, &written.diff_id)?);
        state.layers.push(written.descriptor);
        state.config.rootfs.diff_ids.push(written.diff_id.to_string());
        Ok(())
    }

    fn base(&self, base: &Base) -> std::borrow::Cow<'_, State> {
        use std::borrow::Cow;
        let known = match base {
            Base::Scratch => None,
            Base::Stage(number) => self.stages.get(number),
            Base::Image(image) => self.images.get(image),
        };
        known.map_or_else(|| Cow::Owned(self.scratch()), Cow::Borrowed)
    }

    fn scratch(&self) -> State {
        State { config: ConfigFile::scratch(), layers: Vec::new(), dirs: vec![self.store.path("l/empty")] }
    }

    fn builtin(&self, builtin: &BuiltinImage) -> Result<State, ImageError> {
        let mut state = self.scratch();
        let view = View::new(&state.dirs);
        let mut layer = LayerBuilder::new(self.options.source_date_epoch);
        for file in &builtin.files {
            let path = parts(&file.path).filter(|path| !path.is_empty());
            let path = path.ok_or_else(|| BuildError::Options(format!("{} is no path", file.path)))?;
            layer.add_parents(&view, &path, Owner::default()).at("look at", Path::new(&file.path))?;
            layer.add(path, Owner::default(), file.mode, Content::Bytes(file.content.clone()));
        }
        self.add_layer(&mut state, layer)?;
        Ok(state)
    }

    fn image(&self, image: &Image) -> Result<State, ImageError> {
        let manifest = self.store.read_manifest(&image.digest)?;
        let bytes = self.store.read_blob(&manifest.config.digest, self.store.limits().config_max)?;
        let mut config: serde_json::Value = parse_json(&bytes, "image configuration")?;
        drop_nulls(&mut config);
        let config = serde_json::from_value(config)
            .map_err(|error| ImageError::invalid("image configuration", error.to_string()))?;
        Ok(State { config, layers: manifest.layers, dirs: image.layer_dirs.clone() })
    }

    /// Writes configuration and manifest.
    fn finish(&self, mut state: State) -> Result<model::image::Digest, ImageError> {
        state.config.created = Some(self.created.clone());
        state.config.config.labels.extend(self.options.labels.clone());
        let bytes = serde_json::to_vec(&state.config)
            .map_err(|error| ImageError::invalid("image configuration", error.to_string()))?;
        let max = self.store.limits().config_max;
        let info = self.store.add_blob(&mut &bytes[..], None, max, "image configuration")?;
        let config = Descriptor { digest: info.digest, size: info.size, media_type: CONFIG_OCI.into() };
        write_manifest(self.store, &config, &state.layers)
    }
}

fn in_shell(words: &Words, shell: &[String]) -> Option<Vec<String>> {
    match words {
        Words::Exec(words) if words.is_empty() => None,
        Words::Exec(words) => Some(words.clone()),
        Words::Shell(command) => Some(shell.iter().cloned().chain([command.clone()]).collect()),
    }
}

/// `80`, `80/udp`, `8000-8010`.
fn read_ports(word: &str) -> Result<Vec<String>, CopyError> {
    let invalid =
        || CopyError::Refused(format!("EXPOSE {word} is invalid; expected port, port/udp or from-to"));
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(invalid());
    }
    let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(invalid);
    let (from, to) = (port(from)?, port(to)?);
    if to < from || to - from >= PORTS_MAX {
        return Err(invalid());
    }
    Ok((from..=to).map(|port| format!("{port}/{protocol}")).collect())
}

/// `uid`, `uid:gid`; one number is both, as Docker has it.
fn read_owner(text: &str) -> Result<Owner, String> {
    let id = |text: &str| match text {
        "root" => Ok(0),
        text => text
            .parse::<u32>()
            .map_err(|_| format!("--chown={text} is not supported by name; give numbers like 1000:1000")),
    };
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    Ok(Owner { uid: id(user)?, gid: id(group)? })
}

fn read_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| format!("--chmod={text} is invalid; give octal digits like 755"))
}

/// `<Dockerfile>.dockerignore` goes before `.dockerignore`.
fn read_ignore(context: &Path, options: &BuildOptions) -> Result<Ignore, ImageError> {
    let own = options.dockerfile.as_ref().map(|path| {
        let mut path = path.clone().into_os_string();
        path.push(".dockerignore");
        PathBuf::from(path)
    });
    for path in own.into_iter().chain([context.join(".dockerignore")]) {
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).at("open", &path),
        };
        let mut text = String::new();
        file.take(IGNORE_MAX).read_to_string(&mut text).at("read", &path)?;
        return Ok(Ignore::parse(&text));
    }
    Ok(Ignore::default())
}
