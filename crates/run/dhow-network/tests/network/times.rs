//! What things cost, for people to look at: `cargo test --release -p dhow-network -- --ignored --nocapture times`.

use crate::world::{TABLE, plan, port, subnet};
use dhow_network::firewall::{Firewall, Network};
use dhow_network::link::{self, BridgeOptions, Kind, New};
use dhow_network::netns::Netns;
use dhow_network::ports::Protocol::Tcp;
use dhow_network::route::{self, Route};
use dhow_network::sysctl::{self, Setting};
use dhow_network::{Mac, address, conntrack};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 200;

/// Median and tenth of a hundred, in microseconds.
struct Times(Vec<(&'static str, Vec<Duration>)>);

impl Times {
    fn took<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let time = start.elapsed();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, times)) => times.push(time),
            None => self.0.push((name, vec![time])),
        }
        result
    }

    fn print(mut self) {
        for (name, times) in &mut self.0 {
            times.sort();
            println!(
                "{name:40} median {:>6} us, p10 {:>6} us",
                times[times.len() / 2].as_micros(),
                times[times.len() / 10].as_micros()
            );
        }
    }
}

#[test]
#[ignore = "a measurement, not a test"]
fn times_of_wires_and_ports() {
    let host = Netns::new().unwrap();
    let mut times = Times(Vec::new());
    let mut outside = times.took("route socket of another namespace", || host.route().unwrap());
    link::set_up(&mut outside, "lo").unwrap();
    let network = Network::new("dhow0", [subnet("172.18.0.0/16"), subnet("fd00:b::/64")]);
    let mut firewall = Firewall::on(host.netfilter().unwrap(), TABLE);
    let mut flows = host.netfilter().unwrap();
    for round in 0..ROUNDS {
        times.took("bridge: made, 2 gateways, up, localnet", || {
            let kind = Kind::Bridge(BridgeOptions::default());
            link::create(&mut outside, &New { up: true, ..New::named("dhow0", kind) }).unwrap();
            let index = link::index(&mut outside, "dhow0").unwrap();
            address::add(&mut outside, index, subnet("172.18.0.1/16")).unwrap();
            address::add(&mut outside, index, subnet("fd00:b::1/64")).unwrap();
            sysctl::ensure(&host, &[Setting::route_localnet("dhow0")]).unwrap();
        });
        let bridge = link::index(&mut outside, "dhow0").unwrap();
        let container = times.took("netns", || Netns::new().unwrap());
        let name = format!("dv{round}");
        times.took("veth: peer inside, in the bridge, up", || {
            let mac = Some(Mac::of("172.18.0.2".parse().unwrap()));
            let veth = Kind::Veth { peer: "eth0".into(), namespace: Some(&container), mac };
            link::create(&mut outside, &New { master: Some(bridge), up: true, ..New::named(&name, veth) }).unwrap();
        });
        let mut inside = times.took("route socket of another namespace", || container.route().unwrap());
        times.took("inside: lo, 2 addresses, up, 2 routes", || {
            link::set_up(&mut inside, "lo").unwrap();
            let eth0 = link::index(&mut inside, "eth0").unwrap();
            address::add(&mut inside, eth0, subnet("172.18.0.2/16")).unwrap();
            address::add(&mut inside, eth0, subnet("fd00:b::2/64")).unwrap();
            link::set_up(&mut inside, "eth0").unwrap();
            route::add(&mut inside, &Route::default_via("172.18.0.1".parse().unwrap(), eth0)).unwrap();
            route::add(&mut inside, &Route::default_via("fd00:b::1".parse().unwrap(), eth0)).unwrap();
        });
        times.took("nft: whole table, 1 network", || {
            firewall.rebuild(&plan(std::slice::from_ref(&network), &[])).unwrap()
        });
        let one = port(Tcp, "0.0.0.0:8080", "172.18.0.2:80");
        times.took("nft: add a port", || firewall.change(&[], &[one]).unwrap());
        times.took("nft: remove a port", || firewall.change(&[one], &[]).unwrap());
        times.took("nft: inspect", || firewall.inspect(&plan(std::slice::from_ref(&network), &[])).unwrap());
        let udp = port(dhow_network::ports::Protocol::Udp, "0.0.0.0:8080", "172.18.0.2:80");
        times.took("conntrack: forget a port", || conntrack::forget_ports(&mut flows, &[udp]).unwrap());
        times.took("veth deleted", || link::delete(&mut outside, &name).unwrap());
        times.took("bridge deleted", || link::delete(&mut outside, "dhow0").unwrap());
    }
    times.print();
}
