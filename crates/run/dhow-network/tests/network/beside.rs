//! Other firewalls that drop what is forwarded: made by the programs that people use, and looked at by them afterwards.

use crate::world::{World, ask, blue, locked, plan, port, red, run, serve, silent, subnet};
use dhow_network::Family;
use dhow_network::beside::{self, Advice, Glance, Guest};
use dhow_network::firewall::{Firewall, Network, Watch};
use dhow_network::netns::Netns;
use dhow_network::ports::Protocol;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const TAG: &str = "dhow-0123abcd:dhow0";

/// A host with one network and one container that serves and asks, and somebody outside who does, too.
struct Scene {
    world: World,
    container: Netns,
}

impl Scene {
    fn new() -> Scene {
        let world = World::new();
        world.bridge(&blue());
        let container = world.container(&blue(), 2);
        let ports = [
            port(Protocol::Tcp, "0.0.0.0:8080", "172.18.0.2:80"),
            port(Protocol::Tcp, "0.0.0.0:8081", "172.18.0.2:81"),
            port(Protocol::Tcp, "[::]:8080", "[fd00:b::2]:80"),
        ];
        world.firewall().rebuild(&plan(&[blue()], &ports)).unwrap();
        for address in ["0.0.0.0:80", "0.0.0.0:81", "[fd00:b::2]:80"] {
            serve(&container, address, "inside");
        }
        serve(&world.outside, "192.0.2.2:99", "outside");
        serve(&world.outside, "[2001:db8::2]:99", "outside");
        Scene { world, container }
    }

    fn sh(&self, script: &str) -> String {
        run(&self.world.host, "sh", &["-ec", script])
    }

    /// Does something with the firewall, in its namespace.
    fn with<T: Send>(&self, work: impl FnOnce(&mut Firewall) -> T + Send) -> T {
        self.world.host.with(|| Ok::<_, std::io::Error>(work(&mut self.world.firewall()))).unwrap()
    }

    fn settle(&self, guests: &[Guest]) -> (usize, Vec<Advice>) {
        let mut route = self.world.host.route().unwrap();
        let settled = self.with(|firewall| beside::settle(firewall, &mut route, guests)).unwrap();
        for guest in guests {
            let is_told = settled.advice.iter().any(|advice| advice.bridge == guest.bridge && advice.owner != "ufw");
            assert!(!is_told || self.glance(guest) == Glance::NoPlace, "a glance sees no less");
        }
        (settled.edits.len(), settled.advice)
    }

    fn glance(&self, guest: &Guest) -> Glance {
        self.with(|firewall| beside::glance(firewall, guest)).unwrap()
    }

    #[track_caller]
    fn flows(&self, family: Family) {
        let [out, back] = addresses(family);
        assert!(ask(&self.container, out).unwrap().starts_with("outside"), "a container reaches out");
        assert!(ask(&self.world.outside, back).unwrap().starts_with("inside"), "a published port is reached");
    }

    #[track_caller]
    fn blocked(&self, family: Family) {
        let [out, back] = addresses(family);
        assert!(silent(&self.container, out), "a container reaches nobody");
        assert!(silent(&self.world.outside, back), "nobody reaches a published port");
    }
}

fn addresses(family: Family) -> [&'static str; 2] {
    match family {
        Family::V4 => ["192.0.2.2:99", "192.0.2.1:8080"],
        Family::V6 => ["[2001:db8::2]:99", "[2001:db8::1]:8080"],
    }
}

fn guest(network: &Network) -> Guest {
    let families: Vec<_> = network.subnets.iter().map(|subnet| subnet.family()).collect();
    Guest { internal: network.internal, ..Guest::new(network.bridge.as_str(), families) }
}

/// Lines of a listing that are ours.
fn ours(listing: &str) -> Vec<&str> {
    listing.lines().filter(|line| line.contains(TAG)).collect()
}

