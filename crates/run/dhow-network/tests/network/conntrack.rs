//! Flows of UDP that the kernel remembers.

use crate::world::{World, ask_udp, plan, port, run, serve_udp, subnet, udp};
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
    assert_eq!(conntrack::forget_address(&mut socket, "172.18.0.3".parse().unwrap()).unwrap(), 2);
    // What has nothing to do with it is remembered all the while, says the program of others.
    let listed = run(&world.host, "conntrack", &["-L", "-p", "udp"]);
    assert!(listed.contains("dport=99") && !listed.contains("5353"), "{listed}");
}
