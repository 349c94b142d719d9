//! Flows that the kernel remembers.

use crate::world::{World, ask, ask_udp, blue, plan, port, run, serve, serve_udp, subnet, udp};
use dhow_network::conntrack;
use dhow_network::firewall::Network;
use dhow_network::ports::Protocol::{Tcp, Udp};

/// A client that keeps its port reaches the next container, once what was known of it is forgotten; not before.
#[test]
fn a_client_that_goes_on_sending_reaches_the_new_container() {
    let world = World::new();
    let network = Network::new("dhow0", [subnet("172.18.0.0/16"), subnet("fd00:b::/64")]);
    world.bridge(&network);
    let (old, new) = (world.container(&network, 2), world.container(&network, 3));
    serve_udp(&old, "0.0.0.0:53", "old");
    serve_udp(&new, "0.0.0.0:53", "new");
    let to_old = [port(Udp, "0.0.0.0:5353", "172.18.0.2:53"), port(Tcp, "0.0.0.0:5353", "172.18.0.2:53")];
    let to_new = [port(Udp, "0.0.0.0:5353", "172.18.0.3:53")];
    let mut firewall = world.firewall();
    firewall.rebuild(&plan(&[network], &to_old)).unwrap();
    let (client, unrelated) = (udp(&world.outside), udp(&world.outside));
    serve_udp(&world.host, "0.0.0.0:99", "host");
    assert_eq!(ask_udp(&client, "192.0.2.1:5353").unwrap(), "old 192.0.2.2");
    assert_eq!(ask_udp(&unrelated, "192.0.2.1:99").unwrap(), "host 192.0.2.2");
    firewall.change(&to_old, &to_new).unwrap();
    assert_eq!(ask_udp(&client, "192.0.2.1:5353").unwrap(), "old 192.0.2.2", "remembered");
    let mut socket = world.host.netfilter().unwrap();
    assert_eq!(conntrack::forget_ports(&mut socket, &to_new).unwrap(), 1);
    assert_eq!(conntrack::forget_ports(&mut socket, &to_new).unwrap(), 0);
    assert_eq!(ask_udp(&client, "192.0.2.1:5353").unwrap(), "new 192.0.2.2");
    // Of one address only: another address's flows stay.
    assert_eq!(conntrack::forget_ports(&mut socket, &[port(Udp, "192.0.2.9:5353", "172.18.0.3:53")]).unwrap(), 0);
    let several = [port(Udp, "192.0.2.1:5353", "172.18.0.3:53"), port(Udp, "192.0.2.1:5354", "172.18.0.3:53")];
    assert_eq!(conntrack::forget_ports(&mut socket, &several).unwrap(), 1);
    // By the container's address, whichever end it is.
    assert_eq!(ask_udp(&client, "192.0.2.1:5353").unwrap(), "new 192.0.2.2");
    serve_udp(&world.outside, "0.0.0.0:7", "outside");
    assert!(ask_udp(&udp(&new), "192.0.2.2:7").unwrap().starts_with("outside"));
    assert_eq!(conntrack::forget_addresses(&mut socket, &["172.18.0.3".parse().unwrap()]).unwrap(), 2);
    assert_eq!(conntrack::forget_addresses(&mut socket, &[]).unwrap(), 0);
    // What has nothing to do with it is remembered all the while, says the program of others.
    let listed = run(&world.host, "conntrack", &["-L", "-p", "udp"]);
    assert!(listed.contains("dport=99") && !listed.contains("5353"), "{listed}");
}

/// A connection of which the kernel has not seen the end leads where it led, whatever has become of the port.
#[test]
fn a_connection_is_forgotten_with_the_port_that_led_it() {
    let world = World::new();
    let network = blue();
    world.bridge(&network);
    let container = world.container(&network, 2);
    serve(&container, "0.0.0.0:80", "web");
    let was = port(Tcp, "0.0.0.0:8080", "172.18.0.2:80");
    let mut firewall = world.firewall();
    firewall.rebuild(&plan(&[network], &[was])).unwrap();
    assert_eq!(ask(&world.outside, "192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    assert_eq!(ask(&world.outside, "192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    let mut socket = world.host.netfilter().unwrap();
    let other = port(Tcp, "0.0.0.0:8080", "172.18.0.9:80");
    assert_eq!(conntrack::forget_ports(&mut socket, &[other]).unwrap(), 0, "those that lead elsewhere live on");
    assert_eq!(conntrack::forget_ports(&mut socket, &[was]).unwrap(), 2);
    assert_eq!(ask(&world.outside, "192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    assert_eq!(conntrack::forget_addresses(&mut socket, &["172.18.0.2".parse().unwrap()]).unwrap(), 1);
}
