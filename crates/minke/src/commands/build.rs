//! `minke build`: images from Dockerfiles, into the store of this machine's platform, without a daemon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use model::ImageRef;

use crate::client::block_on;
use crate::error::Failure;
use crate::flags::{DataDirFlag, StackFlags, key_value};
use crate::images;
use crate::printer;
use crate::stack::{Stack, StackFunction};

/// The language whose template is the handler's own Dockerfile.
const DOCKERFILE: &str = "dockerfile";

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke build --image hello --handler ./hello --lang dockerfile\n  \
                        minke build --yaml stack.yaml\n\n\
                        The image goes to the store in the data folder, where `minke up` looks before it asks a\n\
                        registry. FROM minke/fwatchdog, or COPY --from=minke/fwatchdog /fwatchdog /usr/bin/fwatchdog,\n\
                        gives the watchdog that this program carries. RUN is not supported yet.")]
pub struct BuildArgs {
    #[command(flatten)]
    stack: StackFlags,
    #[command(flatten)]
    data_dir: DataDirFlag,
    /// Name of the image
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Name of the function, for messages
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Folder with the Dockerfile and what it copies
    #[arg(long, value_name = "DIR")]
    handler: Option<String>,
    /// Only dockerfile for now
    #[arg(long, value_name = "LANG")]
    lang: Option<String>,
    /// Value of an ARG; may be given several times
    #[arg(short, long = "build-arg", value_name = "KEY=VALUE", value_parser = key_value, allow_hyphen_values = true)]
    build_args: Vec<(String, String)>,
    /// Label of the image; may be given several times
    #[arg(long = "build-label", value_name = "KEY=VALUE", value_parser = key_value, allow_hyphen_values = true)]
    build_labels: Vec<(String, String)>,
    /// Accepted for scripts; nothing is cached between builds
    #[arg(long, hide = true)]
    no_cache: bool,
    /// Accepted for scripts
    #[arg(long, hide = true, value_name = "N")]
    parallel: Option<u32>,
    /// Say nothing but errors
    #[arg(long)]
    quiet: bool,
    /// Tag of images that name none; only latest for now
    #[arg(long, value_name = "TAG", default_value = "latest", hide_possible_values = true, value_parser = ["latest", "default", ""])]
    tag: String,
}

/// One image to build.
struct Job {
    name: String,
    image: ImageRef,
    context: PathBuf,
    build_args: BTreeMap<String, String>,
}

pub fn run(args: BuildArgs) -> Result<(), Failure> {
    let from_flags =
        args.image.is_some() || args.name.is_some() || args.handler.is_some() || args.lang.is_some();
    if from_flags && args.stack.file.is_some() {
        return Err(Failure::usage(
            "give either --yaml or --image and --handler; --filter chooses functions of a stack file",
        ));
    }
    let jobs = if from_flags { vec![of_flags(&args)?] } else { of_stack(&args)? };
    let store = images::open_store(&args.data_dir.data_dir)?;
    let started = Instant::now();
    let mut errors = Vec::new();
    for job in &jobs {
        let (at, name) = (Instant::now(), &job.name);
        say(&args, format_args!("[0] > Building {name}.\n"))?;
        say(
            &args,
            format_args!("Building: {} with {DOCKERFILE} template. Please wait..\n", job.image.familiar()),
        )?;
        let labels = args.build_labels.iter().cloned().collect();
        let built = images::build(&store, &job.context, &job.image, job.build_args.clone(), labels);
        match block_on(built) {
            Ok(()) => say(&args, format_args!("Image: {} built.\n", job.image.familiar()))?,
            Err(failure) => errors.push(format!("{name}: {failure}")),
        }
        say(&args, format_args!("[0] < Building {name} done in {:.2}s.\n", at.elapsed().as_secs_f64()))?;
    }
    say(
        &args,
        format_args!("[0] Worker done.\n\nTotal build time: {:.2}s\n", started.elapsed().as_secs_f64()),
    )?;
    if errors.is_empty() {
        return Ok(());
    }
    printer::tell("Errors received during build:");
    errors.iter().for_each(|error| printer::tell(format_args!("- {error}")));
    Err(Failure::told())
}

