//! What networks make of the host, and what they do where somebody else changes it.

use crate::harness::networks::{address, bridge, create, kernel, links, misses, reaches, shown, sleeper, table};
use crate::harness::{Containers, Neighbour, eventually, ip, run};
use std::process::Command;

#[test]
fn what_somebody_took_apart_is_put_right() {
    let neighbour = Neighbour::new();
    let store = Containers::new();
    let id = create(&store, "lan");
    sleeper(&store, "aa", &["--network", "lan"]);
    sleeper(&store, "bb", &["--network", "lan"]);
    let b = address(&store, "bb");
    let works = |store: &Containers| reaches(store, "aa", &b) && reaches(store, "aa", "192.0.2.2");
    assert!(works(&store));
    assert_eq!(store.dhow(&["network", "reload"]).text(), "", "all is well");
    let whole = table();
    run(Command::new("nft").args(["flush", "ruleset"])).ok();
    // Somebody else may have put it right already: whoever watches.
    store.dhow(&["network", "reload"]).ok();
    assert_eq!(table(), whole);
    // A chain emptied, and a foreign rule in another.
    let name = whole.split_whitespace().nth(2).unwrap().to_owned();
    run(Command::new("nft").args(["flush", "chain", "inet", &name, "forward"])).ok();
    run(Command::new("nft").args(["add", "rule", "inet", &name, "raw", "drop"])).ok();
    store.dhow(&["network", "reload"]).ok();
    assert_eq!(table(), whole);
    // One whose containers are kept apart stays so.
    let shy = create(&store, "-o com.docker.network.bridge.enable_icc=false shy");
    sleeper(&store, "dd", &["--network", "shy"]);
    sleeper(&store, "ee", &["--network", "shy"]);
    let ee = address(&store, "ee");
    ip(&["link", "del", &bridge(&shy)]);
    store.dhow(&["network", "reload"]).ok();
    assert!(reaches(&store, "dd", "192.0.2.2") && misses(&store, "dd", &ee));
    // The bridge itself. (Whoever watches the table may have put it right before us.)
    ip(&["link", "del", &bridge(&id)]);
    store.dhow(&["network", "reload"]).ok();
    assert!(works(&store));
    ip(&["link", "set", &bridge(&id), "down"]);
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    store.dhow(&["network", "reload"]).ok();
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), "1\n");
    assert!(works(&store));
    drop(neighbour);
}

/// One network that cannot be put right does not keep the others from it.
#[test]
fn what_cannot_be_put_right_harms_no_other() {
    let neighbour = Neighbour::new();
    let store = Containers::new();
    let bad = create(&store, "aa");
    let good = create(&store, "bb");
    sleeper(&store, "one", &["--network", "aa"]);
    sleeper(&store, "two", &["--network", "bb"]);
    ip(&["link", "del", &bridge(&bad)]);
    ip(&["link", "add", &bridge(&bad), "type", "bridge"]);
    ip(&["link", "del", &bridge(&good)]);
    run(Command::new("nft").args(["flush", "ruleset"])).ok();
    store.dhow(&["network", "reload"]).fails(&[&bridge(&bad), "is not the bridge of network aa"]);
    assert!(table().contains(&bridge(&good)));
    assert!(reaches(&store, "two", "192.0.2.2"));
    drop(neighbour);
}

/// The host got an address of the subnet meanwhile, as after a reboot with a VPN that was not there before.
#[test]
fn a_subnet_that_the_host_needs_itself_by_now_is_not_taken() {
    let neighbour = Neighbour::new();
    let store = Containers::new();
    let id = create(&store, "--subnet 10.7.0.0/24 lan");
    ip(&["link", "del", &bridge(&id)]);
    ip(&["addr", "add", "10.7.0.200/24", "dev", "out0"]);
    store
        .dhow(&["run", "--rm", "--network", "lan", "box", "true"])
        .fails_with(125, &["network lan cannot be set up", "10.7.0.0/24"]);
    assert_eq!(kernel("route show 10.7.0.0/24").len(), 1);
    ip(&["addr", "del", "10.7.0.200/24", "dev", "out0"]);
    store.dhow(&["run", "--rm", "--network", "lan", "box", "true"]).ok();
    drop(neighbour);
}

