//! Unpacks a plain tar from a file and prints how long it took: `unpack LAYER.tar DIRECTORY [hash]`.
//!
//! For measuring against `tar -xf`; the directory must not exist.

use dhow_rootfs::{Limits, NoObserver, UnpackJob, unpack};
use dhow_sys::tree::Tree;
use std::path::Path;
use std::time::Instant;

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, layer, directory, rest @ ..] = arguments.as_slice() else {
        return Err("usage: unpack LAYER.tar DIRECTORY [hash]".into());
    };
    let hash = rest.first().is_some_and(|word| word == "hash");
    let mut tar = std::fs::File::open(layer)?;
    let started = Instant::now();
    let tree = Tree::create(Path::new(directory))?;
    let job = UnpackJob { below: None, bottom: true, hash, observer: &mut NoObserver, limits: Limits::default() };
    let outcome = unpack(&mut tar, &tree, job)?;
    println!("{:.3} s {outcome:?}", started.elapsed().as_secs_f64());
    Ok(())
}
