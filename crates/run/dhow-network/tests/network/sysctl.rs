//! Parameters of the kernel.

use crate::world::run;
use dhow_network::Family;
use dhow_network::link::{self, Kind, New};
use dhow_network::netns::Netns;
use dhow_network::sysctl::{self, Setting};

#[test]
fn parameters_are_written_when_needed_and_told() {
    let netns = Netns::new().unwrap();
    let forwarding = [Setting::forwarding(dhow_network::Family::V4)];
    // A new namespace may come with the setting of the first one.
    run(&netns, "sh", &["-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"]);
    let changes = sysctl::ensure(&netns, &forwarding).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].to_string(), "net/ipv4/ip_forward is now 1 (was 0)");
    assert_eq!(sysctl::ensure(&netns, &forwarding).unwrap(), []);
    assert_eq!(run(&netns, "cat", &["/proc/sys/net/ipv4/ip_forward"]).trim(), "1");
    let error = sysctl::ensure(&netns, &[Setting::route_localnet("nobody")]).unwrap_err();
    assert!(error.to_string().contains("/proc/sys/net/ipv4/conf/nobody/route_localnet"), "{error}");
    for hostile in ["..", "../../kernel", "a/../../.."] {
        assert!(sysctl::ensure(&netns, &[Setting::route_localnet(hostile)]).is_err());
    }
    let changes = sysctl::ensure(&netns, &[Setting::disable_ipv6("lo", true)]).unwrap();
    assert_eq!(changes.len(), 1);
}

#[test]
fn who_hears_router_advertisements_goes_on_hearing_them() {
    let netns = Netns::new().unwrap();
    let mut socket = netns.route().unwrap();
    let veth = Kind::Veth { peer: "eth1".into(), namespace: None, mac: None };
    link::create(&mut socket, &New::named("eth0", veth)).unwrap();
    let heard =
        |link: &str| run(&netns, "cat", &[&format!("/proc/sys/net/ipv6/conf/{link}/accept_ra")]).trim().to_owned();
    run(&netns, "sh", &["-c", "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding"]);
    sysctl::ensure(&netns, &[Setting::router_advertisements("eth0", 1), Setting::router_advertisements("eth1", 0)])
        .unwrap();
    let keep = || {
        let links = ["eth0", "eth1", "gone"].map(str::to_owned);
        netns.with(|| Ok::<_, std::io::Error>(sysctl::keep_router_advertisements(&links))).unwrap().unwrap()
    };
    assert_eq!(
        keep().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["net/ipv6/conf/eth0/accept_ra is now 2 (was 1)"]
    );
    assert_eq!((heard("eth0").as_str(), heard("eth1").as_str()), ("2", "0"));
    // Whoever forwards already has decided.
    sysctl::ensure(&netns, &[Setting::router_advertisements("eth0", 1), Setting::forwarding(Family::V6)]).unwrap();
    assert_eq!(keep(), []);
    assert_eq!(heard("eth0"), "1");
}
