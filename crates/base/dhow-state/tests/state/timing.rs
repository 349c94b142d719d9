//! How long things take: printed, not judged, for machines differ.

use crate::store::{Sample, Scratch};
use dhow_state::Durability;
use std::time::{Duration, Instant};

fn best_of(times: u32, mut f: impl FnMut()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        f();
        start.elapsed()
    };
    (0..times).map(once).min().unwrap()
}

#[test]
fn a_thousand_images() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let operation = state.begin("load", 1).unwrap();
    let start = Instant::now();
    let samples: Vec<Sample> = (0..1000).map(Sample::new).collect();
    samples.iter().for_each(|sample| sample.bring(&state, &operation).unwrap());
    println!("bring 1,000 images: {:?}", start.elapsed());
    let start = Instant::now();
    operation.sync_published().unwrap();
    println!("flush them: {:?}", start.elapsed());
    let start = Instant::now();
    operation.commit(Durability::PowerCut, |w| samples.iter().try_for_each(|sample| sample.record(w))).unwrap();
    println!("record them in one transaction: {:?}", start.elapsed());
    println!("list them: {:?}", best_of(20, || assert_eq!(state.read(|r| r.list_images()).unwrap().len(), 1000)));
    println!("one small transaction: {:?}", best_of(200, || crate::roles::record(&state, 1).unwrap()));
    println!("begin and end an operation: {:?}", best_of(50, || drop(state.begin("nothing", 1).unwrap())));
    drop(state);
    println!("open to read: {:?}", best_of(50, || drop(scratch.open_to_read())));
    println!("open to write: {:?}", best_of(50, || drop(scratch.open())));
    let open_and_list = || assert_eq!(scratch.open_to_read().read(|r| r.list_images()).unwrap().len(), 1000);
    println!("open and list: {:?}", best_of(50, open_and_list));
    // The log grows with each transaction until it is copied into the ledger; opening reads it.
    let opened = |_| {
        crate::roles::record(&scratch.open(), 1).unwrap();
        best_of(3, || drop(scratch.open_to_read()))
    };
    println!("open to read, at the longest log: {:?}", (0..200).map(opened).max().unwrap());
}
