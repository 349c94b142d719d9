//! Our table as packets meet it: hosts and containers are namespaces, and all connections are real.

use crate::world::{World, ask, ask_udp, blue, locked, plan, port, red, run, serve, serve_udp, silent, subnet, udp};
use dhow_network::firewall::Network;
use dhow_network::ports::Protocol::{Tcp, Udp};
use dhow_network::route::{self, Route};
use dhow_network::sysctl::{self, Setting};
use dhow_network::{address, link};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

#[test]
fn packets_find_published_ports() {
    packets_find_ports(&World::new());
}

/// Most hosts do not have br_netfilter: then what stays in a bridge meets no rule.
#[test]
fn packets_find_published_ports_where_bridges_do_not_call_the_firewall() {
    let world = World::new();
    if sysctl::bridges_call_the_firewall(&world.host).unwrap() {
        let off = "for f in /proc/sys/net/bridge/bridge-nf-call-*tables; do echo 0 > $f; done";
        run(&world.host, "sh", &["-c", off]);
    }
    assert!(!sysctl::bridges_call_the_firewall(&world.host).unwrap());
    packets_find_ports(&world);
}

fn packets_find_ports(world: &World) {
    let (blue, red) = (blue(), red());
    world.bridge(&blue);
    world.bridge(&red);
    let (web, other, stranger) = (world.container(&blue, 2), world.container(&blue, 3), world.container(&red, 2));
    serve(&web, "0.0.0.0:80", "web");
    serve(&web, "[fd00:b::2]:80", "web6");
    serve_udp(&web, "0.0.0.0:53", "dns");
    serve(&other, "0.0.0.0:80", "other");
    let ports = [
        port(Tcp, "0.0.0.0:8080", "172.18.0.2:80"),
        port(Udp, "0.0.0.0:5353", "172.18.0.2:53"),
        port(Tcp, "[::]:8080", "[fd00:b::2]:80"),
        port(Tcp, "127.0.0.1:8081", "172.18.0.3:80"),
    ];
    world.firewall().rebuild(&plan(&[blue, red], &ports)).unwrap();
    // From outside, with the client's real address.
    assert_eq!(ask(&world.outside, "192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    assert_eq!(ask(&world.outside, "[2001:db8::1]:8080").unwrap(), "web6 2001:db8::2");
    assert_eq!(ask_udp(&udp(&world.outside), "192.0.2.1:5353").unwrap(), "dns 192.0.2.2");
    assert!(ask(&world.outside, "192.0.2.1:8081").is_err(), "published for 127.0.0.1 only");
    // From the host: by 127.0.0.1, by an address of its own, by the gateway's.
    assert_eq!(ask(&world.host, "127.0.0.1:8080").unwrap(), "web 172.18.0.1");
    assert_eq!(ask(&world.host, "127.0.0.1:8081").unwrap(), "other 172.18.0.1");
    assert_eq!(ask_udp(&udp(&world.host), "127.0.0.1:5353").unwrap(), "dns 172.18.0.1");
    assert_eq!(ask(&world.host, "192.0.2.1:8080").unwrap(), "web 192.0.2.1");
    assert_eq!(ask(&world.host, "[2001:db8::1]:8080").unwrap(), "web6 2001:db8::1");
    assert!(ask(&world.host, "172.18.0.1:8080").unwrap().starts_with("web "));
    assert!(ask(&world.host, "[::1]:8080").is_err(), "is for who listens there");
    // From containers: the same one, one of the same network, one of another.
    assert_eq!(ask(&web, "192.0.2.1:8080").unwrap(), "web 172.18.0.1");
    assert_eq!(ask(&other, "192.0.2.1:8080").unwrap(), "web 172.18.0.1");
    assert_eq!(ask(&other, "172.18.0.1:8080").unwrap(), "web 172.18.0.1");
    assert!(ask(&other, "[2001:db8::1]:8080").unwrap().starts_with("web6 fd00:b::1"));
    assert!(ask(&stranger, "192.0.2.1:8080").unwrap().starts_with("web "));
    // A port that is taken away is away.
    world.firewall().change(&ports[..1], &[]).unwrap();
    assert!(ask(&world.outside, "192.0.2.1:8080").is_err());
}

#[test]
fn connections_live_on_while_the_table_is_rebuilt_and_other_ports_change() {
    let world = World::new();
    let network = blue();
    world.bridge(&network);
    let web = world.container(&network, 2);
    let listener = web.with(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let ports = [port(Tcp, "0.0.0.0:8080", "172.18.0.2:80"), port(Tcp, "0.0.0.0:8081", "172.18.0.2:81")];
    let mut firewall = world.firewall();
    firewall.rebuild(&plan(&[blue()], &ports)).unwrap();
    let mut clients = Vec::new();
    for (netns, address) in [(&world.outside, "192.0.2.1:8080"), (&world.host, "127.0.0.1:8080")] {
        let client = netns.with(|| TcpStream::connect(address)).unwrap();
        clients.push((client, listener.accept().unwrap().0));
    }
    let mut talk = || {
        for (client, server) in &mut clients {
            client.write_all(b"ping").unwrap();
            server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            server.read_exact(&mut [0; 4]).unwrap();
            server.write_all(b"pong").unwrap();
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client.read_exact(&mut [0; 4]).unwrap();
        }
    };
    talk();
    firewall.change(&ports[1..], &[port(Tcp, "0.0.0.0:8082", "172.18.0.2:82")]).unwrap();
    talk();
    firewall.rebuild(&plan(&[blue(), red()], &ports)).unwrap();
    talk();
    // A hundred times, with packets under way.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let rebuild = || {
            let mut firewall = world.firewall();
            for round in 0..100 {
                let networks = if round % 2 == 0 { vec![blue()] } else { vec![blue(), red()] };
                firewall.rebuild(&plan(&networks, &ports)).unwrap();
            }
            stop.store(true, Relaxed);
        };
        scope.spawn(rebuild);
        while !stop.load(Relaxed) {
            talk();
        }
    });
    // What somebody flushed is there again. (Connections may break meanwhile: their packets went untranslated.)
    run(&world.host, "nft", &["flush", "ruleset"]);
    firewall.rebuild(&plan(&[network], &[port(Tcp, "0.0.0.0:8083", "172.18.0.2:83")])).unwrap();
    serve(&web, "0.0.0.0:83", "web");
    assert_eq!(ask(&world.outside, "192.0.2.1:8083").unwrap(), "web 192.0.2.2");
}

