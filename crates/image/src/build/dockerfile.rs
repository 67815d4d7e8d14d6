//! From the text of a Dockerfile to the stages that have to be built. What is not supported is refused here, before
//! anything is fetched or written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use model::image::ImageRef;
use parse_dockerfile::{Command, Flag, Instruction, JsonOrStringArray, Source};

use super::substitute::{self, expand};
use super::{BuildError, BuildOptions};
use crate::error::{ImageError, IoContext};
use crate::manifest::host_platform;

const DOCKERFILE_MAX: u64 = 1024 * 1024;

/// The stages that lead to the target, in the order of the file.
#[derive(Debug)]
pub(super) struct Plan {
    pub escape: char,
    pub stages: Vec<Stage>,
    /// ARGs before the first FROM, as a stage that declares them sees them.
    pub global_args: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(super) struct Stage {
    /// Its place in the file, by which it can be named.
    pub number: usize,
    pub name: Option<String>,
    pub line: usize,
    pub base: Base,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Base {
    Scratch,
    /// An earlier stage, by number.
    Stage(usize),
    Image(ImageRef),
}

#[derive(Debug)]
pub(super) struct Step {
    pub line: usize,
    /// For the history.
    pub text: String,
    pub action: Action,
}

/// Texts are not expanded yet: variables are known when the step is reached.
#[derive(Debug)]
pub(super) enum Action {
    Copy(Copy),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Arg(Vec<(String, Option<String>)>),
    Workdir(String),
    User(String),
    Expose(Vec<String>),
    Volume(Vec<String>),
    Entrypoint(Words),
    Cmd(Words),
    Shell(Vec<String>),
    StopSignal(String),
    /// Read, and of no meaning to an image (HEALTHCHECK, MAINTAINER).
    Nothing,
    Run(String),
}

#[derive(Debug)]
pub(super) struct Copy {
    /// ADD: unpacks archives.
    pub unpacks: bool,
    pub from: Option<Base>,
    pub chown: Option<String>,
    pub chmod: Option<String>,
    pub sources: Vec<String>,
    pub dest: String,
}

#[derive(Debug)]
pub(super) enum Words {
    Exec(Vec<String>),
    Shell(String),
}

impl Plan {
    pub(super) fn read(options: &BuildOptions) -> Result<Self, ImageError> {
        let path = options.dockerfile.clone().unwrap_or_else(|| options.context_dir.join("Dockerfile"));
        let text = read_text(&path)?;
        Ok(Self::parse(&text, options)?)
    }

    pub(super) fn parse(text: &str, options: &BuildOptions) -> Result<Self, BuildError> {
        let file = parse_dockerfile::parse(text).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            BuildError::Instruction { line: error.line().max(1), message }
        })?;
        let escape = file.parser_directives.escape.as_ref().map_or('\\', |directive| directive.value.value);
        let mut reader = Reader { text, escape, options, plan: Vec::new(), global_args: BTreeMap::new() };
        for instruction in &file.instructions {
            reader.instruction(instruction)?;
        }
        let Reader { plan, global_args, .. } = reader;
        let stages = needed(plan, options.target.as_deref())?;
        for step in stages.iter().flat_map(|stage| &stage.steps) {
            if let Action::Run(command) = &step.action {
                return Err(BuildError::Run { line: step.line, command: command.clone() });
            }
        }
        Ok(Self { escape, stages, global_args })
    }

    /// Images from outside, with the line that asks for them.
    pub(super) fn images(&self) -> BTreeMap<&ImageRef, usize> {
        let mut images = BTreeMap::new();
        for stage in &self.stages {
            let copied = stage.steps.iter().filter_map(|step| match &step.action {
                Action::Copy(Copy { from: Some(from), .. }) => Some((step.line, from)),
                _ => None,
            });
            for (line, base) in copied.chain([(stage.line, &stage.base)]) {
                if let Base::Image(image) = base {
                    images.entry(image).or_insert(line);
                }
            }
        }
        images
    }
}

