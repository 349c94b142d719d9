//! Figures, printed for people: `cargo test -p dhow-network --release --test network -- --ignored --nocapture speed`.
//! What is asserted holds on any machine: nothing is lost, and the memory stays as it is.

#![allow(clippy::print_stdout, reason = "figures for people")]

use super::asking::{query, udp};
use super::process::{Directory, Process, apart, endpoint, join, sockets, ticks, upstream, write};
use dhow_network::resolver::control::{PerFamily, ready_for};
use dhow_network::resolver::resolv_conf::Place;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// What a run showed.
struct Figures {
    answers: u64,
    lost: u64,
    took: Duration,
    /// Sorted.
    latencies: Vec<Duration>,
}

impl Figures {
    fn print(&self, what: &str) {
        let at = |part: f64| self.latencies[((self.latencies.len() - 1) as f64 * part) as usize];
        println!(
            "{what}: {:.0}/s, {} lost; {:?} median, {:?} p99, {:?} p99.9, {:?} max",
            self.answers as f64 / self.took.as_secs_f64(),
            self.lost,
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
}

/// Asks for so long, never with more than `window` questions open, and no more than `rate` a second.
fn run(client: &UdpSocket, at: SocketAddr, length: Duration, window: usize, rate: Option<f64>) -> Figures {
    client.connect(at).unwrap();
    client.set_nonblocking(true).unwrap();
    let mut sent = vec![None; 65_536];
    let (mut open, mut next, mut answers, mut lost) = (0, 0_u64, 0, 0);
    let mut latencies = Vec::new();
    let questions = [query(0, "web", 1, None), query(0, "db.shop", 28, None)];
    let (begin, mut bytes) = (Instant::now(), [0; 2048]);
    while begin.elapsed() < length || open > 0 && begin.elapsed() < length + Duration::from_secs(1) {
        let due = rate.is_none_or(|rate| (next as f64) < begin.elapsed().as_secs_f64() * rate);
        if open < window && due && begin.elapsed() < length {
            let id = next as u16;
            let mut question = questions[usize::from(id % 2)].clone();
            question[..2].copy_from_slice(&id.to_be_bytes());
            sent[usize::from(id)] = Some(Instant::now());
            if client.send(&question).is_ok() {
                (open, next) = (open + 1, next + 1);
            }
        }
        match client.recv(&mut bytes) {
            Ok(_) => {
                let id = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
                latencies.extend(sent[id].take().map(|at: Instant| at.elapsed()));
                (open, answers) = (open - 1, answers + 1);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
    lost += open as u64;
    latencies.sort();
    Figures { answers, lost, took: length, latencies }
}

#[test]
#[ignore = "figures for people"]
fn answers_of_one_container() {
    let directory = Directory::new();
    let mut endpoints =
        vec![endpoint("c1", &["web"], &["172.18.0.2", "fd00::2"]), endpoint("c2", &["db"], &["172.18.0.3", "fd00::3"])];
    endpoints.extend((0..50).map(|n| endpoint(&n.to_string(), &[&format!("other{n}")], &["172.18.1.1"])));
    write(&directory, "shop", endpoints);
    let process = Process::start();
    process.network("n1", &directory);
    apart(|| {
        let (sockets, at) = sockets(&[]);
        process.control.join(join("c1", &["n1"], &[]), &sockets).unwrap();
        run(&udp(), at, Duration::from_millis(300), 8, None);
        let before = process.memory();
        let cpu = || ticks(&process.child) as f64 * 10_000.0;
        let mut all = 0;
        let busy = cpu();
        for (what, window, rate) in
            [("one at a time", 1, None), ("20,000 a second", 128, Some(20_000.0)), ("32 at once", 32, None)]
        {
            let figures = run(&udp(), at, Duration::from_secs(4), window, rate);
            figures.print(what);
            all += figures.answers;
            // Fewer than the socket's queue holds are open, so that none can be lost however slow the machine is.
            assert_eq!(figures.lost, 0);
        }
        println!("CPU: {:.1} us each; memory {before} -> {} KiB", (cpu() - busy) / all as f64, process.memory());
        assert!(process.memory() <= before + 64);
    });
}

/// What a start of a container pays for its resolver.
#[test]
#[ignore = "figures for people"]
fn start_of_a_resolver_and_of_a_container() {
    let directory = Directory::new();
    write(&directory, "shop", vec![endpoint("c1", &["web"], &["172.18.0.2"])]);
    let upstreams = [upstream("10.0.0.1:53".parse().unwrap(), Place::Container)];
    let (mut starts, mut joins, mut makes) = (Vec::new(), Vec::new(), Vec::new());
    apart(|| {
        for _ in 0..20 {
            let begin = Instant::now();
            let process = Process::start();
            process.network("n1", &directory);
            starts.push(begin.elapsed());
            for n in 0..20 {
                let begin = Instant::now();
                let (sockets, _) = ready_for(&upstreams, PerFamily::default()).unwrap();
                makes.push(begin.elapsed());
                process.control.join(join(&n.to_string(), &["n1"], &upstreams), &sockets).unwrap();
                joins.push(begin.elapsed() - makes[makes.len() - 1]);
            }
            assert_eq!(process.control.status().unwrap().clients.len(), 20);
            println!("{} KiB with 20 containers", process.memory());
        }
    });
    for (what, all) in
        [("a resolver", &mut starts), ("sockets of a container", &mut makes), ("handing them in", &mut joins)]
    {
        all.sort();
        println!("{what}: {:?} least, {:?} median", all[0], all[all.len() / 2]);
    }
}