#[test]
fn containers_reach_the_world_and_not_each_others_networks() {
    let world = World::new();
    let (blue, red, locked) = (blue(), red(), locked());
    for network in [&blue, &red, &locked] {
        world.bridge(network);
    }
    let (a, b, c) = (world.container(&blue, 2), world.container(&blue, 3), world.container(&red, 2));
    let (d, e) = (world.container(&locked, 2), world.container(&locked, 3));
    for (netns, name) in [(&b, "b"), (&c, "c"), (&e, "e"), (&world.outside, "outside"), (&world.host, "host")] {
        serve(netns, "[::]:80", name);
    }
    let public = port(Tcp, "0.0.0.0:8080", "172.19.0.2:80");
    world.firewall().rebuild(&plan(&[blue.clone(), red.clone(), locked.clone()], &[public])).unwrap();
    // Out, under the host's address.
    assert_eq!(ask(&a, "192.0.2.2:80").unwrap(), "outside ::ffff:192.0.2.1");
    assert_eq!(ask(&a, "[2001:db8::2]:80").unwrap(), "outside 2001:db8::1");
    // Within a network, under its own.
    assert_eq!(ask(&a, "172.18.0.3:80").unwrap(), "b ::ffff:172.18.0.2");
    assert_eq!(ask(&a, "[fd00:b::3]:80").unwrap(), "b fd00:b::2");
    assert_eq!(ask(&d, "10.9.0.3:80").unwrap(), "e ::ffff:10.9.0.2");
    // The host by the gateway of any network (host-gateway), and the host to containers.
    assert_eq!(ask(&a, "172.18.0.1:80").unwrap(), "host ::ffff:172.18.0.2");
    assert!(ask(&a, "172.19.0.1:80").unwrap().starts_with("host "));
    assert!(ask(&world.host, "172.18.0.3:80").unwrap().starts_with("b "));
    assert!(ask(&world.host, "172.18.0.1:80").unwrap().starts_with("host "));
    // Not: between networks; into or out of an internal one; to a container's own address from outside.
    assert!(silent(&a, "172.19.0.2:80") && silent(&a, "[fd00:e::2]:80"));
    assert!(silent(&d, "192.0.2.2:80") && silent(&d, "172.18.0.3:80") && silent(&d, "192.0.2.1:8080"));
    assert!(silent(&a, "10.9.0.3:80") && silent(&world.outside, "10.9.0.3:80"));
    assert!(silent(&world.outside, "172.18.0.3:80") && silent(&world.outside, "[fd00:b::3]:80"));
    assert!(silent(&world.outside, "172.19.0.2:80"), "published, but this is not the published address");
    assert!(ask(&world.outside, "192.0.2.1:8080").unwrap().starts_with("c "));
    // All of that is our table's doing.
    world.firewall().remove().unwrap();
    assert!(ask(&world.outside, "172.18.0.3:80").unwrap().starts_with("b "));
    assert!(ask(&a, "172.19.0.2:80").unwrap().starts_with("c "));
    // Where a network is not to be protected its containers are reached, and those of others are not.
    let open = Network { unprotected: [true; 2], ..blue };
    world.firewall().rebuild(&plan(&[open, red, locked], &[])).unwrap();
    assert!(ask(&world.outside, "172.18.0.3:80").unwrap().starts_with("b "));
    assert!(silent(&world.outside, "172.19.0.2:80"));
}

