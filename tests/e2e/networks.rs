//! `network create`, `ls`, `inspect`, `rm`, `prune` and `reload`, and what they make of the host.

use crate::harness::networks::{address, bridge, create, kernel, links, misses, reaches, shown, sleeper, table};
use crate::harness::{Containers, Neighbour, Store, eventually, ip, run};
use std::process::Command;

#[test]
fn the_predefined_networks_are_there_and_stay() {
    let store = Store::new();
    let list = ["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"];
    assert_eq!(store.dhow(&list).lines(), ["bridge bridge local", "host host local", "none null local"]);
    assert!(!store.root().exists(), "looking makes no store");
    let containers = Containers::in_store(store);
    let store = &containers;
    let id = shown(store, "bridge", "{{.Id}}");
    assert_eq!(shown(store, "bridge", "{{len .IPAM.Config}} {{.EnableIPv6}}"), "0 false");
    assert!(!links().contains(&bridge(&id)), "nobody needs it yet");
    store.dhow(&["run", "--rm", "box", "true"]).ok();
    assert_eq!(shown(store, "bridge", "{{.Id}} {{(index .IPAM.Config 0).Subnet}}"), format!("{id} 172.17.0.0/16"));
    assert_eq!(shown(store, "none", "{{.Driver}} {{.IPAM.Driver}} {{len .IPAM.Config}}"), "null null 0");
    assert!(links().contains(&bridge(&id)));
    for name in ["bridge", "host", "none", &id[..12]] {
        store.dhow(&["network", "rm", name]).fails(&["is a pre-defined network and cannot be removed"]);
    }
    for name in ["bridge", "host", "none", "default"] {
        store.dhow(&["network", "create", name]).fails(&["operation is not permitted on predefined", name]);
    }
    store.dhow(&["network", "create", "-d", "host", "x"]).fails(&["only one instance of \"host\" network is allowed"]);
    assert_eq!(store.dhow(&["network", "prune", "-f"]).text(), "");
    store.assert_sound();
}

#[test]
fn a_network_is_what_was_asked_for() {
    let store = Store::new();
    let id = create(
        &store,
        "--subnet 10.9.0.0/24 --gateway 10.9.0.7 --ip-range 10.9.0.128/25 --aux-address spare=10.9.0.200 --label a=1 \
         --label b -o com.docker.network.driver.mtu=1400 --attachable --ipv6=false lan",
    );
    assert_eq!(id.len(), 64);
    let document = store.dhow(&["network", "inspect", &id[..7]]).json()[0].take();
    assert_eq!(document["Name"], "lan");
    assert_eq!(document["Id"], id.as_str());
    assert_eq!(document["IPAM"]["Driver"], "default");
    assert_eq!(
        document["IPAM"]["Config"],
        serde_json::json!([{"Subnet": "10.9.0.0/24", "IPRange": "10.9.0.128/25", "Gateway": "10.9.0.7",
                            "AuxiliaryAddresses": {"spare": "10.9.0.200"}}])
    );
    assert_eq!(document["Labels"], serde_json::json!({"a": "1", "b": ""}));
    assert_eq!(
        [&document["EnableIPv4"], &document["EnableIPv6"], &document["Attachable"], &document["Internal"]],
        [true, false, true, false]
    );
    let link = &kernel(&format!("addr show {}", bridge(&id)))[0];
    assert_eq!((link["mtu"].as_u64(), link["flags"].to_string().contains("\"UP\"")), (Some(1400), true));
    let addresses: Vec<_> = link["addr_info"].as_array().unwrap().iter().map(|one| one["local"].to_string()).collect();
    assert_eq!(addresses, ["\"10.9.0.7\""], "and no IPv6 at all");
    assert!(table().contains(&bridge(&id)));
    // One with all defaults has both families, of pools of its own.
    let plain = create(&store, "plain");
    let subnets = shown(&store, "plain", "{{range .IPAM.Config}}{{.Subnet}} {{end}}");
    let (v4, v6) = subnets.split_once(' ').unwrap();
    assert!(v4 == "172.18.0.0/16" && v6.starts_with("fd") && v6.ends_with("::/64"), "{subnets}");
    assert_eq!(kernel("-6 addr show to fd00::/8").len(), 1);
    // Removed, nothing is left of either.
    assert_eq!(store.dhow(&["network", "rm", "lan", &plain[..12]]).lines(), ["lan", &plain[..12]]);
    assert_eq!(links(), ["lo"]);
    assert!(!table().contains("dh-"), "{}", table());
    store.dhow(&["network", "rm", "lan"]).fails(&["network lan not found"]);
    let forced = store.dhow(&["network", "rm", "-f", "lan"]).ok();
    assert_eq!((forced.stdout.as_str(), forced.stderr.as_str()), ("", ""));
    store.dhow(&["network", "inspect", "lan"]).fails(&["network lan not found"]);
    store.assert_sound();
}

