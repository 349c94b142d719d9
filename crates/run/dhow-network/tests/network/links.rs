//! Links, addresses and routes, with `ip` as the oracle.

use dhow_network::link::{self, BridgeOptions, Kind, MacvlanMode, New};
use dhow_network::netlink::{Protocol, Socket, group};
use dhow_network::netns::Netns;
use dhow_network::route::{self, Route};
use dhow_network::{Mac, NetworkError, Subnet, address};
use dhow_spec::{Classify, Kind as ErrorKind};
use std::collections::BTreeSet;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

/// What `ip` says in there, as JSON.
fn ip(netns: &Netns, arguments: &str) -> serde_json::Value {
    let output = netns.with(|| Command::new("ip").args(["-j", "-d"]).args(arguments.split(' ')).output()).unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn bridge(name: &str) -> New<'static> {
    New::named(name, Kind::Bridge(BridgeOptions::default()))
}

#[test]
fn a_wire_that_lets_back_or_is_apart() {
    let netns = Netns::new().unwrap();
    let mut socket = netns.route().unwrap();
    link::create(&mut socket, &bridge("br")).unwrap();
    let index = link::index(&mut socket, "br").unwrap();
    let veth = Kind::Veth { peer: "inner".into(), namespace: None, mac: None };
    link::create(&mut socket, &New { master: Some(index), ..New::named("outer", veth) }).unwrap();
    let said = || {
        let data = ip(&netns, "link show outer")[0]["linkinfo"]["info_slave_data"].take();
        (data["hairpin"].as_bool(), data["isolated"].as_bool())
    };
    assert_eq!(said(), (Some(false), Some(false)));
    link::set_hairpin(&mut socket, "outer", true).unwrap();
    assert_eq!(said(), (Some(true), Some(false)));
    link::set_isolated(&mut socket, "outer", true).unwrap();
    link::set_hairpin(&mut socket, "outer", false).unwrap();
    assert_eq!(said(), (Some(false), Some(true)));
    let error = link::set_isolated(&mut socket, "inner", true).unwrap_err();
    assert!(error.to_string().starts_with("cannot isolate link inner"), "{error}");
}

#[test]
fn a_bridge_and_a_wire_into_a_container() {
    let (host, container) = (Netns::new().unwrap(), Netns::new().unwrap());
    let mut outside = host.route().unwrap();
    let options = BridgeOptions { vlan_filtering: false, multicast_snooping: Some(false) };
    let mac: Mac = "02:42:00:00:00:01".parse().unwrap();
    let new = New { mtu: Some(1400), mac: Some(mac), up: true, ..New::named("dhow0", Kind::Bridge(options)) };
    link::create(&mut outside, &new).unwrap();
    let bridge = link::get(&mut outside, "dhow0").unwrap().unwrap();
    assert_eq!((bridge.kind.as_deref(), bridge.mtu, bridge.mac, bridge.up), (Some("bridge"), 1400, Some(mac), true));
    address::add(&mut outside, bridge.index, subnet("172.18.0.1/16")).unwrap();
    address::add(&mut outside, bridge.index, subnet("fd00::1/64")).unwrap();
    address::add(&mut outside, bridge.index, subnet("fd00::1/64")).unwrap();

    let inner: Mac = "02:42:ac:12:00:02".parse().unwrap();
    let veth = Kind::Veth { peer: "eth0".into(), namespace: Some(&container), mac: Some(inner) };
    let new = New { master: Some(bridge.index), mtu: Some(1400), up: true, ..New::named("dv0123456789a", veth) };
    link::create(&mut outside, &new).unwrap();
    let mut inside = container.route().unwrap();
    let eth0 = link::get(&mut inside, "eth0").unwrap().unwrap();
    assert_eq!((eth0.mtu, eth0.mac, eth0.up), (1400, Some(inner), false));
    link::set_up(&mut inside, "lo").unwrap();
    address::add(&mut inside, eth0.index, subnet("172.18.0.2/16")).unwrap();
    address::add(&mut inside, eth0.index, subnet("fd00::2/64")).unwrap();
    link::set_up(&mut inside, "eth0").unwrap();
    route::add(&mut inside, &Route::default_via("172.18.0.1".parse().unwrap(), eth0.index)).unwrap();
    route::add(&mut inside, &Route::default_via("fd00::1".parse().unwrap(), eth0.index)).unwrap();

    let shown = ip(&host, "link show dhow0");
    assert_eq!(shown[0]["linkinfo"]["info_data"]["mcast_snooping"], 0);
    assert_eq!(shown[0]["linkinfo"]["info_data"]["stp_state"], 0);
    let shown = ip(&host, "link show dv0123456789a");
    assert_eq!((shown[0]["master"].as_str(), shown[0]["mtu"].as_u64()), (Some("dhow0"), Some(1400)));
    let shown = ip(&container, "addr show eth0").to_string();
    for part in ["\"172.18.0.2\"", "\"172.18.255.255\"", "\"fd00::2\"", "\"nodad\":true", "\"UP\""] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = ip(&container, "route show default");
    assert_eq!((shown[0]["gateway"].as_str(), shown[0]["dev"].as_str()), (Some("172.18.0.1"), Some("eth0")));

    let ours = address::list(&mut inside).unwrap();
    assert!(ours.iter().any(|a| a.address == subnet("172.18.0.2/16") && a.link == eth0.index && a.usable));
    assert!(ours.iter().any(|a| a.address == subnet("fd00::2/64") && a.usable));
    let routes = route::list(&mut inside).unwrap();
    assert!(routes.contains(&Route::default_via("172.18.0.1".parse().unwrap(), eth0.index)));
    assert!(routes.iter().any(|r| r.to == subnet("172.18.0.0/16") && r.via.is_none()));
    assert!(routes.iter().any(|r| r.to == subnet("fd00::/64")));

    // A packet goes through, and the wire goes with the namespace.
    let answer = container.with(|| Command::new("ping").args(["-c1", "-W2", "172.18.0.1"]).output());
    if let Ok(answer) = answer {
        assert!(answer.status.success());
    }
    drop((inside, container));
    let gone = || link::get(&mut host.route().unwrap(), "dv0123456789a").unwrap().is_none();
    assert!((0..500).any(|_| gone() || {
        std::thread::sleep(Duration::from_millis(10));
        false
    }));
    assert!(link::delete(&mut outside, "dhow0").unwrap());
    assert!(!link::delete(&mut outside, "dhow0").unwrap());
}