/// As dockerd leaves it.
const DOCKER: &str = "for i in iptables ip6tables; do
    $i -P FORWARD DROP; $i -N DOCKER-USER; $i -A FORWARD -j DOCKER-USER
    $i -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    $i -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
    $i -A DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 8081 -j DROP
    $i -A DOCKER-USER -j RETURN; done";

#[test]
fn where_docker_is_our_rules_are_in_its_users_chain() {
    let scene = Scene::new();
    let nobody = scene.settle(&[guest(&blue())]);
    assert_eq!(nobody, (0, Vec::new()), "nobody drops anything");
    scene.flows(Family::V4);
    scene.sh(DOCKER);
    scene.blocked(Family::V4);
    scene.blocked(Family::V6);
    assert_eq!(scene.settle(&[guest(&blue())]), (20, Vec::new()));
    assert_eq!(scene.glance(&guest(&blue())), Glance::Settled);
    scene.flows(Family::V4);
    scene.flows(Family::V6);
    assert!(silent(&scene.world.outside, "192.0.2.1:8081"), "what the administrator drops there is dropped before");
    let listing = scene.sh("iptables -S DOCKER-USER");
    let comment = format!("-m comment --comment \"{TAG}\"");
    let theirs = ["docker+", "br-+", "podman+", "cni+", "virbr+", "lxdbr+", "incusbr+"];
    let mut expected: Vec<_> =
        theirs.iter().map(|name| format!("-A DOCKER-USER -i dhow0 -o {name} {comment} -j RETURN")).collect();
    expected.extend([
        format!("-A DOCKER-USER -i dhow0 {comment} -j ACCEPT"),
        format!("-A DOCKER-USER -o dhow0 -m conntrack --ctstate RELATED,ESTABLISHED {comment} -j ACCEPT"),
        format!("-A DOCKER-USER -o dhow0 -m conntrack --ctstate DNAT {comment} -j ACCEPT"),
        "-A DOCKER-USER -j RETURN".to_owned(),
    ]);
    assert_eq!(listing.lines().skip(2).collect::<Vec<_>>(), expected);
    assert_eq!(scene.settle(&[guest(&blue())]), (0, Vec::new()), "once is enough");
    // As at a boot that restores what was saved: iptables writes the rules anew, and they are still ours.
    scene.sh("iptables-save > /dev/null; iptables-save | iptables-restore; ip6tables-save | ip6tables-restore");
    assert_eq!(scene.settle(&[guest(&blue())]), (0, Vec::new()));
    scene.flows(Family::V4);
    // Somebody empties the chain.
    scene.sh("iptables -F DOCKER-USER; iptables -A DOCKER-USER -j RETURN");
    assert_eq!(scene.glance(&guest(&blue())), Glance::Missing);
    scene.blocked(Family::V4);
    assert_eq!(scene.settle(&[guest(&blue())]), (10, Vec::new()));
    scene.flows(Family::V4);
    // The network has gone.
    assert_eq!(scene.settle(&[]), (20, Vec::new()));
    assert_eq!(ours(&scene.sh("iptables-save; ip6tables-save")), Vec::<&str>::new());
    scene.blocked(Family::V4);
    // Nobody drops by default any more, so nobody needs what was put there.
    scene.settle(&[guest(&blue())]);
    scene.sh("iptables -P FORWARD ACCEPT; ip6tables -P FORWARD ACCEPT");
    assert_eq!(scene.settle(&[guest(&blue())]), (20, Vec::new()));
    assert_eq!(ours(&scene.sh("iptables-save; ip6tables-save")), Vec::<&str>::new());
}

#[test]
fn each_network_has_rules_of_its_own_and_an_internal_one_needs_none() {
    let scene = Scene::new();
    scene.sh(DOCKER);
    let guests = [guest(&blue()), guest(&red()), guest(&locked())];
    assert_eq!(scene.settle(&guests), (40, Vec::new()));
    scene.flows(Family::V4);
    assert_eq!(scene.settle(&guests), (0, Vec::new()));
    // What is left of the first one is a bridge of somebody else's.
    assert_eq!(scene.settle(&guests[1..]).0, 20 + 20 + 22);
    assert_eq!(ours(&scene.sh("iptables-save; ip6tables-save")), Vec::<&str>::new());
    assert_eq!(scene.sh("iptables-save").matches("dhow-0123abcd:dh-red").count(), 11);
    scene.blocked(Family::V4);
    // Its neighbours talk to each other by way of the host's rules where bridges call them.
    let bridged = Guest { bridged: true, ..guest(&locked()) };
    assert_eq!(scene.settle(&[bridged]), (23, Vec::new()));
    assert!(scene.sh("iptables -S DOCKER-USER").contains("-i dh-locked -o dh-locked -m comment"));
}

