//! One gzip layer of a real root file system onto a fresh file system each time.

use std::process::Command;

use super::disk::Disk;
use super::measure::{Case, Sample, interleave, time, time_own};
use super::report::{Figure, Report};
use super::{Options, inputs, limit};
use crate::failure::Failure;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (packed, image) = inputs::debian(options)?;
    let on_disk = |work: &dyn Fn(&Disk) -> Result<Sample, Failure>| work(&Disk::fresh(options, 6)?);
    let tar = |then: &'static str| {
        let packed = packed.clone();
        move |disk: &Disk| {
            let script = format!("tar -C \"$1\" --numeric-owner --xattrs -xpzf \"$2\"{then}");
            time(Command::new("sh").args(["-euc", &script, "sh"]).arg(disk.path()).arg(&packed))
        }
    };
    let pipeline = |durable: bool| {
        let packed = packed.clone();
        move |disk: &Disk| time_own(|| limit::unpack(&packed, disk.path(), durable))
    };
    let load = |disk: &Disk| time(dhow(options, disk).args(["load", "--quiet", "--input"]).arg(&image));
    let import = |disk: &Disk| time(dhow(options, disk).arg("import").arg(&packed).arg("example.org/debian:import"));
    let (limit, durable_limit, plain_tar, durable_tar) =
        (pipeline(false), pipeline(true), tar(""), tar("; sync --file-system \"$1\""));
    let mut cases = [
        Case::new("limit: hash, inflate, write", || on_disk(&limit)),
        Case::new("limit, blob kept and synced", || on_disk(&durable_limit)),
        Case::new("dhow load", || on_disk(&load)),
        Case::new("dhow import", || on_disk(&import)),
        Case::new("tar -xzf", || on_disk(&plain_tar)),
        Case::new("tar -xzf, synced", || on_disk(&durable_tar)),
    ];
    let cases = interleave(&mut cases, options.rounds(7))?;
    let size = std::fs::metadata(&packed).map_err(Failure::at(&packed))?.len() >> 20;
    let about = format!("one Debian layer of {size} MiB gzip, fresh ext4 each time; dhow keeps the blob and syncs");
    Report { name: "unpack", about, cases, figures: &[Figure::WallSeconds, Figure::CpuMillis] }.publish(options)
}

/// dhow with its store on this disk.
pub(crate) fn dhow(options: &Options, disk: &Disk) -> Command {
    let mut command = Command::new(&options.dhow);
    command.arg("--root").arg(disk.path().join("root")).arg("--runroot").arg(disk.path().join("run"));
    command
}