#[test]
fn links_are_changed_renamed_and_moved() {
    let (a, b) = (Netns::new().unwrap(), Netns::new().unwrap());
    let (mut here, mut there) = (a.route().unwrap(), b.route().unwrap());
    link::create(&mut here, &bridge("br")).unwrap();
    link::create(&mut here, &New::named("left", Kind::Veth { peer: "right".into(), namespace: None, mac: None }))
        .unwrap();
    let master = link::index(&mut here, "br").unwrap();
    link::set_master(&mut here, "left", Some(master)).unwrap();
    assert_eq!(link::get(&mut here, "left").unwrap().unwrap().master, Some(master));
    link::set_master(&mut here, "left", None).unwrap();
    assert_eq!(link::get(&mut here, "left").unwrap().unwrap().master, None);
    link::set_mtu(&mut here, "left", 1300).unwrap();
    let mac: Mac = "02:00:00:00:00:09".parse().unwrap();
    link::set_mac(&mut here, "left", mac).unwrap();
    link::rename(&mut here, "left", "middle").unwrap();
    let middle = link::get(&mut here, "middle").unwrap().unwrap();
    assert_eq!((middle.mtu, middle.mac), (1300, Some(mac)));
    link::set_up(&mut here, "middle").unwrap();
    assert!(link::get(&mut here, "middle").unwrap().unwrap().up);
    link::set_down(&mut here, "middle").unwrap();
    assert!(!link::get(&mut here, "middle").unwrap().unwrap().up);
    link::move_to(&mut here, "middle", &b, Some("eth7")).unwrap();
    assert!(link::get(&mut here, "middle").unwrap().is_none());
    assert!(link::get(&mut there, "eth7").unwrap().is_some());
    let names: Vec<_> = link::list(&mut there).unwrap().into_iter().map(|link| link.name).collect();
    assert!(names.contains(&"lo".to_owned()) && names.contains(&"eth7".to_owned()), "{names:?}");
}

#[test]
fn a_macvlan_is_made_inside_the_container() {
    let (host, container) = (Netns::new().unwrap(), Netns::new().unwrap());
    let mut outside = host.route().unwrap();
    link::create(&mut outside, &New::named("wire", Kind::Veth { peer: "far".into(), namespace: None, mac: None }))
        .unwrap();
    let parent = link::index(&mut outside, "wire").unwrap();
    let kind = Kind::Macvlan { parent, mode: MacvlanMode::Bridge };
    link::create(&mut outside, &New { namespace: Some(&container), ..New::named("eth0", kind) }).unwrap();
    let shown = ip(&container, "link show eth0");
    assert_eq!(shown[0]["linkinfo"]["info_kind"], "macvlan");
    assert_eq!(shown[0]["linkinfo"]["info_data"]["mode"], "bridge");
}