#[test]
fn where_there_is_no_place_the_command_that_helps_is_told() {
    let policy = "nft 'table inet mine { chain between { type filter hook forward priority 10; policy drop;
        ct state established,related accept; iif eth0 tcp dport 22 accept; }; }'";
    let reject = "nft 'table inet mine { chain rest { meta l4proto 6 reject with tcp reset; reject; }
        chain between { type filter hook forward priority 10; jump rest; }; }'";
    let maps = "nft 'table inet mine { chain between { type filter hook forward priority 10; policy drop;
        ct state vmap { established : accept, related : accept, invalid : drop }
        iifname { eth7, eth8 } oifname != { eth9, eth8 } accept; }; }'";
    let chains =
        "iptables-legacy -N own; iptables-legacy -A own -s 10.0.0.0/8 -j RETURN; iptables-legacy -A own -j DROP
        iptables-legacy -A FORWARD -g own; ip6tables-legacy -A FORWARD -j REJECT";
    for (script, owner) in [
        (policy, "nftables"),
        (reject, "nftables"),
        (maps, "nftables"),
        ("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP", "iptables"),
        ("iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP", "iptables-legacy"),
        (chains, "iptables-legacy"),
    ] {
        let scene = Scene::new();
        scene.sh(script);
        scene.blocked(Family::V4);
        let (edits, advice) = scene.settle(&[guest(&blue())]);
        assert_eq!((edits, advice.first().map(|advice| advice.owner)), (0, Some(owner)), "{script}");
        for command in advice.iter().flat_map(|advice| &advice.commands) {
            scene.sh(command);
        }
        assert_eq!(scene.settle(&[guest(&blue())]), (0, Vec::new()), "{script}");
        scene.flows(Family::V4);
        scene.flows(Family::V6);
    }
}

#[test]
fn firewalld_is_told_by_its_own_command() {
    let scene = Scene::new();
    // As firewalld 1.3 lists its own, shortened.
    scene.sh("nft 'table inet firewalld {
            chain filter_FWD_public_pre { }
            chain filter_FWD_trusted { accept; }
            chain filter_FWD_public { jump filter_FWD_public_pre; reject with icmpx admin-prohibited; }
            chain filter_FORWARD_ZONES { iifname \"br9\" goto filter_FWD_trusted; goto filter_FWD_public; }
            chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
                ct state { established, related } accept
                ct status dnat accept
                iifname \"lo\" accept
                jump filter_FORWARD_ZONES
                ct state { invalid } drop
                reject with icmpx admin-prohibited
            }
        }'");
    let (edits, advice) = scene.settle(&[guest(&blue())]);
    assert_eq!(edits, 0);
    assert_eq!(
        advice[0].to_string(),
        "firewalld (chain filter_FORWARD of table inet firewalld) drops what goes out from containers of dhow0; to let \
         that through, run: firewall-cmd --permanent --zone=trusted --add-interface=dhow0 && firewall-cmd --reload"
    );
    // What that command makes.
    scene.sh("nft insert rule inet firewalld filter_FORWARD_ZONES iifname dhow0 goto filter_FWD_trusted");
    assert_eq!(scene.settle(&[guest(&blue())]), (0, Vec::new()));
    scene.flows(Family::V4);
}