#[test]
fn lists_are_sorted_filtered_and_formatted() {
    let store = Store::new();
    let first = create(&store, "--label env=test --ipv6=false net10");
    create(&store, "--label env=live --internal net2");
    create(&store, "net02x");
    let list = |words: &[&str]| store.dhow(&[&["network", "ls", "--format", "{{.Name}}"], words].concat()).lines();
    assert_eq!(list(&[]), ["bridge", "host", "net2", "net02x", "net10", "none"]);
    assert_eq!(list(&["-f", "type=custom"]), ["net2", "net02x", "net10"]);
    assert_eq!(list(&["-f", "type=builtin", "-f", "driver=host"]), ["host"]);
    assert_eq!(list(&["-f", "name=net1"]), ["net10"]);
    assert_eq!(list(&["-f", "name=^n.*[0-9]$"]), ["net2", "net10"]);
    assert_eq!(list(&["-f", &format!("id={}", &first[..8])]), ["net10"]);
    assert_eq!(list(&["-f", "label=env"]), ["net2", "net10"]);
    assert_eq!(list(&["-f", "label=env=live"]), ["net2"]);
    assert_eq!(list(&["-f", "driver=bridge", "-f", "dangling=true"]), ["net2", "net02x", "net10"]);
    assert_eq!(list(&["-f", "scope=swarm"]), [""; 0]);
    assert_eq!(store.dhow(&["network", "ls", "-q", "-f", "name=net10"]).text(), first[..12]);
    assert_eq!(store.dhow(&["network", "ls", "-q", "--no-trunc", "-f", "name=net10"]).text(), first);
    let table = store.dhow(&["network", "ls", "-f", "name=net10"]).text();
    assert_eq!(
        table,
        format!("NETWORK ID     NAME      DRIVER    SCOPE\n{}   net10     bridge    local", &first[..12])
    );
    let json = store.dhow(&["network", "ls", "--format", "json", "-f", "name=net2"]).json();
    for (field, value) in [("Internal", "true"), ("IPv4", "true"), ("IPv6", "true"), ("Labels", "env=live")] {
        assert_eq!(json[field], value, "{field}");
    }
    store.dhow(&["network", "ls", "-f", "type=other"]).fails(&["invalid filter 'type=other'"]);
    store.dhow(&["network", "ls", "-f", "what=x"]).fails(&["invalid filter 'what'"]);
    // Whatever there is, by `inspect` too.
    assert_eq!(store.dhow(&["inspect", "-f", "{{.Driver}}", "net10"]).text(), "bridge");
    assert_eq!(store.dhow(&["inspect", "--type", "network", "-f", "{{.Id}}", "net10"]).text(), first);
    store.dhow(&["inspect", "--type", "network", "nothing"]).fails(&["network nothing not found"]);
}

