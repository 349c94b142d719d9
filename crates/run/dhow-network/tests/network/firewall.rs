//! Our table in the kernel: as nft lists it, as packets meet it.

use crate::world::{TABLE, World, ask, ask_udp, is_elsewhere, plan, port, run, serve, serve_udp, silent, subnet, udp};
use dhow_network::NetworkError;
use dhow_network::Subnet;
use dhow_network::firewall::{Difference, Firewall, Network};
use dhow_network::netlink::{Protocol, Socket, group};
use dhow_network::netns::Netns;
use dhow_network::ports::Port;
use dhow_network::ports::Protocol::{Sctp, Tcp, Udp};
use dhow_network::route::{self, Route};
use dhow_network::sysctl::{self, Setting};
use dhow_network::{address, link};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

fn blue() -> Network {
    Network::new("dhow0", [subnet("172.18.0.0/16"), subnet("fd00:b::/64")])
}

fn red() -> Network {
    Network::new("dh-red", [subnet("172.19.0.0/16"), subnet("fd00:e::/64")])
}

fn locked() -> Network {
    Network { internal: true, ..Network::new("dh-locked", [subnet("10.9.0.0/20")]) }
}

fn all_kinds() -> dhow_network::firewall::Plan {
    let unusual = Network {
        masquerade: false,
        inter_container: false,
        unprotected: true,
        ..Network::new("dh-unusual", [subnet("10.77.0.0/21"), subnet("fd00:77::/60")])
    };
    let ports = [
        port(Tcp, "0.0.0.0:8080", "172.18.0.2:80"),
        port(Udp, "0.0.0.0:53", "172.18.0.2:53"),
        port(Sctp, "192.0.2.1:9", "172.18.0.2:9"),
        port(Tcp, "127.0.0.1:8081", "172.18.0.3:80"),
        port(Tcp, "[::]:8080", "[fd00:b::2]:80"),
        port(Tcp, "[2001:db8::1]:8082", "[fd00:b::2]:80"),
    ];
    plan(&[blue(), red(), locked(), unusual], &ports)
}

#[test]
fn the_plan_can_be_read() {
    insta::assert_snapshot!("plan", all_kinds().ruleset().to_string());
}