struct Reader<'a> {
    text: &'a str,
    escape: char,
    options: &'a BuildOptions,
    plan: Vec<Stage>,
    global_args: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn instruction(&mut self, instruction: &Instruction<'_>) -> Result<(), BuildError> {
        use Instruction as I;
        let start = match instruction {
            I::Add(i) => i.add.span.start,
            I::Arg(i) => i.arg.span.start,
            I::Cmd(i) => i.cmd.span.start,
            I::Copy(i) => i.copy.span.start,
            I::Entrypoint(i) => i.entrypoint.span.start,
            I::Env(i) => i.env.span.start,
            I::Expose(i) => i.expose.span.start,
            I::From(i) => i.from.span.start,
            I::Healthcheck(i) => i.healthcheck.span.start,
            I::Label(i) => i.label.span.start,
            I::Maintainer(i) => i.maintainer.span.start,
            I::Onbuild(i) => i.onbuild.span.start,
            I::Run(i) => i.run.span.start,
            I::Shell(i) => i.shell.span.start,
            I::Stopsignal(i) => i.stopsignal.span.start,
            I::User(i) => i.user.span.start,
            I::Volume(i) => i.volume.span.start,
            I::Workdir(i) => i.workdir.span.start,
            _ => 0,
        };
        let line = self.text[..start].matches('\n').count() + 1;
        let refuse = |message: String| BuildError::Instruction { line, message };
        let escape = self.escape;
        let action = match instruction {
            I::From(from) => return self.from(line, from).map_err(refuse),
            I::Arg(arg) => {
                let args =
                    args(&arg.arguments.value, escape).map_err(|reason| refuse(format!("ARG {reason}")))?;
                if self.plan.is_empty() {
                    return self.global_arg(args).map_err(refuse);
                }
                Action::Arg(args)
            }
            I::Add(add) => {
                let copy = self.copy(&add.options, &add.src, &add.dest.value, true);
                Action::Copy(copy.map_err(|reason| refuse(format!("ADD {reason}")))?)
            }
            I::Copy(copy) => {
                let copy = self.copy(&copy.options, &copy.src, &copy.dest.value, false);
                Action::Copy(copy.map_err(|reason| refuse(format!("COPY {reason}")))?)
            }
            I::Env(env) => Action::Env(
                substitute::pairs(&env.arguments.value, escape).map_err(|r| refuse(format!("ENV {r}")))?,
            ),
            I::Label(label) => Action::Label(
                substitute::pairs(&label.arguments.value, escape)
                    .map_err(|r| refuse(format!("LABEL {r}")))?,
            ),
            I::Workdir(workdir) => Action::Workdir(workdir.arguments.value.to_string()),
            I::User(user) => Action::User(user.arguments.value.to_string()),
            I::Expose(expose) => {
                Action::Expose(expose.arguments.iter().map(|word| word.value.to_string()).collect())
            }
            I::Volume(volume) => Action::Volume(match &volume.arguments {
                JsonOrStringArray::Json(words) => {
                    words.value.iter().map(|word| word.value.to_string()).collect()
                }
                JsonOrStringArray::String(words) => words.iter().map(|word| word.value.to_string()).collect(),
            }),
            I::Entrypoint(entrypoint) => Action::Entrypoint(self.words(&entrypoint.arguments)),
            I::Cmd(cmd) => Action::Cmd(self.words(&cmd.arguments)),
            I::Shell(shell) => {
                Action::Shell(shell.arguments.iter().map(|word| word.value.to_string()).collect())
            }
            I::Stopsignal(signal) => Action::StopSignal(signal.arguments.value.to_string()),
            I::Healthcheck(_) | I::Maintainer(_) => Action::Nothing,
            I::Run(run) => Action::Run(match self.words(&run.arguments) {
                Words::Shell(command) => command,
                Words::Exec(words) => words.join(" "),
            }),
            I::Onbuild(_) => {
                return Err(refuse(
                    "ONBUILD is not supported; write its instruction where it is needed".into(),
                ));
            }
            _ => return Err(refuse("instruction is not supported".into())),
        };
        let end = self.text[start..].find('\n').map_or(self.text.len(), |end| start + end);
        let text = self.text[start..end].trim().to_owned();
        match self.plan.last_mut() {
            Some(stage) => stage.steps.push(Step { line, text, action }),
            None => return Err(refuse("expected FROM before this instruction".into())),
        }
        Ok(())
    }

    fn from(&mut self, line: usize, from: &parse_dockerfile::FromInstruction<'_>) -> Result<(), String> {
        for flag in &from.options {
            match &*flag.name.value {
                "platform" => self.platform(flag)?,
                other => return Err(format!("FROM has the unknown flag --{other}")),
            }
        }
        let image = self.expand_global(&from.image.value).map_err(|reason| format!("FROM {reason}"))?;
        let base = match image.as_str() {
            "" => return Err("FROM has no image; is an ARG without a value in it".into()),
            "scratch" => Base::Scratch,
            name => match self.stage(name, false) {
                Some(number) => Base::Stage(number),
                None => Base::Image(ImageRef::parse(name).map_err(|error| error.to_string())?),
            },
        };
        let name = from.as_.as_ref().map(|(_, name)| name.value.to_ascii_lowercase());
        if let Some(name) = &name {
            let is_word = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.bytes().all(is_word) {
                return Err(format!(
                    "stage name {name:?} is invalid; a letter, then letters, digits, '-', '_' and '.'"
                ));
            }
        }
        self.plan.push(Stage { number: self.plan.len(), name, line, base, steps: Vec::new() });
        Ok(())
    }

    fn platform(&self, flag: &Flag<'_>) -> Result<(), String> {
        let wanted = flag.value.as_ref().map(|value| self.expand_global(&value.value)).transpose()?;
        let wanted = wanted.unwrap_or_default();
        let host = host_platform();
        match wanted == host || wanted.is_empty() || host.ends_with(&format!("/{wanted}")) {
            true => Ok(()),
            false => Err(format!("--platform={wanted} is not supported; images are built for {host}")),
        }
    }

    fn global_arg(&mut self, args: Vec<(String, Option<String>)>) -> Result<(), String> {
        for (name, default) in args {
            let given = self.options.build_args.get(&name).cloned();
            let value = match (given, default) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => Some(self.expand_global(&default)?),
                (None, None) => None,
            };
            self.global_args.extend(value.map(|value| (name, value)));
        }
        Ok(())
    }

    fn expand_global(&self, text: &str) -> Result<String, String> {
        expand(text, self.escape, &|name| self.global_args.get(name).cloned().or_else(|| platform_arg(name)))
    }

    fn copy(
        &self,
        flags: &[Flag<'_>],
        sources: &[Source<'_>],
        dest: &str,
        unpacks: bool,
    ) -> Result<Copy, String> {
        let (mut from, mut chown, mut chmod) = (None, None, None);
        for flag in flags {
            let value = flag.value.as_ref().map(|value| value.value.to_string());
            match (&*flag.name.value, value) {
                ("from", Some(value)) if !unpacks => from = Some(self.copy_from(&value)?),
                ("chown", Some(value)) => chown = Some(value),
                ("chmod", Some(value)) => chmod = Some(value),
                // A layer of its own is what every COPY gets here.
                ("link", _) => {}
                (name, _) => return Err(format!("has the flag --{name}, which is not supported")),
            }
        }
        let path = |source: &Source<'_>| match source {
            Source::Path(path) if unpacks && is_remote(&path.value) => Err(format!(
                "of {} is not supported; download the file into the context and COPY it",
                path.value
            )),
            Source::Path(path) => Ok(path.value.to_string()),
            _ => Err("of a here-document is not supported; put the text into a file of the context".into()),
        };
        let sources = sources.iter().map(path).collect::<Result<_, String>>()?;
        Ok(Copy { unpacks, from, chown, chmod, sources, dest: dest.to_owned() })
    }

    fn copy_from(&self, name: &str) -> Result<Base, String> {
        match self.stage(name, true) {
            Some(number) if number + 1 == self.plan.len() => {
                Err(format!("--from={name} is the stage itself"))
            }
            Some(number) => Ok(Base::Stage(number)),
            None if name == "scratch" => Err("--from=scratch has nothing to copy".into()),
            None if name.contains('$') => {
                Err("--from takes no variables; name the stage or the image".into())
            }
            None => Ok(Base::Image(ImageRef::parse(name).map_err(|error| error.to_string())?)),
        }
    }

    fn stage(&self, name: &str, by_number: bool) -> Option<usize> {
        if by_number && let Ok(number) = name.parse::<usize>() {
            return (number < self.plan.len()).then_some(number);
        }
        let name = name.to_ascii_lowercase();
        self.plan.iter().rev().find(|stage| stage.name.as_ref() == Some(&name)).map(|stage| stage.number)
    }

    fn words(&self, command: &Command<'_>) -> Words {
        match command {
            Command::Exec(words) => {
                Words::Exec(words.value.iter().map(|word| word.value.to_string()).collect())
            }
            Command::Shell(text) => Words::Shell(join_lines(text.value, self.escape)),
            _ => Words::Shell(String::new()),
        }
    }
}

