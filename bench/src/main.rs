//! The benchmark driver: Minke beside nginx, over the same servers, in one run.
//!
//! It starts everything it measures, on loopback and in a folder of its own, and stops it again. What it prints is
//! what it writes.

mod bodies;
mod cold;
mod crowd;
mod functions;
mod gateway_alone;
mod http_client;
mod idle;
mod machine;
mod process;
mod report;
mod rig;
mod stats;
mod wrk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

use report::Results;
use rig::Rig;
use wrk::{Load, Sample};

/// Clients at once.
const CONNECTIONS: [u32; 2] = [1, 32];
const WARM_UP: Duration = Duration::from_secs(1);
const COLD_STARTS: usize = 10;
/// What is measured beside the main table.
const SHORT: Duration = Duration::from_secs(2);
const SHORT_ROUNDS: usize = 5;
/// After this no round is begun; cold starts and stopping still fit into six minutes.
const LOAD_TIME_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Measures Minke beside nginx; needs root, nginx and wrk")]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// The binary to measure, built in release mode
    #[arg(long, default_value = "target/release/minke")]
    minke: PathBuf,
    /// Folder with the static programs `hello` and `fwatchdog`
    #[arg(long, default_value = "examples/hello")]
    programs: PathBuf,
    /// Rounds; each measures every subject once, so that what disturbs the machine disturbs all
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that each measurement takes
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Where the tables go
    #[arg(long, default_value = "bench/RESULTS.md")]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The gateway by itself, before a server that runs already (the driver starts this)
    #[command(hide = true)]
    Gateway { listen: SocketAddr, upstream: SocketAddr, functions: usize },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.part {
        Some(Part::Gateway { listen, upstream, functions }) => {
            gateway_alone::run(listen, upstream, functions)
        }
        None => bench(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> anyhow::Result<()> {
    check(args)?;
    let begun = Instant::now();
    let load_before = machine::load_average();
    raise_descriptors()?;
    let rig = Rig::start(&args.minke, &args.programs)?;
    let samples = load(args, &rig, begun)?;
    let memory = rig.memory();
    let short = Load { connections: CONNECTIONS[1], duration: SHORT };
    let bodies = bodies::measure(&rig, short, SHORT_ROUNDS)?;
    let functions = functions::measure(&rig, short, SHORT_ROUNDS)?;
    let url = format!("http://{}/function/hello", rig.gateway());
    let crowd = crowd::measure(&rig.wrk, rig.gateway(), &url, short, SHORT_ROUNDS)?;
    let idle = idle::measure(&rig)?;
    eprintln!("cold starts");
    let cold = cold::measure(rig.platform(), COLD_STARTS)?;
    drop(rig);

    let results =
        Results { machine: machine::describe(load_before), seconds: args.seconds, samples, memory, cold };
    let mut text = report::markdown(&results);
    bodies.report(&mut text);
    functions.report(&mut text);
    crowd.report(&mut text);
    idle.report(&mut text);
    println!("{text}");
    std::fs::write(&args.out, text).with_context(|| format!("failed to write {}", args.out.display()))?;
    eprintln!("written to {} after {} s", args.out.display(), begun.elapsed().as_secs());
    Ok(())
}

/// Thousands of connections are held, here and by what is started from here.
fn raise_descriptors() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("failed to raise the open files")
}

fn check(args: &Args) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the benchmark runs real containers, so it needs root");
    }
    for (program, package) in [("nginx", "nginx-light"), ("wrk", "wrk")] {
        if process::find(program).is_none() {
            bail!("{program} is needed: apt-get install {package}");
        }
    }
    for file in [&args.minke, &args.programs.join("hello"), &args.programs.join("fwatchdog")] {
        if !file.exists() {
            bail!("{} is not built; run it as `make bench`", file.display());
        }
    }
    Ok(())
}

/// Every subject under every load, round by round.
fn load(args: &Args, rig: &Rig, begun: Instant) -> anyhow::Result<Vec<Vec<Vec<Sample>>>> {
    let subjects = rig.subjects();
    let mut samples = vec![vec![Vec::new(); CONNECTIONS.len()]; subjects.len()];
    for subject in &subjects {
        eprintln!("warming up: {}", subject.name);
        rig.wrk.run(&subject.url, Load { connections: CONNECTIONS[1], duration: WARM_UP })?;
    }
    for round in 1..=args.rounds {
        if begun.elapsed() > LOAD_TIME_MAX {
            eprintln!("stopping after {} rounds: the time is over", round - 1);
            break;
        }
        for (at, connections) in CONNECTIONS.into_iter().enumerate() {
            for (subject, samples) in subjects.iter().zip(&mut samples) {
                let load = Load { connections, duration: Duration::from_secs(args.seconds) };
                let sample = rig.wrk.run(&subject.url, load)?;
                eprintln!("round {round}, {connections:>2} connections, {}: {sample}", subject.name);
                if sample.errors > 0 {
                    bail!("{}: {} of its answers were errors", subject.name, sample.errors);
                }
                samples[at].push(sample);
            }
        }
    }
    Ok(samples)
}
