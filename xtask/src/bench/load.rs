//! An image of 12 layers into an empty store: dhow, the podman of this machine, and newer peers in a chroot.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::disk::Disk;
use super::measure::{Case, Sample, interleave, time};
use super::report::{Figure, Report};
use super::unpack::dhow;
use super::{Options, inputs};
use crate::failure::Failure;
use crate::project::{self, on_path, output};

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let image = inputs::twelve_layers(options)?;
    let image = image.as_path();
    let mut cases = vec![Case::new("dhow", || {
        let disk = Disk::fresh(options, 6)?;
        time(dhow(options, &disk).args(["load", "--quiet", "--input"]).arg(image))
    })];
    if on_path("podman") {
        let version = output(Command::new("podman").arg("--version"))?;
        cases.push(Case::new(name(&version), || {
            let disk = Disk::fresh(options, 6)?;
            let mut podman = Command::new("podman");
            podman.arg("--root").arg(disk.path().join("root")).arg("--runroot").arg(disk.path().join("run"));
            podman.env("TMPDIR", disk.path());
            let sample = time(podman.args(["--storage-driver", "overlay", "load", "--quiet", "--input"]).arg(image));
            // The overlay driver leaves its folder mounted on itself.
            let _ = output(Command::new("umount").arg(disk.path().join("root/overlay")));
            sample
        }));
    }
    if let Some(root) = &options.peers_root {
        for engine in ["podman", "docker"] {
            let version = output(Command::new(peer_script()).arg(root).args([engine, "--version"]))?;
            cases.push(Case::new(name(&version), move || peer(options, root, engine, image)));
        }
    } else {
        eprintln!("xtask: PEERS_ROOT is not set: no newer podman and no docker in this run");
    }
    let cases = interleave(&mut cases, options.rounds(5))?;
    let size = std::fs::metadata(image).map_err(Failure::at(image))?.len() >> 20;
    let about = format!("load of 12 layers, {size} MiB gzip, into an empty store on a fresh ext4");
    Report { name: "load", about, cases, figures: &[Figure::WallSeconds, Figure::CpuMillis] }.publish(options)
}

fn peer_script() -> PathBuf {
    project::root().join("bench/peer")
}

/// "Docker version 28.5.2, build ecc6942" -> "docker 28.5.2"
fn name(version: &str) -> String {
    let mut words = version.split([' ', ',', '\n']).filter(|word| !word.is_empty() && *word != "version");
    format!("{} {}", words.next().unwrap_or_default().to_lowercase(), words.next().unwrap_or_default())
}

/// An engine inside the chroot, its daemon (if it has one) running before the clock does; bench/peer says what it took.
fn peer(options: &Options, root: &Path, engine: &str, image: &Path) -> Result<Sample, Failure> {
    let disk = Disk::fresh(options, 6)?;
    let said = output(Command::new(peer_script()).arg(root).arg(engine).arg(image).arg(disk.path()))?;
    let numbers: Vec<f64> =
        said.lines().last().unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [wall, cpu] = numbers[..] else { return Err(Failure::new(format!("bench/peer: no figures: {said}"))) };
    Ok(Sample { wall, cpu, peak: 0 })
}
