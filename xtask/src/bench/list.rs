//! `dhow images` on a store of 1,000 images.

use std::process::Command;

use super::disk::Disk;
use super::measure::{Case, interleave, time};
use super::report::{Figure, Report};
use super::unpack::dhow;
use super::{Options, inputs};
use crate::failure::Failure;
use crate::project::{output, step};

const IMAGES: usize = 1000;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let archive = inputs::many_images(options, IMAGES)?;
    let disk = Disk::fresh(options, 2)?;
    step(dhow(options, &disk).args(["load", "--quiet", "--input"]).arg(&archive).stdout(std::process::Stdio::null()))?;
    let listed = output(dhow(options, &disk).args(["images", "--quiet", "--no-trunc"]))?.lines().count();
    if listed != IMAGES {
        return Err(Failure::new(format!("{listed} images are listed of {IMAGES}")));
    }
    let list = |args: &'static [&'static str]| {
        let disk = &disk;
        move || time(dhow(options, disk).args(args))
    };
    let mut cases = [
        Case::new("dhow images", list(&["images"])),
        Case::new("dhow images --quiet", list(&["images", "--quiet"])),
        Case::new("dhow images --format json", list(&["images", "--format", "json"])),
        Case::new("dhow images NAME", list(&["images", "example.org/team-3/app-20"])),
        Case::new("dhow --version", || time(Command::new(&options.dhow).arg("--version"))),
    ];
    let cases = interleave(&mut cases, options.rounds(40))?;
    let about = format!("{IMAGES} images in the store");
    Report { name: "list", about, cases, figures: &[Figure::CpuMillis] }.publish(options)
}