/// Where the host did not forward, it forwards for containers alone, as docker has it.
#[test]
fn a_host_that_was_no_router_becomes_none() {
    let (here, there) = (Neighbour::new(), Neighbour::second());
    let from_here = |address: &str| {
        let ping = || run(Command::new("busybox").args(["ping", "-c", "1", "-W", "1", address])).code == Some(0);
        here.with(|| (0..3).any(|_| ping()))
    };
    for parameter in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        std::fs::write(format!("/proc/sys/net/{parameter}"), "0").unwrap();
    }
    // The host's way out may be a bridge of its own, which goes on hearing where it leads.
    ip(&["link", "add", "uplink", "up", "type", "bridge"]);
    std::fs::write("/proc/sys/net/ipv6/conf/uplink/accept_ra", "1").unwrap();
    let store = Containers::new();
    let said = store.dhow(&["network", "create", "lan"]).ok();
    assert!(said.stderr.contains("net/ipv6/conf/uplink/accept_ra is now 2 (was 1)"), "{said}");
    assert!(said.stderr.contains("net/ipv4/ip_forward is now 1 (was 0)"), "{said}");
    assert!(said.stderr.contains("net/ipv6/conf/all/forwarding is now 1 (was 0)"), "{said}");
    sleeper(&store, "aa", &["--network", "lan"]);
    assert!(reaches(&store, "aa", "192.0.2.2") && reaches(&store, "aa", "198.51.100.2"));
    assert!(reaches(&store, "aa", "2001:db8:1::2"));
    assert!(!from_here("198.51.100.2") && !from_here("2001:db8:1::2"), "no router for others");
    store.dhow(&["network", "reload"]).ok();
    run(Command::new("nft").args(["flush", "ruleset"])).ok();
    store.dhow(&["network", "reload"]).ok();
    assert!(!from_here("198.51.100.2"), "and that is not forgotten");
    // Other stores, and others who make bridges or links after that, are not concerned.
    let other = Containers::new();
    let said = other.dhow(&["network", "create", "lan"]).ok();
    assert_eq!(said.stderr, "", "it forwards already");
    sleeper(&other, "bb", &["--network", "lan"]);
    assert!(reaches(&other, "bb", "198.51.100.2") && reaches(&store, "aa", "198.51.100.2"));
    store.dhow(&["rm", "-f", "aa"]).ok();
    store.dhow(&["network", "rm", "lan"]).ok();
    assert!(!from_here("198.51.100.2"), "not even with the last network");
    // Whoever wants a router says so.
    let run_root = store.folder().join("run").join(store.dhow(&["info", "--format", "{{.ID}}"]).text());
    std::fs::remove_file(run_root.join("forwarding-ipv4")).unwrap();
    store.dhow(&["network", "reload"]).ok();
    assert!(from_here("198.51.100.2") && !from_here("2001:db8:1::2"));
    std::fs::remove_file(run_root.join("forwarding-ipv6")).unwrap();
    store.dhow(&["network", "reload"]).ok();
    assert!(from_here("2001:db8:1::2"));
    drop(there);
}

#[test]
fn bridges_of_others_are_left_alone_and_half_made_ones_finished() {
    let store = Containers::new();
    ip(&["link", "add", "mine", "type", "bridge"]);
    store
        .dhow(&["network", "create", "-o", "com.docker.network.bridge.name=mine", "x"])
        .fails(&["link mine is not the bridge of network x", "ip link delete mine"]);
    assert!(links().contains(&"mine".to_owned()));
    assert_eq!(store.dhow(&["network", "ls", "-q", "-f", "type=custom"]).text(), "");
    let id = create(&store, "-o com.docker.network.bridge.name=lan0 lan");
    assert_eq!(shown(&store, "lan", "{{.Id}}"), id);
    let mac = kernel("link show lan0")[0]["address"].as_str().unwrap().to_owned();
    // Killed right after the bridge was made: no address, down.
    ip(&["link", "del", "lan0"]);
    ip(&["link", "add", "lan0", "address", &mac, "type", "bridge"]);
    sleeper(&store, "aa", &["--network", "lan"]);
    sleeper(&store, "bb", &["--network", "lan"]);
    assert!(reaches(&store, "aa", &address(&store, "bb")));
    store.dhow(&["rm", "-f", "aa", "bb"]).ok();
    // Somebody else's in its place is not removed with the network.
    ip(&["link", "del", "lan0"]);
    ip(&["link", "add", "lan0", "type", "bridge"]);
    store.dhow(&["run", "--rm", "--network", "lan", "box", "true"]).fails_with(125, &["lan0 is not the bridge"]);
    store.dhow(&["network", "rm", "lan"]).ok();
    assert!(links().contains(&"lan0".to_owned()));
    store.assert_nothing_left();
}

/// An ICMPv6 router advertisement (RFC 4861, 4.2) from whoever runs in a container: "I am your router, for half an hour; and
/// 2001:db8:bad::/64 is on this link, take an address of it".
fn advertise(pid: &str) {
    use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket, sockopt};
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend([3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    message.extend("2001:db8:bad::".parse::<std::net::Ipv6Addr>().unwrap().octets());
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
    std::thread::scope(|scope| {
        let work = || {
            nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let socket = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)).unwrap();
            sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
            // The first link behind `lo`.
            let everybody = std::net::SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, 2);
            sendto(&socket, &message, SendFlags::empty(), &everybody).unwrap();
        };
        scope.spawn(work).join().unwrap();
    });
}

/// CVE-2020-13401: a container is not the host's router, whatever it says.
#[test]
fn the_host_believes_no_container_about_its_routes() {
    let store = Containers::new();
    for words in ["--internal closed", "open"] {
        let id = create(&store, words);
        let name = words.rsplit(' ').next().unwrap();
        sleeper(&store, &format!("on-{name}"), &["--network", name]);
        let pid = store.shown(&format!("on-{name}"), "{{.State.Pid}}");
        let parameter = format!("/proc/sys/net/ipv6/conf/{}/accept_ra", bridge(&id));
        assert_eq!(std::fs::read_to_string(&parameter).unwrap(), "0\n");
        let heard = || !ip(&["-6", "route", "show", "2001:db8:bad::/64"]).is_empty();
        for _ in 0..10 {
            advertise(&pid);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(!heard());
        // Else that would prove nothing.
        std::fs::write(&parameter, "2").unwrap();
        eventually("the advertisement is heard", || {
            advertise(&pid);
            heard()
        });
        store.dhow(&["rm", "-f", &format!("on-{name}")]).ok();
        store.dhow(&["network", "rm", name]).ok();
    }
}
