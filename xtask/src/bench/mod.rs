//! `cargo xtask bench NAME`: dhow beside its peers and beside what this machine can do at most.
//!
//! Every figure of a table comes from one run, in which the cases take turns, so that they share whatever else the machine
//! was doing. Raw samples go to bench/runs/. Needs root: each unpacking gets a fresh file system of its own.

mod crash;
mod density;
mod disk;
mod inputs;
mod limit;
mod list;
mod load;
mod measure;
mod memory;
mod network;
mod report;
mod run;
mod runtimes;
mod start;
mod unpack;

use std::path::PathBuf;

pub(crate) use measure::measured;

use crate::failure::Failure;
use crate::project;

const USAGE: &str = "usage: cargo xtask bench NAME [OPTION...]

  unpack    one layer of a Debian root file system: dhow, tar -xzf, the limit of a pipeline
  load      an image of 12 layers: dhow, podman, and the peers of PEERS_ROOT
  list      `dhow images` with 1,000 images
  memory    peak memory while images with a layer of 4 GiB, and one of 200,000 files, come in
  start     `dhow --version` and an empty static program
  run       a container, an exec, a long log: dhow, podman, and crun and runc with the same config.json
  network   the same on networks, with a published port and without
  density   100 idle containers: start, memory of each supervisor, removal; 200, and nothing left
  crash     10,000 random kills
  all       all of them

  --rounds N      how often each case is run
  --scratch DIR   where inputs and file systems are put (default: target/bench)
  --ram           file systems in memory (/dev/shm), so that no disk is in the figures
  --dhow PATH     the dhow to measure (default: the release build, made now)
  --peer NAME=COMMAND
                  an OCI runtime for `run`, called as COMMAND run --bundle DIR ID; several times for several (default: crun
                  and runc of the PATH)

environment:
  PEERS_ROOT      a root file system with newer peers (docker, podman) to run in a chroot
";

type Bench = fn(&Options) -> Result<(), Failure>;

/// What the caller chose.
pub(crate) struct Options {
    pub(crate) rounds: Option<usize>,
    pub(crate) scratch: PathBuf,
    pub(crate) ram: bool,
    pub(crate) dhow: PathBuf,
    pub(crate) peers_root: Option<PathBuf>,
    /// Runtimes by name, and the words that call them.
    pub(crate) peers: Vec<(String, Vec<String>)>,
}

impl Options {
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(usual)
    }
}

/// Runs the named benchmark.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let Some((name, options)) = args.split_first() else { return Err(Failure::usage(USAGE)) };
    if name.starts_with('-') || options.iter().any(|option| option == "--help") {
        print!("{USAGE}");
        return Ok(());
    }
    if cfg!(debug_assertions) {
        // The limit that dhow is held against is part of this program, and is to be as fast as it can be.
        let again = ["run", "--release", "--quiet", "--locked", "--package", "xtask", "--", "bench"];
        return project::step(project::cargo().args(again).args(args));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("benchmarks make file systems and stores: run them as root"));
    }
    let options = parse(options)?;
    std::fs::create_dir_all(&options.scratch).map_err(Failure::at(&options.scratch))?;
    disk::private_mounts()?;
    let all: &[(&str, Bench)] = &[
        ("start", start::run),
        ("list", list::run),
        ("unpack", unpack::run),
        ("load", load::run),
        ("memory", memory::run),
        ("run", run::run),
        ("network", network::run),
        ("density", density::run),
        ("crash", crash::run),
    ];
    let chosen: Vec<_> = all.iter().filter(|(known, _)| name == "all" || name == known).collect();
    if chosen.is_empty() {
        return Err(Failure::usage(USAGE));
    }
    chosen.into_iter().try_for_each(|(_, bench)| bench(&options))
}

fn parse(args: &[String]) -> Result<Options, Failure> {
    let metadata = project::metadata()?;
    let target = metadata["target_directory"].as_str().unwrap_or("target");
    let mut options = Options {
        rounds: None,
        scratch: PathBuf::from(target).join("bench"),
        ram: false,
        dhow: PathBuf::new(),
        peers_root: std::env::var_os("PEERS_ROOT").map(PathBuf::from),
        peers: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| Failure::new(format!("{arg} wants a value")));
        match arg.as_str() {
            "--ram" => options.ram = true,
            "--scratch" => options.scratch = value()?.into(),
            "--dhow" => options.dhow = value()?.into(),
            "--peer" => {
                let text = value()?;
                let (name, command) = text.split_once('=').ok_or_else(|| Failure::new("--peer wants NAME=COMMAND"))?;
                let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
                if name.is_empty() || words.is_empty() {
                    return Err(Failure::new("--peer wants NAME=COMMAND"));
                }
                options.peers.push((name.to_owned(), words));
            }
            "--rounds" => {
                let rounds = value()?.parse().map_err(|e| Failure::new(format!("--rounds: {e}")))?;
                options.rounds = Some(rounds);
            }
            _ => return Err(Failure::usage(USAGE)),
        }
    }
    if options.dhow.as_os_str().is_empty() {
        project::step(project::cargo().args(["build", "--release", "--locked", "--package", "dhow"]))?;
        options.dhow = project::built(&metadata, "release", "dhow")?;
    }
    Ok(options)
}