#[test]
fn what_names_our_bridge_is_meant() {
    let scene = Scene::new();
    scene.sh(DOCKER);
    scene.sh("iptables -I FORWARD -i dhow0 -j REJECT");
    assert_eq!(scene.settle(&[guest(&blue())]), (12, Vec::new()), "the rest is let through");
    assert!(silent(&scene.container, "192.0.2.2:99"));
    assert!(ask(&scene.world.outside, "192.0.2.1:8080").is_err(), "its answers are meant, too");
}

#[test]
fn somebody_hears_when_others_change_what_matters() {
    let scene = Scene::new();
    scene.sh(DOCKER);
    let mut watch =
        scene.world.host.with(|| Ok::<_, std::io::Error>(Watch::begin(crate::world::TABLE).unwrap().0)).unwrap();
    scene.settle(&[guest(&blue())]);
    assert!(!watch.hear(), "we know what we do ourselves");
    scene.sh("iptables -A INPUT -p tcp --dport 22 -j ACCEPT; nft add table inet other");
    assert!(!watch.hear(), "that is not about us");
    for script in [
        "iptables -F DOCKER-USER",
        "iptables -A DOCKER-USER -j RETURN",
        "nft 'table inet other { chain f { type filter hook forward priority 0; policy drop; }; }'",
        "ip6tables -P FORWARD DROP",
        "ip6tables -D DOCKER-USER 2",
        "nft flush table ip6 filter",
    ] {
        scene.sh(script);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !watch.hear() {
            assert!(Instant::now() < deadline, "nobody heard of: {script}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let _ = watch.as_fd();
}

/// ufw with files of its own, in the namespace of a scene.
struct Ufw<'s> {
    scene: &'s Scene,
    folder: PathBuf,
}

impl<'s> Ufw<'s> {
    fn new(scene: &'s Scene) -> Ufw<'s> {
        let folder = std::env::temp_dir().join(format!("dhow-ufw-{}", std::process::id()));
        let script = "rm -rf $F; mkdir -p $F; cp -a /etc/ufw $F/ufw; sed 's/^IPT_SYSCTL=.*/IPT_SYSCTL=/' /etc/default/ufw > $F/default";
        let status = Command::new("sh").args(["-ec", script]).env("F", &folder).status().unwrap();
        assert!(status.success());
        Ufw { scene, folder }
    }

    /// Runs it where its files are ours; what it prints.
    fn run(&self, words: &str) -> String {
        let folder = self.folder.display();
        let script = format!(
            "mount --bind {folder}/ufw /etc/ufw; mount --bind {folder}/default /etc/default/ufw; mount -t tmpfs none /run; \
             ufw {words}"
        );
        run(&self.scene.world.host, "unshare", &["--mount", "sh", "-ec", &script])
    }
}

impl Drop for Ufw<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn where_ufw_is_our_rules_are_behind_its_users() {
    if !Path::new("/usr/sbin/ufw").exists() {
        panic!("ufw is missing: scripts/install-test-deps");
    }
    let scene = Scene::new();
    let ufw = Ufw::new(&scene);
    ufw.run("--force enable");
    scene.blocked(Family::V4);
    scene.blocked(Family::V6);
    // It lets answers through by itself. What comes in is for it to let in.
    let (edits, advice) = scene.settle(&[guest(&blue())]);
    assert_eq!((edits, advice.len()), (16, 1), "{advice:?}");
    assert_eq!(
        advice[0].to_string(),
        "ufw (chain FORWARD of table ip filter) drops what comes to published ports of dhow0; to let that through, run: \
         ufw route allow out on dhow0"
    );
    let goes_out = || {
        assert!(ask(&scene.container, "192.0.2.2:99").unwrap().starts_with("outside"));
        assert!(ask(&scene.container, "[2001:db8::2]:99").unwrap().starts_with("outside"));
    };
    goes_out();
    assert!(silent(&scene.world.outside, "192.0.2.1:8080"));
    assert!(silent(&scene.world.outside, "[2001:db8::1]:8080"));
    let asking = Guest { published: vec![(Protocol::Tcp, 80)], ..guest(&blue()) };
    let (edits, advice) = scene.settle(&[asking]);
    assert_eq!((edits, advice[0].commands.len(), scene.glance(&guest(&blue()))), (0, 1, Glance::Settled));
    ufw.run(advice[0].commands[0].strip_prefix("ufw ").unwrap());
    scene.flows(Family::V4);
    scene.flows(Family::V6);
    assert!(silent(&scene.world.outside, "192.0.2.1:8081"), "nobody has allowed that");
    assert_eq!(scene.settle(&[guest(&blue())]), (0, Vec::new()), "that was thought of");
    ufw.run("reload");
    assert!(silent(&scene.container, "192.0.2.2:99"));
    assert_eq!(scene.settle(&[guest(&blue())]), (16, Vec::new()));
    goes_out();
    scene.flows(Family::V4);
    assert!(ufw.run("status verbose").contains("Status: active"));
    // Its own rules for what is forwarded come first.
    ufw.run("route deny in on dhow0 to any port 99 proto tcp");
    assert!(silent(&scene.container, "192.0.2.2:99"));
    // Gone when they are gone with the network, and when nobody needs them.
    assert_eq!(scene.settle(&[]), (16, Vec::new()));
    scene.settle(&[guest(&blue())]);
    ufw.run("disable");
    scene.settle(&[guest(&blue())]);
    assert_eq!(ours(&scene.sh("iptables-save; ip6tables-save")), Vec::<&str>::new());
    scene.flows(Family::V6);
}

#[test]
fn what_goes_to_other_programs_bridges_is_for_their_rules() {
    let scene = Scene::new();
    scene.sh(DOCKER);
    for (name, block) in [("docker0", "172.30.0.0/16"), ("office", "172.31.0.0/16"), ("br-lan", "172.29.0.0/16")] {
        let network = Network::new(name, [subnet(block)]);
        scene.world.bridge(&network);
        let there = scene.world.container(&network, 2);
        serve(&there, "0.0.0.0:70", "there");
        std::mem::forget(there);
    }
    let reaches = |address: &str| !silent(&scene.container, address);
    // As dockerd of before 28 has it.
    scene.sh("iptables -N DOCKER; iptables -A FORWARD -o docker0 -j DOCKER; iptables -A DOCKER ! -i docker0 -o docker0 -j DROP");
    scene.settle(&[guest(&blue())]);
    scene.flows(Family::V4);
    assert!(!reaches("172.30.0.2:70") && !reaches("172.31.0.2:70") && !reaches("172.29.0.2:70"));
    // One of them is the way out.
    scene.sh("ip route add default via 172.29.0.2 dev br-lan");
    assert_eq!(scene.settle(&[guest(&blue())]).1, []);
    assert!(!reaches("172.30.0.2:70") && !reaches("172.31.0.2:70") && reaches("172.29.0.2:70"));
    // And where they let us in, they do.
    scene.sh("iptables -I DOCKER -i dhow0 -o docker0 -j ACCEPT; iptables -I FORWARD -o dhow0 -m conntrack --ctstate ESTABLISHED -j ACCEPT");
    assert!(reaches("172.30.0.2:70"));
}

#[test]
#[ignore = "a measurement, not a test"]
fn times_beside_others() {
    let scene = Scene::new();
    let ufw = Ufw::new(&scene);
    let guests = [guest(&blue())];
    for script in ["true", DOCKER, "ufw"] {
        if script == "ufw" {
            ufw.run("--force enable");
        } else {
            scene.sh(script);
        }
        scene.settle(&guests);
        let time = |what, work: &mut (dyn FnMut(&mut Firewall) + Send)| {
            let took = scene.with(|firewall| {
                let start = Instant::now();
                (0..100).for_each(|_| work(firewall));
                start.elapsed()
            });
            println!("{what} {script:.8}: {:?}", took / 100);
        };
        let mut route = scene.world.host.route().unwrap();
        time("settle", &mut |firewall| drop(beside::settle(firewall, &mut route, &guests).unwrap()));
        time("glance", &mut |firewall| assert_eq!(beside::glance(firewall, &guests[0]).unwrap(), Glance::Settled));
    }
}