/// Our text of the plan, loaded by nft in one namespace, and our messages in another: nft lists the same.
#[test]
fn nft_loads_the_plan_and_lists_what_we_made() {
    let (ours, theirs) = (Netns::new().unwrap(), Netns::new().unwrap());
    assert!(is_elsewhere(&ours) && is_elsewhere(&theirs));
    let plan = all_kinds();
    let mut firewall = Firewall::on(ours.netfilter().unwrap(), TABLE);
    firewall.rebuild(&plan).unwrap();
    let file = std::env::temp_dir().join(format!("dhow-network-{}.nft", std::process::id()));
    std::fs::write(&file, plan.ruleset().to_string()).unwrap();
    run(&theirs, "nft", &["-f", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    let (mine, wanted) = (listed(&ours), listed(&theirs));
    assert_eq!(mine, wanted);
    assert!(mine.iter().any(|line| line == "iifname . oifname @together accept"), "{mine:?}");
    assert_eq!(firewall.inspect(&plan).unwrap(), []);
    // What nft made of the text differs from ours in nothing that matters, either.
    let differences = Firewall::on(theirs.netfilter().unwrap(), TABLE).inspect(&plan).unwrap();
    let only_rules = |difference: &Difference| matches!(difference, Difference::Rules(_));
    assert!(differences.iter().all(only_rules), "{differences:?}");
}

/// `nft list ruleset`, elements sorted: their order in the kernel is that of a hash.
fn listed(netns: &Netns) -> Vec<String> {
    let text = run(netns, "nft", &["-nn", "list", "ruleset"]).replace("elements = {", "elements = {\n");
    let mut lines: Vec<String> = Vec::new();
    let mut elements: Option<Vec<String>> = None;
    for line in text.lines().map(str::trim) {
        if let Some(found) = &mut elements {
            found.extend(line.split([',', '}']).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
            if line.ends_with('}') {
                let mut found = elements.take().unwrap();
                found.sort();
                lines.extend(found);
            }
            continue;
        }
        if line.starts_with("elements") {
            elements = Some(Vec::new());
        }
        lines.push(line.to_owned());
    }
    lines
}

#[test]
fn rebuilding_puts_the_plan_in_place_of_what_was_there() {
    let netns = Netns::new().unwrap();
    let mut firewall = Firewall::on(netns.netfilter().unwrap(), TABLE);
    assert_eq!(firewall.inspect(&all_kinds()).unwrap(), [Difference::NoTable]);
    assert!(matches!(firewall.ports(), Err(NetworkError::Missing { .. })));
    assert!(!firewall.remove().unwrap());
    firewall.rebuild(&all_kinds()).unwrap();
    let before = firewall.generation().unwrap();
    firewall.rebuild(&all_kinds()).unwrap();
    assert!(firewall.generation().unwrap() > before);
    assert_eq!(firewall.inspect(&all_kinds()).unwrap(), []);
    assert_eq!(firewall.ports().unwrap().len(), 6);
    let fewer = plan(&[blue()], &[]);
    firewall.rebuild(&fewer).unwrap();
    assert_eq!(firewall.inspect(&fewer).unwrap(), []);
    assert!(!run(&netns, "nft", &["list", "ruleset"]).contains("dh-red"));
    // Other tables are none of our business.
    run(&netns, "nft", &["add", "table", "inet", "other"]);
    firewall.rebuild(&all_kinds()).unwrap();
    assert!(firewall.remove().unwrap());
    assert_eq!(run(&netns, "nft", &["list", "ruleset"]).trim(), "table inet other {\n}");
}

#[test]
fn what_others_changed_is_found() {
    let netns = Netns::new().unwrap();
    let mut firewall = Firewall::on(netns.netfilter().unwrap(), TABLE);
    let plan = all_kinds();
    let find = |firewall: &mut Firewall, command: &str| {
        firewall.rebuild(&plan).unwrap();
        let command = command.replace("TABLE", &format!("inet {TABLE}"));
        run(&netns, "nft", &command.split(' ').collect::<Vec<_>>());
        firewall.inspect(&plan).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    for (command, expected) in [
        ("flush ruleset", "the table is missing"),
        ("flush chain TABLE forward", "the rules of forward are altered"),
        ("insert rule TABLE forward accept", "the rules of forward are altered"),
        ("add chain TABLE extra", "the chain extra is not ours"),
        ("add set TABLE extra { type ipv4_addr ; }", "the set extra is not ours"),
        ("add element TABLE any4 { tcp . 1 : 10.0.0.1 . 1 }", "1 elements too many in any4"),
        ("delete element TABLE bridges { dhow0 }", "\"dhow0\" is missing in bridges"),
        ("flush map TABLE ports6", "tcp . 2001:db8::1 . 8082 : fd00:b::2 . 80 is missing in ports6"),
        ("chain TABLE raw { policy drop ; }", "the chain raw is missing or altered"),
    ] {
        assert_eq!(find(&mut firewall, command), expected, "{command}");
    }
    firewall.rebuild(&plan).unwrap();
    // A rule that differs in one value only.
    let handles = run(&netns, "nft", &["-a", "list", "chain", "inet", TABLE, "raw"]);
    let handle = handles.lines().find(|line| line.contains("saddr 127")).unwrap().rsplit(' ').next().unwrap();
    let words = ["replace", "rule", "inet", TABLE, "raw", "handle", handle, "iifname", "!=", "lo", "ip", "saddr"];
    run(&netns, "nft", &[&words[..], &["126.0.0.0/8", "drop"]].concat());
    assert_eq!(firewall.inspect(&plan).unwrap(), [Difference::Rules("raw".to_owned())]);
}

#[test]
fn ports_change_in_one_transaction_and_conflicts_are_named() {
    let netns = Netns::new().unwrap();
    let mut firewall = Firewall::on(netns.netfilter().unwrap(), TABLE);
    let (old, new) = (port(Tcp, "0.0.0.0:80", "172.18.0.2:80"), port(Tcp, "0.0.0.0:80", "172.18.0.3:80"));
    let error = firewall.change(&[], &[old]).unwrap_err();
    assert!(matches!(error, NetworkError::Missing { .. }), "{error}");
    firewall.rebuild(&plan(&[blue()], &[])).unwrap();
    firewall.change(&[], &[old]).unwrap();
    firewall.change(&[], &[old]).unwrap();
    let error = firewall.change(&[], &[port(Udp, "0.0.0.0:9", "172.18.0.9:9"), new]).unwrap_err();
    assert_eq!(error.to_string(), "Bind for 0.0.0.0:80 failed: port is already allocated");
    assert_eq!(firewall.ports().unwrap(), [old], "nothing of the refused change is there");
    // The swap that replaces one container by another.
    let before = firewall.generation().unwrap();
    firewall.change(&[old], &[new]).unwrap();
    assert_eq!((firewall.ports().unwrap(), firewall.generation().unwrap()), (vec![new], before + 1));
    firewall.change(&[old], &[]).unwrap();
    assert_eq!(firewall.ports().unwrap(), [new], "what is not there is not taken away from its next owner");
    let other = port(Tcp, "[::]:80", "[fd00::3]:80");
    firewall.change(&[], &[other]).unwrap();
    assert_eq!(firewall.forget("172.18.0.3".parse().unwrap()).unwrap(), [new]);
    assert_eq!(firewall.ports().unwrap(), [other]);
}

#[test]
fn two_thousand_ports_at_once() {
    let netns = Netns::new().unwrap();
    let mut firewall = Firewall::on(netns.netfilter().unwrap(), TABLE);
    let to = |n: u16| format!("172.18.{}.2:80", n / 256);
    let ports: Vec<_> = (1..=2000).map(|n| port(Tcp, &format!("0.0.0.0:{n}"), &to(n))).collect();
    let whole = plan(&[blue()], &ports);
    firewall.rebuild(&whole).unwrap();
    assert_eq!(firewall.inspect(&whole).unwrap(), []);
    firewall.change(&ports, &[]).unwrap();
    assert_eq!(firewall.ports().unwrap(), []);
    firewall.change(&[], &ports).unwrap();
    assert_eq!(firewall.ports().unwrap().len(), 2000);
}

#[test]
fn changes_of_several_processes_at_once_all_arrive() {
    let netns = Netns::new().unwrap();
    Firewall::on(netns.netfilter().unwrap(), TABLE).rebuild(&plan(&[blue()], &[])).unwrap();
    std::thread::scope(|scope| {
        for worker in 1..=4u16 {
            let netns = &netns;
            scope.spawn(move || {
                let mut firewall = Firewall::on(netns.netfilter().unwrap(), TABLE);
                for n in 0..25 {
                    let one = port(Tcp, &format!("0.0.0.0:{}", worker * 100 + n), "172.18.0.2:80");
                    let gone = port(Tcp, &format!("0.0.0.0:{}", worker * 1000 + n), "172.18.0.2:80");
                    firewall.change(&[gone], &[one]).unwrap();
                }
            });
        }
    });
    assert_eq!(Firewall::on(netns.netfilter().unwrap(), TABLE).ports().unwrap().len(), 100);
}

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
    let blue = blue();
    world.bridge(&blue);
    let web = world.container(&blue, 2);
    let listener = web.with(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let ports = [port(Tcp, "0.0.0.0:8080", "172.18.0.2:80"), port(Tcp, "0.0.0.0:8081", "172.18.0.2:81")];
    let mut firewall = world.firewall();
    firewall.rebuild(&plan(&[blue.clone()], &ports)).unwrap();
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
    firewall.rebuild(&plan(&[blue, red()], &ports)).unwrap();
    talk();
    run(&world.host, "nft", &["flush", "ruleset"]);
    firewall.rebuild(&plan(&[red()], &[])).unwrap();
    talk();
}

#[test]
fn changes_of_tables_are_heard() {
    let netns = Netns::new().unwrap();
    let mut firewall = Firewall::on(netns.netfilter().unwrap(), TABLE);
    firewall.rebuild(&plan(&[], &[])).unwrap();
    let mut news = netns.with(|| Socket::subscribe(Protocol::Netfilter, &[group::NFTABLES])).unwrap();
    run(&netns, "nft", &["flush", "ruleset"]);
    let mut heard = 0;
    // Ends with the news of the new generation.
    while heard == 0 {
        news.next(|received| heard += usize::from(received.kind == 10 << 8 | 15)).unwrap();
    }
    assert_eq!(firewall.inspect(&plan(&[], &[])).unwrap(), [Difference::NoTable]);
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
    let open = Network { unprotected: true, ..blue };
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

fn any_network(index: usize) -> impl Strategy<Value = Network> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (flags, 8u8..=30, 32u8..=126, 0usize..=2).prop_map(
        move |((internal, masquerade, together, open), four, six, blocks)| {
            let four = Subnet::new(format!("10.{index}.77.130").parse().unwrap(), four).unwrap().masked();
            let six = Subnet::new(format!("fd00:{index}:beef::5").parse().unwrap(), six).unwrap().masked();
            Network {
                internal,
                masquerade,
                inter_container: together,
                unprotected: open,
                ..Network::new(format!("dh-{index}"), [four, six].into_iter().take(blocks).collect::<Vec<_>>())
            }
        },
    )
}

fn any_port() -> impl Strategy<Value = Port> {
    let protocol = prop_oneof![Just(Tcp), Just(Udp), Just(Sctp)];
    (protocol, any::<bool>(), 0u8..4, 1u16..200, 1u8.., 1u16..).prop_map(|(protocol, six, host, from, to, to_port)| {
        let (from_text, to) = match (six, host) {
            (false, 0) => (format!("0.0.0.0:{from}"), format!("10.0.0.{to}:{to_port}")),
            (false, n) => (format!("192.0.2.{n}:{from}"), format!("10.0.0.{to}:{to_port}")),
            (true, 0) => (format!("[::]:{from}"), format!("[fd00::{to}]:{to_port}")),
            (true, n) => (format!("[2001:db8::{n}]:{from}"), format!("[fd00::{to}]:{to_port}")),
        };
        port(protocol, &from_text, &to)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the networks and ports: the kernel takes the plan, holds what it says, and changes as it is told.
    #[test]
    fn any_plan_is_in_the_kernel_as_it_was_planned(
        networks in (0usize..4).prop_flat_map(|count| (0..count).map(any_network).collect::<Vec<_>>()),
        ports in prop::collection::vec(any_port(), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut distinct: Vec<Port> = Vec::new();
        for port in ports {
            if !distinct.iter().any(|other| other.conflicts(&port) || *other == port) {
                distinct.push(port);
            }
        }
        let (now, later) = distinct.split_at(if distinct.is_empty() { 0 } else { cut.index(distinct.len()) });
        let netns = Netns::new().unwrap();
        let mut firewall = Firewall::on(netns.netfilter().unwrap(), TABLE);
        firewall.rebuild(&plan(&networks, now)).unwrap();
        prop_assert_eq!(firewall.inspect(&plan(&networks, now)).unwrap(), []);
        firewall.change(now, later).unwrap();
        prop_assert_eq!(firewall.inspect(&plan(&networks, later)).unwrap(), []);
        let (mut listed, mut wanted) = (firewall.ports().unwrap(), later.to_vec());
        listed.sort();
        wanted.sort();
        prop_assert_eq!(listed, wanted);
    }
}
