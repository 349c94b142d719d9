//! How long a start takes, and where the time goes. Not run by default: a number means something only on a quiet machine.

use crate::bench::alone;
use serde_json::json;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

fn median(mut all: Vec<Duration>) -> u128 {
    all.sort();
    all[all.len() / 2].as_micros()
}

#[test]
#[ignore = "it measures"]
fn of_a_start() {
    alone(|mut bench| {
        bench.set("/process/args", json!(["/bin/true"]));
        let (mut to_gate, mut to_exec, mut to_end) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..200 {
            let begin = Instant::now();
            let (starting, _output) = bench.start_joined(&[]).unwrap();
            to_gate.push(begin.elapsed());
            let running = starting.release().unwrap();
            to_exec.push(begin.elapsed());
            dhow_sys::pidfd::wait(running.pidfd.as_fd()).unwrap();
            to_end.push(begin.elapsed());
        }
        println!("medians in us: gate {}, exec {}, end {}", median(to_gate), median(to_exec), median(to_end));
    });
}

#[test]
#[ignore = "it measures"]
fn of_an_entry() {
    alone(|mut bench| {
        let container = bench.sleeping();
        let mut process = bench.spec["process"].clone();
        process["args"] = json!(["/bin/true"]);
        let mut all = Vec::new();
        for _ in 0..200 {
            let begin = Instant::now();
            assert_eq!(container.enter(&process).unwrap().status, 0);
            all.push(begin.elapsed());
        }
        println!("median in us: {}", median(all));
    });
}