#[test]
fn what_makes_no_sense_is_refused_and_makes_nothing() {
    let store = Store::new();
    create(&store, "--subnet 10.9.0.0/24 taken");
    let before = (links(), table());
    for (words, said) in [
        ("taken", "network with name taken already exists"),
        ("--subnet 10.9.0.0/16 x", "Pool overlaps with other one on this address space"),
        ("--subnet 10.9.0.64/26 x", "Pool overlaps with other one on this address space"),
        ("--subnet 10.8.0.0/33 x", "invalid subnet 10.8.0.0/33: invalid CIDR block notation"),
        ("--subnet 10.8.0.1/24 x", "it should be 10.8.0.0/24"),
        ("--subnet 10.8.0.0/24 --gateway 10.7.0.1 x", "no matching subnet for gateway 10.7.0.1"),
        ("--subnet 10.8.0.0/24 --ip-range 10.7.0.0/25 x", "no matching subnet for range 10.7.0.0/25"),
        ("--subnet 10.8.0.0/24 --ip-range 10.8.0.0/16 x", "CIDR block is bigger than its parent subnet"),
        ("--gateway 10.7.0.1 x", "every ip-range or gateway must have a corresponding subnet"),
        ("--subnet 10.8.0.0/24 --subnet 10.8.0.0/16 x", "multiple overlapping subnet configuration is not supported"),
        ("--subnet 10.8.0.0/24 --subnet 10.7.0.0/24 x", "at most one IPv4 subnet"),
        ("--ipv6=false --subnet fd00:1::/64 x", "IPv6 is not enabled on this network"),
        ("--ipv4=false --subnet 10.8.0.0/24 x", "IPv4 is not enabled on this network"),
        ("--ipv4=false --ipv6=false x", "IPv4 or IPv6 must be enabled"),
        ("-d what x", "plugin \"what\" not found"),
        ("--ipam-driver what x", "plugin \"what\" not found"),
        ("-o what=ever x", "invalid option what=ever"),
        ("-o com.docker.network.driver.mtu=40 x", "invalid option com.docker.network.driver.mtu=40"),
        ("-o com.docker.network.bridge.name=a-name-that-is-too-long x", "1 to 15 bytes"),
        ("-o com.docker.network.bridge.name=lo x", "that is the loopback link"),
        ("-o com.docker.network.bridge.enable_icc=maybe x", "it must be true or false"),
        ("--subnet 127.9.0.0/16 x", "127.0.0.0/8 is for the host itself"),
        ("--subnet 64.0.0.0/2 x", "127.0.0.0/8 is for the host itself"),
        ("--subnet 0.0.0.0/0 x", "0.0.0.0/8 is for"),
        ("--subnet 224.0.0.0/8 x", "224.0.0.0/4 is for groups"),
        ("--subnet 240.0.0.0/24 x", "240.0.0.0/4 is for nobody"),
        ("--subnet 169.254.0.0/16 x", "169.254.0.0/16 is for one link alone"),
        ("--subnet 10.4.0.0/32 x", "no room for a gateway and a container"),
        ("--subnet fd00::/128 x", "no room for a gateway and a container"),
        ("--subnet fe80:1::/64 x", "fe80::/10 is for one link alone"),
        ("--subnet ::ffff:0:0/96 x", "::/8 is for"),
        ("--subnet ::/0 x", "::/8 is for"),
        ("--subnet ff00::/64 x", "ff00::/8 is for groups"),
        ("--subnet 10.4.0.0/24 --gateway 10.4.0.0 x", "invalid gateway 10.4.0.0: it is the first or last address"),
        ("--subnet 10.4.0.0/24 --gateway 10.4.0.255 x", "invalid gateway 10.4.0.255: it is the first or last address"),
        ("--subnet fd00:4::/64 --gateway fd00:4:: x", "invalid gateway fd00:4::: it is the first or last address"),
        ("--ingress x", "--ingress is for a swarm"),
        ("--config-from y x", "--config-from is for a swarm"),
        ("-d macvlan -o parent=none0 x", "none0"),
        ("../x", "invalid network name"),
        ("-- -x", "invalid network name"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        store.dhow(&[&["network", "create"], words.as_slice()].concat()).fails(&[said]);
    }
    store.dhow(&["network", "create"]).fails(&["requires 1 argument"]);
    store.dhow(&["network", "create", ""]).fails(&["name is empty"]);
    assert_eq!((links(), table()), before);
    assert_eq!(store.dhow(&["network", "ls", "-q"]).lines().len(), 4);
    store.assert_sound();
}

#[test]
fn subnets_keep_clear_of_the_host() {
    let _neighbour = Neighbour::new();
    ip(&["addr", "add", "172.17.3.4/24", "dev", "out0"]);
    ip(&["route", "add", "172.18.0.0/15", "via", "192.0.2.2"]);
    let store = Store::new();
    create(&store, "one");
    create(&store, "two");
    let subnet = |name| shown(&store, name, "{{(index .IPAM.Config 0).Subnet}}");
    assert_eq!((subnet("one").as_str(), subnet("two").as_str()), ("172.20.0.0/16", "172.21.0.0/16"));
    // The host would not find its neighbours any more.
    store.dhow(&["network", "create", "--subnet", "192.0.2.0/24", "x"]).fails(&["Pool overlaps", "192.0.2.0/24"]);
    store.dhow(&["network", "create", "--subnet", "192.0.0.0/16", "x"]).fails(&["Pool overlaps"]);
    // A piece of a larger block that it has a route to, cut out by whoever knows what he does.
    create(&store, "--subnet 172.19.5.0/24 three");
}

#[test]
fn a_network_that_is_needed_stays() {
    let store = Containers::new();
    create(&store, "--label keep=no lan");
    create(&store, "--label keep=no spare");
    create(&store, "--label keep=yes kept");
    sleeper(&store, "web", &["--network", "lan"]);
    let id = store.shown("web", "{{.Id}}");
    store
        .dhow(&["network", "rm", "lan"])
        .fails(&["network lan has active endpoints", &format!("name:\"web\" id:\"{}\"", &id[..12])]);
    assert_eq!(shown(&store, "lan", "{{range .Containers}}{{.Name}}{{end}}"), "web");
    store.dhow(&["stop", "-t", "0", "web"]).ok();
    assert_eq!(shown(&store, "lan", "{{len .Containers}}"), "0", "as docker: those that run");
    store.dhow(&["network", "rm", "lan"]).fails(&["containers that do not run", "name:\"web\""]);
    let pruned = store.dhow(&["network", "prune", "-f", "--filter", "label!=keep=yes"]).text();
    assert_eq!(pruned, "Deleted Networks:\nspare");
    store.dhow_with_input(&["network", "prune"], b"n\n").fails(&["network prune has been cancelled"]);
    store.dhow(&["start", "web"]).ok();
    store.dhow(&["rm", "-f", "web"]).ok();
    let mut pruned = store.dhow_with_input(&["network", "prune"], b"y\n").lines();
    assert!(pruned.remove(0).starts_with("WARNING! This will remove all custom networks"));
    pruned.sort();
    assert!(pruned.iter().any(|line| line == "lan") && pruned.iter().any(|line| line == "kept"), "{pruned:?}");
    assert_eq!(links().into_iter().filter(|name| name.starts_with("d")).collect::<Vec<_>>(), [""; 0]);
    store.assert_nothing_left();
}

#[test]
fn a_crowd_makes_networks_and_uses_the_first_bridge() {
    let store = Containers::new();
    std::thread::scope(|scope| {
        for n in 0..6 {
            let store = &store;
            scope.spawn(move || {
                create(store, &format!("net{n}"));
                store.dhow(&["run", "--rm", "box", "true"]).ok();
                store.dhow(&["run", "--rm", "--network", &format!("net{n}"), "box", "true"]).ok();
            });
        }
    });
    let mut subnets: Vec<_> =
        (0..6).map(|n| shown(&store, &format!("net{n}"), "{{(index .IPAM.Config 0).Subnet}}")).collect();
    subnets.sort();
    subnets.dedup();
    assert_eq!(subnets.len(), 6);
    let table = table();
    let ids = store.dhow(&["network", "ls", "-q", "-f", "driver=bridge"]).lines();
    assert_eq!(ids.len(), 7);
    for id in ids {
        assert!(table.contains(&format!("dh-{id}")), "{id} has no rules");
    }
    std::thread::scope(|scope| {
        for n in 0..6 {
            let store = &store;
            scope.spawn(move || store.dhow(&["network", "rm", &format!("net{n}")]).ok());
        }
    });
    assert_eq!(links().iter().filter(|name| name.starts_with("dh-")).count(), 1);
    store.assert_nothing_left();
}

/// Whoever removes a network while it is being made leaves no bridge that is nobody's.
#[test]
fn a_network_made_and_removed_at_once_leaves_nothing() {
    let store = Store::new();
    store.dhow(&["network", "create", "first"]).ok();
    for _ in 0..15 {
        std::thread::scope(|scope| {
            let made = scope.spawn(|| store.dhow(&["network", "create", "x"]));
            let removed = scope.spawn(|| (0..20).any(|_| store.dhow(&["network", "rm", "x"]).code == Some(0)));
            scope.spawn(|| store.dhow(&["network", "reload"]));
            let (made, removed) = (made.join().unwrap(), removed.join().unwrap());
            assert!(made.code == Some(0) || removed, "{made}");
        });
        store.dhow(&["network", "rm", "-f", "x"]).ok();
        assert_eq!(links().len(), 2, "{:?}", links());
    }
    store.assert_sound();
}

#[test]
fn networks_lead_out_or_not_and_are_apart() {
    let neighbour = Neighbour::new();
    let store = Containers::new();
    create(&store, "open");
    create(&store, "--internal closed");
    create(&store, "-o com.docker.network.bridge.enable_icc=false shy");
    for (name, network) in
        [("aa", "open"), ("bb", "closed"), ("cc", "closed"), ("dd", "shy"), ("ee", "shy"), ("ff", "bridge")]
    {
        sleeper(&store, name, &["--network", network]);
    }
    let at = |name| address(&store, name);
    assert!(reaches(&store, "aa", "192.0.2.2") && reaches(&store, "aa", "2001:db8::2"));
    assert!(reaches(&store, "dd", "192.0.2.2") && reaches(&store, "ff", "192.0.2.2"));
    assert!(reaches(&store, "bb", &at("cc")));
    assert!(misses(&store, "bb", "192.0.2.2") && misses(&store, "bb", &at("aa")), "internal");
    assert!(
        misses(&store, "aa", &at("ff")) && misses(&store, "ff", &at("aa")) && misses(&store, "aa", &at("bb")),
        "apart"
    );
    assert!(misses(&store, "dd", &at("ee")), "not even to its neighbour");
    // Nobody outside gets in by a container's own address, and the host does.
    let from_outside = neighbour.with(|| run(Command::new("busybox").args(["ping", "-c", "2", "-W", "1", &at("aa")])));
    assert_ne!(from_outside.code, Some(0), "{from_outside}");
    run(Command::new("busybox").args(["ping", "-c", "1", "-W", "5", &at("aa")])).ok();
}

#[test]
fn a_network_of_ipv6_alone() {
    let neighbour = Neighbour::new();
    let store = Containers::new();
    create(&store, "--ipv4=false --subnet fd00:6::/64 six");
    assert_eq!(shown(&store, "six", "{{.EnableIPv4}} {{.EnableIPv6}} {{len .IPAM.Config}}"), "false true 1");
    sleeper(&store, "aa", &["--network", "six"]);
    sleeper(&store, "bb", &["--network", "six"]);
    assert!(reaches(&store, "aa", "fd00:6::3") && reaches(&store, "bb", "fd00:6::2"));
    assert!(reaches(&store, "aa", "2001:db8::2"), "out, under the host's address");
    let v4 = store.dhow(&["exec", "aa", "ip", "-4", "addr", "show", "eth0"]).text();
    assert_eq!(v4, "");
    drop(neighbour);
}

#[test]
fn a_macvlan_is_on_the_wire_of_the_host() {
    let neighbour = Neighbour::new();
    let store = Containers::new();
    create(&store, "-d macvlan --subnet 192.0.2.0/24 --gateway 192.0.2.2 -o parent=out0 wire");
    sleeper(&store, "aa", &["--network", "wire", "--ip", "192.0.2.50"]);
    assert!(reaches(&store, "aa", "192.0.2.2"));
    let ping = || run(Command::new("busybox").args(["ping", "-c", "1", "-W", "2", "192.0.2.50"])).code == Some(0);
    assert!(neighbour.with(|| (0..5).any(|_| ping())), "as a host of its own");
    // Without a parent it leads nowhere but to its own.
    create(&store, "-d macvlan --internal --subnet 10.7.0.0/24 within");
    sleeper(&store, "bb", &["--network", "within"]);
    sleeper(&store, "cc", &["--network", "within"]);
    assert!(reaches(&store, "bb", &address(&store, "cc")));
    store.dhow(&["rm", "-f", "aa", "bb", "cc"]).ok();
    store.dhow(&["network", "rm", "wire", "within"]).ok();
    assert!(links().iter().all(|name| !name.starts_with("d")), "{:?}", links());
    store.assert_nothing_left();
}

#[test]
fn what_happens_to_networks_is_told() {
    let store = Containers::new();
    let id = create(&store, "lan");
    store.dhow(&["run", "--rm", "--network", "lan", "box", "true"]).ok();
    store.dhow(&["network", "rm", "lan"]).ok();
    let events = || {
        let format = "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}";
        let words = ["events", "--since", "1", "--until", "0s", "-f", "type=network", "--format", format];
        store.dhow(&words).lines()
    };
    let line = |action: &str| format!("{action} {id} lan bridge");
    eventually("all is told", || events().len() == 4);
    assert_eq!(events(), ["create", "connect", "disconnect", "destroy"].map(line));
}
