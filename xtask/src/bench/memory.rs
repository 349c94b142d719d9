//! Peak memory while large images come in: flat, whatever the size of a layer or the number of its files.

use super::Options;
use super::disk::Disk;
use super::inputs;
use super::measure::{Case, interleave, time_and_memory};
use super::report::{Figure, Report};
use super::unpack::dhow;
use crate::failure::Failure;

const FILES: usize = 200_000;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let inputs = [
        ("12 layers".to_owned(), inputs::twelve_layers(options)?),
        ("a layer of 4 GiB, plain".to_owned(), inputs::four_gibibytes(options, "plain")?),
        ("a layer of 4 GiB, gzip".to_owned(), inputs::four_gibibytes(options, "gzip")?),
        ("a layer of 4 GiB, zstd".to_owned(), inputs::four_gibibytes(options, "zstd")?),
        // A window that the format makes every reader hold; no tool writes layers so by itself.
        ("a layer of 4 GiB, zstd --long=27".to_owned(), inputs::four_gibibytes(options, "zstd-long")?),
        (format!("a layer of {FILES} files"), inputs::many_files(options, FILES)?),
    ];
    let mut cases: Vec<Case<'_>> = inputs
        .iter()
        .map(|(name, image)| {
            Case::new(name, move || {
                let disk = Disk::fresh(options, 12)?;
                time_and_memory(dhow(options, &disk).args(["load", "--quiet", "--input"]).arg(image))
            })
        })
        .collect();
    let cases = interleave(&mut cases, options.rounds(2))?;
    let about = "largest resident set of dhow load".to_owned();
    Report { name: "memory", about, cases, figures: &[Figure::PeakMebibytes, Figure::WallSeconds] }.publish(options)
}
