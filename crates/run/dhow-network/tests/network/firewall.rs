//! Our table in the kernel, with nft as the oracle.

use crate::world::{TABLE, blue, is_elsewhere, locked, plan, port, red, run, subnet};
use dhow_network::firewall::{Difference, Firewall, Network, Plan};
use dhow_network::netlink::{Protocol, Socket, group};
use dhow_network::netns::Netns;
use dhow_network::ports::Port;
use dhow_network::ports::Protocol::{Sctp, Tcp, Udp};
use dhow_network::{NetworkError, Subnet};
use proptest::prelude::*;

fn all_kinds() -> Plan {
    let unusual = Network {
        masquerade: false,
        inter_container: false,
        unprotected: [true; 2],
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
    let outside = [vec!["eth0".to_owned(), "wlan0".to_owned()], vec!["eth0".to_owned()]];
    Plan { outside, ..plan(&[blue(), red(), locked(), unusual], &ports) }
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

#[test]
fn one_question_tells_whether_a_network_is_in_the_table() {
    let netns = Netns::new().unwrap();
    let mut firewall = Firewall::on(netns.netfilter().unwrap(), TABLE);
    assert!(!firewall.knows("dhow0").unwrap(), "there is no table");
    firewall.rebuild(&plan(&[blue()], &[])).unwrap();
    assert!(firewall.knows("dhow0").unwrap());
    assert!(
        !firewall.knows("dhow01").unwrap() && !firewall.knows("dhow").unwrap() && !firewall.knows("dh-red").unwrap()
    );
    run(&netns, "nft", &["flush", "ruleset"]);
    assert!(!firewall.knows("dhow0").unwrap());
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
                unprotected: [open, !open],
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
