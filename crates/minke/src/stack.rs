//! `stack.yaml`: the functions of a project, in the order of the file (contract 3).

mod load;
mod schema;
mod select;
mod substitute;
mod unknown;

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::{FunctionName, Namespace};

use crate::error::Failure;
use crate::flags::StackFlags;
use crate::printer;

pub use self::load::environment_files;

/// Largest stack file or environment file.
pub const FILE_MAX: u64 = 1024 * 1024;
/// The names that are looked for when no file is given.
const DEFAULTS: [&str; 2] = ["stack.yaml", "stack.yml"];

/// A stack file that was read and makes sense.
#[derive(Debug)]
pub struct Stack {
    pub path: PathBuf,
    pub gateway: Option<String>,
    /// In file order; of those, the ones that `--filter` or `--regex` chose.
    pub functions: Vec<StackFunction>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct StackFunction {
    pub name: FunctionName,
    pub namespace: Option<Namespace>,
    /// `FILE, line N`, for messages.
    pub place: String,
    pub lang: String,
    pub handler: String,
    pub image: String,
    pub fprocess: Option<String>,
    pub skip_build: bool,
    pub environment: BTreeMap<String, String>,
    pub environment_files: Vec<String>,
    pub secrets: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub constraints: Vec<String>,
    pub limits: StackResources,
    pub requests: StackResources,
    pub read_only_root: bool,
    pub build_args: BTreeMap<String, String>,
}

/// As written; the domain reads them when the function is deployed.
#[derive(Debug, Clone, Default)]
pub struct StackResources {
    pub memory: Option<String>,
    pub cpu: Option<String>,
}

impl Stack {
    /// The stack file that a command works on: `--yaml`, else the one that lies here.
    pub fn load(flags: &StackFlags) -> Result<Option<Self>, Failure> {
        let Some(path) = flags.file.clone().or_else(lying_here) else { return Ok(None) };
        let mut stack = load::load(path, flags.envsubst)?;
        for warning in &stack.warnings {
            printer::warn(warning);
        }
        select::select(&mut stack, flags)?;
        Ok(Some(stack))
    }

    /// The stack file of a command that only wants to know the gateway from it: one that merely lies here and
    /// is broken is none of its business.
    pub fn load_for_address(flags: &StackFlags) -> Result<Option<Self>, Failure> {
        if flags.file.is_some() {
            return Self::load(flags);
        }
        let Some(path) = lying_here() else { return Ok(None) };
        match load::load(path, flags.envsubst) {
            Ok(stack) => Ok(Some(stack)),
            Err(failure) => {
                printer::warn(format_args!("ignoring a broken stack file: {failure}"));
                Ok(None)
            }
        }
    }

    pub fn function(&self, name: &str) -> Option<&StackFunction> {
        self.functions.iter().find(|function| function.name.as_str() == name)
    }

    /// A path that the file names: from here, as `faas-cli` has it, else from the folder of the stack file.
    pub fn resolve(&self, path: &str) -> PathBuf {
        let here = PathBuf::from(path);
        let beside = self.path.parent().map(|folder| folder.join(path)).unwrap_or_default();
        if !here.exists() && beside.exists() { beside } else { here }
    }
}

fn lying_here() -> Option<PathBuf> {
    DEFAULTS.iter().map(PathBuf::from).find(|path| path.is_file())
}