#[test]
fn without_masquerading_answers_still_come() {
    let world = World::new();
    let network = Network { masquerade: false, ..blue() };
    world.bridge(&network);
    let inside = world.container(&network, 2);
    serve(&inside, "[::]:80", "inside");
    serve(&world.outside, "[::]:80", "outside");
    world.firewall().rebuild(&plan(&[network], &[])).unwrap();
    assert_eq!(ask(&inside, "192.0.2.2:80").unwrap(), "outside ::ffff:172.18.0.2");
    assert!(silent(&world.outside, "172.18.0.2:80"));
}

#[test]
fn containers_kept_apart_do_not_talk() {
    let world = World::new();
    let network = Network { inter_container: false, ..blue() };
    world.bridge(&network);
    let (a, b) = (world.container(&network, 2), world.container(&network, 3));
    serve(&b, "[::]:80", "b");
    // The host sees packets within a bridge where br_netfilter is there and on.
    let bridged = sysctl::bridges_call_the_firewall(&world.host).unwrap();
    assert_eq!(ask(&a, "172.18.0.3:80").unwrap(), "b ::ffff:172.18.0.2");
    world.firewall().rebuild(&plan(&[network], &[])).unwrap();
    assert_eq!(silent(&a, "172.18.0.3:80"), bridged);
}

/// CVE-2020-8558: whoever is on the same wire could reach what listens on 127.0.0.1 of a host with route_localnet.
#[test]
fn nobody_else_reaches_127_0_0_1() {
    let world = World::new();
    let blue = blue();
    world.bridge(&blue);
    let inside = world.container(&blue, 2);
    let secret = world.host.with(|| UdpSocket::bind("127.0.0.1:7")).unwrap();
    let mut route = inside.route().unwrap();
    assert!(address::remove(&mut route, 1, subnet("127.0.0.1/8")).unwrap());
    let eth0 = link::index(&mut route, "eth0").unwrap();
    sysctl::ensure(&inside, &[Setting::route_localnet("eth0")]).unwrap();
    let via = Route { via: Some("172.18.0.1".parse().unwrap()), ..Route::direct(subnet("127.0.0.1/32"), eth0) };
    route::add(&mut route, &via).unwrap();
    let attacker = inside.with(|| UdpSocket::bind("172.18.0.2:0")).unwrap();
    let comes_through = |wait| {
        attacker.send_to(b"knock", "127.0.0.1:7").unwrap();
        secret.set_read_timeout(Some(Duration::from_millis(wait))).unwrap();
        secret.recv_from(&mut [0; 8]).is_ok()
    };
    assert!(comes_through(5000), "else this proves nothing");
    world.firewall().rebuild(&plan(&[blue], &[])).unwrap();
    assert!(!comes_through(400));
    assert!(world.nft().contains("ip daddr 127.0.0.0/8 drop"));
}