#[test]
fn refusals_name_what_and_which() {
    let netns = Netns::new().unwrap();
    let mut socket = netns.route().unwrap();
    link::create(&mut socket, &bridge("br")).unwrap();
    let error = link::create(&mut socket, &bridge("br")).unwrap_err();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Conflict, Some(17)));
    assert!(error.to_string().starts_with("cannot create bridge br: "), "{error}");
    for name in ["", "sixteen-bytes-xx", "a/b", "a b", ".."] {
        assert!(matches!(link::create(&mut socket, &bridge(name)), Err(NetworkError::Invalid { .. })), "{name}");
    }
    let error = link::set_up(&mut socket, "nobody").unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("nobody"), "{error}");
    let error = route::add(&mut socket, &Route::default_via("10.9.9.9".parse().unwrap(), 1)).unwrap_err();
    assert!(error.to_string().starts_with("cannot add route to 0.0.0.0/0 via 10.9.9.9 on link 1: "), "{error}");
    assert!(error.to_string().contains('('), "the kernel's own words: {error}");
    let error = address::add(&mut socket, 4711, subnet("10.0.0.1/8")).unwrap_err();
    assert!(error.to_string().contains("10.0.0.1/8 to link 4711"), "{error}");
    let options = BridgeOptions { vlan_filtering: true, ..BridgeOptions::default() };
    match link::create(&mut socket, &New::named("filter", Kind::Bridge(options))) {
        Ok(()) => assert_eq!(ip(&netns, "link show filter")[0]["linkinfo"]["info_data"]["vlan_filtering"], 1),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
    }
    let kind = Kind::Ipvlan { parent: link::index(&mut socket, "br").unwrap(), mode: link::IpvlanMode::L2 };
    match link::create(&mut socket, &New::named("ipv", kind)) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.to_string(), "this kernel has no ipvlan links"),
    }
}

#[test]
fn routes_and_addresses_go_again() {
    let netns = Netns::new().unwrap();
    let mut socket = netns.route().unwrap();
    link::create(&mut socket, &New { up: true, ..bridge("br") }).unwrap();
    let br = link::index(&mut socket, "br").unwrap();
    address::add(&mut socket, br, subnet("10.1.0.1/24")).unwrap();
    let onlink = Route { onlink: true, metric: 7, ..Route::default_via("192.168.77.1".parse().unwrap(), br) };
    route::add(&mut socket, &onlink).unwrap();
    let far = Route { via: Some("10.1.0.9".parse().unwrap()), ..Route::direct(subnet("10.7.0.0/16"), br) };
    route::add(&mut socket, &far).unwrap();
    let listed = route::list(&mut socket).unwrap();
    assert!(listed.iter().any(|r| r.onlink && r.metric == 7 && r.to.prefix() == 0), "{listed:?}");
    assert!(listed.contains(&far), "{listed:?}");
    assert!(route::remove(&mut socket, &far).unwrap());
    assert!(!route::remove(&mut socket, &far).unwrap());
    assert!(address::remove(&mut socket, br, subnet("10.1.0.1/24")).unwrap());
    assert!(!address::remove(&mut socket, br, subnet("10.1.0.1/24")).unwrap());
}

/// Sets a flag however its scope is left.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn dumps_are_whole_while_links_come_and_go() {
    let netns = Netns::new().unwrap();
    let mut socket = netns.route().unwrap();
    for number in 0..150 {
        link::create(&mut socket, &bridge(&format!("d{number}"))).unwrap();
    }
    let whole = |links: Vec<link::Link>| {
        let names: BTreeSet<_> = links.into_iter().map(|link| link.name).collect();
        assert!((0..150).all(|number| names.contains(&format!("d{number}"))));
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = netns.route().unwrap();
            while !stop.load(Relaxed) {
                link::create(&mut other, &bridge("flicker")).unwrap();
                link::delete(&mut other, "flicker").unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let _raised = Raised(&stop);
        for _ in 0..8 {
            match link::list(&mut socket) {
                Ok(links) => whole(links),
                // A machine that cannot list them between two changes says so, and gives no half list.
                Err(error) => assert_eq!(error.errno(), Some(4), "{error}"),
            }
        }
    });
    whole(link::list(&mut socket).unwrap());
}

#[test]
fn changes_are_heard() {
    let netns = Netns::new().unwrap();
    let mut news = netns.with(|| Socket::subscribe(Protocol::Route, &[group::LINK])).unwrap();
    link::create(&mut netns.route().unwrap(), &bridge("heard")).unwrap();
    let mut kinds = Vec::new();
    news.next(|received| kinds.push(received.kind)).map_err(io::Error::other).unwrap();
    assert_eq!(kinds, [16]);
}