/// What BuildKit gives to those who declare it.
pub(super) fn platform_arg(name: &str) -> Option<String> {
    let platform = host_platform();
    let (os, architecture) = platform.split_once('/')?;
    match name {
        "TARGETPLATFORM" | "BUILDPLATFORM" => Some(platform),
        "TARGETOS" | "BUILDOS" => Some(os.to_owned()),
        "TARGETARCH" | "BUILDARCH" => Some(architecture.to_owned()),
        _ => None,
    }
}

fn args(text: &str, escape: char) -> Result<Vec<(String, Option<String>)>, String> {
    let words = substitute::split(text, escape)?;
    let pair = |word: &String| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        match !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            true => Ok((name.to_owned(), value)),
            false => Err(format!("has the invalid name {name:?}")),
        }
    };
    words.iter().map(pair).collect()
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|scheme| source.starts_with(scheme))
}

/// Lines that end with the escape character go on in the next one; comments between them do not count.
fn join_lines(text: &str, escape: char) -> String {
    let mut joined = String::new();
    for (number, line) in text.lines().enumerate() {
        if number > 0 && line.trim_start().starts_with('#') {
            continue;
        }
        match line.trim_end().strip_suffix(escape) {
            Some(line) => joined.push_str(line),
            None => joined.push_str(line),
        }
    }
    joined.trim().to_owned()
}

