//! What compiling and filtering cost. Figures, no verdict: run alone, in release, on a quiet machine:
//!
//!     cargo test --release -p dhow-runtime seccomp::tests::cost -- --ignored --nocapture --test-threads 1

use super::docker::dockers;
use super::machine::{Data, run};
use crate::seccomp::calls::Abi;
use crate::seccomp::{Filter, docker_default, docker_default_filter};
use rustix::net::{AddressFamily, SocketType};
use std::hint::black_box;
use std::time::Instant;

/// The median of 200 runs, in microseconds.
fn median(mut body: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let start = Instant::now();
            body();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[100]
}

#[test]
#[ignore = "a measurement"]
fn compiling() {
    let set = dockers();
    let profile = docker_default(&set);
    let filter = docker_default_filter(&set);
    println!("instructions: {}", filter.instructions().len());
    println!("docker_default:          {:6.1} us", median(|| drop(black_box(docker_default(&set)))));
    println!("Filter::compile of it:   {:6.1} us", median(|| drop(black_box(Filter::compile(&profile)))));
    println!("docker_default_filter:   {:6.1} us", median(|| drop(black_box(docker_default_filter(&set)))));
    for name in ["read", "openat", "futex", "clone", "socket", "unshare"] {
        let (_, steps) = run(filter.instructions(), &Data::of(Abi::X86_64, name, &[0; 6]));
        println!("{name}: {steps} instructions");
    }
}

/// Nanoseconds of a call that is always allowed, and of one with conditions that ends at once.
fn calls() -> (f64, f64) {
    const COUNT: u32 = 200_000;
    let each = |body: &dyn Fn()| {
        let best = (0..7).map(|_| {
            let start = Instant::now();
            (0..COUNT).for_each(|_| body());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(COUNT)
        });
        best.fold(f64::INFINITY, f64::min)
    };
    let always = each(&|| {
        black_box(rustix::process::getppid());
    });
    let socket = || drop(black_box(rustix::net::socket(AddressFamily::INET, SocketType::from_raw(99), None)));
    (always, each(&socket))
}

#[test]
#[ignore = "a measurement"]
fn filtering() {
    let (always, conditional) = std::thread::spawn(calls).join().unwrap();
    println!("no filter: getppid {always:.0} ns, socket {conditional:.0} ns");
    let under = |filter: Filter| {
        std::thread::spawn(move || {
            let start = Instant::now();
            filter.load().unwrap();
            let loading = start.elapsed().as_secs_f64() * 1e6;
            (loading, calls())
        })
    };
    let (loading, (always, conditional)) = under(docker_default_filter(&dockers())).join().unwrap();
    println!("docker's: getppid {always:.0} ns, socket {conditional:.0} ns; loading took {loading:.0} us");
}
