//! What getting in costs. Not asserted: a measurement, to be read.
#![allow(clippy::print_stdout, reason = "a measurement")]

use super::{Place, hosts};
use dhow_runtime::cgroup::{Cgroup, warm};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Median and extremes of twenty runs, with a pause before each.
fn measure(name: &str, pause: Duration, files: &[String], before: impl Fn()) {
    let mut times: Vec<u64> = (0..20).map(|_| perl(files, pause, &before)).collect();
    times.sort_unstable();
    println!("{name:<40} {pause:>5?} pause: median {:>6} us ({} to {})", times[10], times[0], times[19]);
}

/// A process of one thread that opens `files`, waits, and then times its own way in, in microseconds.
fn perl(files: &[String], pause: Duration, before: &impl Fn()) -> u64 {
    let script = "use Time::HiRes 'time'; open($f[$_], '>>', $ARGV[$_]) or die for 0..$#ARGV; $| = 1; print qq(ready\\n); \
                  <STDIN>; my $t = time; for (@f) { syswrite($_, '0') or die $! } printf(qq(%d\\n), (time - $t) * 1e6)";
    let mut command = Command::new("perl");
    let command = command.args(["-e", script]).args(files).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    std::thread::sleep(pause);
    before();
    drop(child.stdin.take());
    let time = lines.next().unwrap().unwrap().parse().unwrap();
    child.wait().unwrap();
    time
}

#[test]
#[ignore = "a measurement"]
fn what_a_cold_join_costs() {
    for host in hosts() {
        println!("{}:", host.0);
        let place = Place::new("cost", &host);
        let begin = Instant::now();
        let group = place.create("{}");
        println!("first create with what is above it: {:?}", begin.elapsed());
        let mut times: Vec<_> = (0..50)
            .map(|_| {
                let begin = Instant::now();
                drop(dhow_runtime::cgroup::Hierarchies::detect().unwrap());
                begin.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("detect (median of 50): {:?}", times[25]);
        let docker = r#"{"memory":{"limit":16777216,"swap":33554432},"pids":{"limit":100},"cpu":{"shares":512},
            "devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","access":"m"},
            {"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}]}"#;
        let other = place.top.join("store/two");
        for resources in ["{}", docker] {
            let resources = super::json(resources);
            let mut times: Vec<_> = (0..50)
                .map(|_| {
                    let begin = Instant::now();
                    let made = Cgroup::create(&place.on, &other, &resources).unwrap();
                    let created = begin.elapsed();
                    let begin = Instant::now();
                    made.remove().unwrap();
                    (created, begin.elapsed())
                })
                .collect();
            times.sort_unstable();
            println!("create, remove (median of 50): {:?}", times[25]);
        }
        let directories: Vec<PathBuf> = std::fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .lines()
            .filter(|l| l.contains(" - cgroup"))
            .map(|l| PathBuf::from(l.split(' ').nth(4).unwrap()).join(place.group()))
            .filter(|d| d.exists())
            .collect();
        let files = |name: &str| -> Vec<String> {
            directories.iter().map(|d| d.join(name)).filter(|f| f.exists()).map(|f| f.display().to_string()).collect()
        };
        let (procs, tasks) = (files("cgroup.procs"), files("tasks"));
        for pause in [Duration::from_millis(150), Duration::ZERO] {
            measure("cgroup.procs of all", pause, &procs, || ());
            measure("cgroup.procs of all, after warm()", pause, &procs, || warm(&place.on).unwrap());
            if !tasks.is_empty() {
                measure("tasks of all of version 1", pause, &tasks, || ());
            }
            let mut times: Vec<_> = (0..20)
                .map(|_| {
                    std::thread::sleep(pause);
                    let begin = Instant::now();
                    warm(&place.on).unwrap();
                    begin.elapsed()
                })
                .collect();
            times.sort_unstable();
            println!("warm() itself, {pause:?} pause: median {:?} ({:?} to {:?})", times[10], times[0], times[19]);
        }
        drop(group);
    }
}