/// The target and everything it is made from.
fn needed(stages: Vec<Stage>, target: Option<&str>) -> Result<Vec<Stage>, BuildError> {
    let target = match target {
        None => stages.len().saturating_sub(1),
        Some(target) => {
            let name = target.to_ascii_lowercase();
            let found = stages.iter().rposition(|stage| stage.name.as_ref() == Some(&name));
            let found = found.or_else(|| target.parse().ok().filter(|number| *number < stages.len()));
            found.ok_or_else(|| BuildError::Options(format!("the Dockerfile has no stage {target:?}")))?
        }
    };
    let mut is_needed = vec![false; stages.len()];
    is_needed[target] = true;
    // Stages use earlier ones alone.
    for stage in stages.iter().rev().filter(|stage| stage.number <= target) {
        if !is_needed[stage.number] {
            continue;
        }
        let copied = stage.steps.iter().filter_map(|step| match &step.action {
            Action::Copy(copy) => copy.from.as_ref(),
            _ => None,
        });
        for base in copied.chain([&stage.base]) {
            if let Base::Stage(number) = base {
                is_needed[*number] = true;
            }
        }
    }
    Ok(stages.into_iter().filter(|stage| is_needed[stage.number]).collect())
}

fn read_text(path: &Path) -> Result<String, ImageError> {
    let mut text = String::new();
    let file = File::open(path).at("open", path)?;
    file.take(DOCKERFILE_MAX + 1).read_to_string(&mut text).at("read", path)?;
    match text.len() as u64 > DOCKERFILE_MAX {
        true => Err(ImageError::TooLarge { what: path.display().to_string(), max: DOCKERFILE_MAX }),
        false => Ok(text),
    }
}