fn say(args: &BuildArgs, text: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    if args.quiet { Ok(()) } else { printer::data(text) }
}

fn of_flags(args: &BuildArgs) -> Result<Job, Failure> {
    let (Some(image), Some(handler)) = (&args.image, &args.handler) else {
        let missing = if args.image.is_none() { "--image" } else { "--handler" };
        return Err(Failure::usage(format_args!(
            "{missing} is missing; an image is built with both --image and --handler, or from a stack file"
        )));
    };
    let name = args.name.clone().unwrap_or_else(|| image.clone());
    check_language(&name, args.lang.as_deref().unwrap_or(DOCKERFILE)).map_err(Failure::usage)?;
    let build_args = args.build_args.iter().cloned().collect();
    let image = ImageRef::parse(image).map_err(Failure::usage)?;
    Ok(Job { name, image, context: context(PathBuf::from(handler)).map_err(Failure::usage)?, build_args })
}

/// The jobs of the stack file; every mistake in it is found before anything is built.
fn of_stack(args: &BuildArgs) -> Result<Vec<Job>, Failure> {
    let stack = Stack::load(&args.stack)?.ok_or_else(|| {
        Failure::usage(
            "say what to build: --image and --handler, or a stack file with --yaml (stack.yaml is not here)",
        )
    })?;
    if stack.functions.is_empty() {
        return Err(Failure::usage("the stack file has no functions"));
    }
    let mut jobs = Vec::new();
    for function in &stack.functions {
        if function.skip_build {
            say(args, format_args!("Skipping build of: {}.\n", function.name))?;
            continue;
        }
        jobs.push(of_function(args, &stack, function)?);
    }
    Ok(jobs)
}

fn of_function(args: &BuildArgs, stack: &Stack, function: &StackFunction) -> Result<Job, Failure> {
    let refused = |problem: String| Failure::usage(format_args!("{}: {problem}", function.place));
    let name = function.name.to_string();
    check_language(&name, &function.lang).map_err(refused)?;
    if function.handler.is_empty() {
        return Err(refused(format!("function {name} has no handler; name the folder with its Dockerfile")));
    }
    // From here, as `faas-cli` has it; else from the folder of the stack file.
    let here = PathBuf::from(&function.handler);
    let beside = stack.path.parent().map(|folder| folder.join(&function.handler)).unwrap_or_default();
    let chosen = if !here.join("Dockerfile").exists() && beside.exists() { beside } else { here };
    let mut build_args = function.build_args.clone();
    build_args.extend(args.build_args.iter().cloned());
    let image = ImageRef::parse(&function.image).map_err(|error| refused(error.to_string()))?;
    Ok(Job { image, context: context(chosen).map_err(refused)?, build_args, name })
}

fn check_language(name: &str, lang: &str) -> Result<(), String> {
    match lang.to_ascii_lowercase().as_str() {
        DOCKERFILE => Ok(()),
        "" => Err(format!(
            "function {name} has no lang; write lang: {DOCKERFILE} and put a Dockerfile into its handler"
        )),
        _ => Err(format!(
            "function {name}: building with the template {lang:?} is not supported yet; write lang: {DOCKERFILE} and \
             put a Dockerfile into its handler"
        )),
    }
}

fn context(folder: PathBuf) -> Result<PathBuf, String> {
    let dockerfile = |folder: &Path| folder.join("Dockerfile").is_file();
    match folder.is_dir() {
        false => Err(format!("the folder {} is not there", folder.display())),
        true if !dockerfile(&folder) => Err(format!("there is no Dockerfile in {}", folder.display())),
        true => Ok(folder),
    }
}
