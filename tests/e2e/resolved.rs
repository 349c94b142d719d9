//! Names inside: who is found by whom, who answers when everything of ours is killed, and what containers are told.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::networks::wires;
use crate::harness::{Containers, Neighbour, eventually, run};

const SLEEP: [&str; 3] = ["box", "sleep", "1000"];

/// `run -d --name NAME OPTIONS.. box sleep 1000`.
#[track_caller]
fn sleeping(box_: &Containers, name: &str, options: &[&str]) -> String {
    box_.dhow(&[&["run", "-d", "--name", name], options, &SLEEP].concat()).text()
}

/// The addresses of a name, as a container sees them; none: no answer has any.
#[track_caller]
fn found(box_: &Containers, container: &str, name: &str) -> BTreeSet<String> {
    let ran = box_.dhow(&["exec", container, "busybox", "nslookup", name]);
    // Behind the name: before it stands the server's.
    let answers = ran.stdout.lines().skip_while(|line| !line.starts_with("Name:"));
    answers.filter_map(|line| line.strip_prefix("Address: ")).map(|word| word.trim().to_owned()).collect()
}

/// A container's addresses on a network.
#[track_caller]
fn addresses(box_: &Containers, container: &str, network: &str) -> BTreeSet<String> {
    let of = &box_.container(container)["NetworkSettings"]["Networks"][network];
    ["IPAddress", "GlobalIPv6Address"]
        .into_iter()
        .filter_map(|key| Some(of[key].as_str()?.to_owned()).filter(|address| !address.is_empty()))
        .collect()
}

/// A file inside a container, without the line that says whose it is.
#[track_caller]
fn file(box_: &Containers, container: &str, path: &str) -> String {
    let text = box_.dhow(&["exec", container, "cat", path]).ok().stdout;
    text.lines().filter(|line| !line.starts_with("# Made by dhow")).flat_map(|line| [line, "\n"]).collect()
}

/// Processes of this store that are called so (comm), by what they have open: a file below its run root.
fn processes(box_: &Containers, comm: &str) -> Vec<Pid> {
    let run_root = box_.folder().join("run");
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let named = std::fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == comm);
        let fds = std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        if named && fds.map(|fd| fd.path()).any(|fd| std::fs::read_link(fd).is_ok_and(|to| to.starts_with(&run_root))) {
            pids.push(Pid::from_raw(pid));
        }
    }
    pids
}

fn resolvers(box_: &Containers) -> Vec<Pid> {
    processes(box_, "dhow-resolver")
}

#[test]
fn by_name_alias_id_and_address() {
    let box_ = Containers::new();
    box_.dhow(&["network", "create", "shop"]).ok();
    sleeping(&box_, "web", &["--network", "shop"]);
    let id = sleeping(&box_, "db", &["--network", "shop", "--network-alias", "database", "--hostname", "store"]);
    let db = addresses(&box_, "db", "shop");
    assert_eq!(db.len(), 2, "{db:?}");
    for name in ["db", "DB", "db.shop", "database", "database.shop", "store", &id[..12]] {
        assert_eq!(found(&box_, "web", name), db, "{name}");
    }
    assert_eq!(found(&box_, "db", "db"), db, "itself");
    for address in &db {
        let ran = box_.dhow(&["exec", "web", "busybox", "nslookup", address]);
        assert!(ran.stdout.contains("name = db.shop"), "{}", ran.stdout);
    }
    assert!(box_.dhow(&["exec", "web", "busybox", "ping", "-c", "1", "-W", "5", "database"]).code == Some(0));
    // Answers change the moment somebody comes, is renamed, or goes.
    sleeping(&box_, "cache", &["--network", "shop"]);
    assert_eq!(found(&box_, "web", "cache"), addresses(&box_, "cache", "shop"));
    box_.dhow(&["rename", "cache", "memory"]).ok();
    assert_eq!(found(&box_, "web", "memory"), addresses(&box_, "memory", "shop"));
    assert_eq!(found(&box_, "web", "cache"), BTreeSet::new());
    box_.dhow(&["rm", "-f", "memory"]).ok();
    assert_eq!(found(&box_, "web", "memory"), BTreeSet::new());
    // Many of one name take turns.
    for name in ["m1", "m2", "m3"] {
        sleeping(&box_, name, &["--network", "shop", "--network-alias", "many"]);
    }
    assert_eq!(found(&box_, "web", "many").len(), 6);
    // Started anew it has another address, and others hear of that.
    box_.dhow(&["restart", "-t", "0", "db"]).ok();
    assert_eq!(found(&box_, "web", "db"), addresses(&box_, "db", "shop"));
}

#[test]
fn only_on_the_networks_that_one_is_on() {
    let box_ = Containers::new();
    for network in ["red", "blue"] {
        box_.dhow(&["network", "create", "--ipv6=false", network]).ok();
    }
    sleeping(&box_, "rr", &["--network", "red", "--network-alias", "svc"]);
    sleeping(&box_, "bb", &["--network", "blue", "--network-alias", "svc"]);
    sleeping(&box_, "both", &["--network", "name=red,gw-priority=1", "--network", "blue"]);
    sleeping(&box_, "other", &["--network", "red", "--network", "name=blue,gw-priority=1"]);
    let (red, blue) = (addresses(&box_, "rr", "red"), addresses(&box_, "bb", "blue"));
    assert_eq!(found(&box_, "both", "rr"), red);
    assert_eq!(found(&box_, "both", "bb"), blue);
    // Both have it: the preferred network's comes first.
    assert_eq!((found(&box_, "both", "svc"), found(&box_, "other", "svc")), (red.clone(), blue.clone()));
    assert_eq!((found(&box_, "both", "svc.blue"), found(&box_, "other", "svc.red")), (blue.clone(), red.clone()));
    assert_eq!((found(&box_, "rr", "bb"), found(&box_, "bb", "rr.red")), (BTreeSet::new(), BTreeSet::new()));
    assert_eq!(resolvers(&box_).len(), 2);
    // The predefined network has no names, as in docker, and the host's servers.
    sleeping(&box_, "plain", &["--network", "bridge"]);
    assert!(!file(&box_, "plain", "/etc/resolv.conf").contains("127.0.0.11"));
    // Connected while it runs.
    box_.dhow(&["network", "connect", "--alias", "guest", "red", "plain"]).ok();
    assert!(file(&box_, "plain", "/etc/resolv.conf").contains("nameserver 127.0.0.11\n"));
    assert_eq!(found(&box_, "plain", "rr"), red);
    assert_eq!(found(&box_, "rr", "guest"), addresses(&box_, "plain", "red"));
    let hosts = file(&box_, "plain", "/etc/hosts");
    assert!(addresses(&box_, "plain", "red").iter().all(|address| hosts.contains(address.as_str())), "{hosts}");
    box_.dhow(&["network", "connect", "blue", "rr"]).ok();
    assert_eq!((found(&box_, "rr", "bb"), found(&box_, "bb", "rr")), (blue, addresses(&box_, "rr", "blue")));
    box_.dhow(&["network", "disconnect", "red", "plain"]).ok();
    assert_eq!(found(&box_, "rr", "guest"), BTreeSet::new());
    let hosts = file(&box_, "plain", "/etc/hosts");
    assert!(addresses(&box_, "plain", "bridge").iter().all(|address| hosts.contains(address.as_str())), "{hosts}");
    assert_eq!(hosts.lines().count(), 7, "{hosts}");
}

/// A name server that has one answer for every question for an address.
fn serve(neighbour: &Neighbour, over: &AtomicBool) {
    neighbour.with(|| {
        let socket = UdpSocket::bind("192.0.2.2:53").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut bytes = [0; 1500];
        while !over.load(Ordering::Relaxed) {
            let Ok((size, from)) = socket.recv_from(&mut bytes) else { continue };
            let mut answer = bytes[..size].to_vec();
            let kind = bytes[12..size].iter().position(|byte| *byte == 0).map(|end| bytes[12 + end + 2]);
            (answer[2], answer[3]) = (0x81, 0x80);
            answer[8..12].fill(0);
            if kind == Some(1) {
                answer[7] = 1;
                let end = 12 + bytes[12..size].iter().position(|byte| *byte == 0).unwrap() + 5;
                answer.truncate(end);
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 7]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
}

#[test]
fn what_is_nobodys_name_is_asked_outside() {
    let box_ = Containers::new();
    let neighbour = Neighbour::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&neighbour, &over));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            box_.dhow(&["network", "create", "--ipv6=false", "shop"]).ok();
            box_.dhow(&["network", "create", "--internal", "vault"]).ok();
            let out = BTreeSet::from(["203.0.113.7".to_owned()]);
            sleeping(&box_, "web", &["--network", "shop", "--dns", "192.0.2.2"]);
            eventually("the server is there", || found(&box_, "web", "elsewhere.example") == out);
            assert_eq!(found(&box_, "web", "single"), out, "single labels, too");
            assert_eq!(found(&box_, "web", "web"), addresses(&box_, "web", "shop"), "not our own");
            // No way out, and no question out.
            sleeping(&box_, "safe", &["--network", "vault", "--dns", "192.0.2.2"]);
            assert_eq!(found(&box_, "safe", "elsewhere.example"), BTreeSet::new());
            assert_eq!(found(&box_, "safe", "safe"), addresses(&box_, "safe", "vault"));
            // Who is on both has one.
            box_.dhow(&["network", "connect", "shop", "safe"]).ok();
            assert_eq!(found(&box_, "safe", "elsewhere.example"), out);
            // With ndots of the user's own, single labels are left to the search list.
            sleeping(&box_, "dots", &["--network", "shop", "--dns", "192.0.2.2", "--dns-option", "ndots:2"]);
            assert_eq!(found(&box_, "dots", "single"), BTreeSet::new());
        }));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// As on a laptop that is off-line: a name that nobody has is not waited for.
#[test]
fn where_no_route_leads_to_a_server_nobody_waits_for_it() {
    let box_ = Containers::new();
    box_.dhow(&["network", "create", "--ipv6=false", "shop"]).ok();
    sleeping(&box_, "web", &["--network", "shop", "--dns", "203.0.113.9"]);
    let said = box_.dhow(&["exec", "web", "busybox", "nslookup", "elsewhere.example"]);
    assert!(format!("{}{}", said.stdout, said.stderr).contains("SERVFAIL"), "{said}");
}

#[test]
fn files_are_dockers_and_belong_to_whoever_changes_them() {
    let box_ = Containers::new();
    box_.dhow(&["network", "create", "--subnet", "10.77.0.0/24", "--ipv6=false", "shop"]).ok();
    let options = [
        "--network",
        "shop",
        "--hostname",
        "front",
        "--domainname",
        "example",
        "--add-host",
        "db:10.0.0.9",
        "--add-host",
        "host.docker.internal:host-gateway",
        "--dns-search",
        "corp.example",
        "--dns-option",
        "timeout:1",
    ];
    sleeping(&box_, "web", &options);
    let own = addresses(&box_, "web", "shop").pop_first().unwrap();
    let expected = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n10.0.0.9\tdb\n10.77.0.1\thost.docker.internal\n\
         {own}\tfront.example front\n"
    );
    assert_eq!(file(&box_, "web", "/etc/hosts"), expected);
    let expected = "nameserver 127.0.0.11\nsearch corp.example\noptions timeout:1 ndots:0\n";
    assert_eq!(file(&box_, "web", "/etc/resolv.conf"), expected);
    assert_eq!(file(&box_, "web", "/etc/hostname"), "front\n");
    // As they were made they are made anew.
    box_.dhow(&["restart", "-t", "0", "web"]).ok();
    let own = addresses(&box_, "web", "shop").pop_first().unwrap();
    assert!(file(&box_, "web", "/etc/hosts").ends_with(&format!("{own}\tfront.example front\n")));
    // Changed, they are left alone but for the container's own address.
    let script = "echo 10.9.9.9 friend >> /etc/hosts; echo nameserver 10.9.9.9 > /etc/resolv.conf";
    box_.dhow(&["exec", "web", "sh", "-c", script]).ok();
    box_.dhow(&["restart", "-t", "0", "web"]).ok();
    let own = addresses(&box_, "web", "shop").pop_first().unwrap();
    let hosts = file(&box_, "web", "/etc/hosts");
    assert!(hosts.contains("10.9.9.9 friend\n") && hosts.contains("10.0.0.9\tdb\n"), "{hosts}");
    assert!(hosts.ends_with(&format!("{own}\tfront.example front\n")), "{hosts}");
    assert_eq!(hosts.matches("front.example").count(), 1, "{hosts}");
    assert_eq!(file(&box_, "web", "/etc/resolv.conf"), "nameserver 10.9.9.9\n");
    box_.dhow(&["network", "create", "second"]).ok();
    box_.dhow(&["network", "connect", "second", "web"]).ok();
    assert_eq!(file(&box_, "web", "/etc/resolv.conf"), "nameserver 10.9.9.9\n");
    assert!(file(&box_, "web", "/etc/hosts").contains("10.9.9.9 friend\n"));
    // Where nothing leads to the host there is no way to name it.
    let ran = box_.dhow(&["run", "--rm", "--network", "none", "--add-host", "h:host-gateway", "box", "true"]);
    assert_eq!(ran.code, Some(125));
    assert!(ran.stderr.contains("unable to derive the IP value for host-gateway"), "{}", ran.stderr);
    let ran = box_.dhow(&["run", "--rm", "--network", "none", "--add-host", "h:1.2.3.4", "box", "cat", "/etc/hosts"]);
    assert!(ran.ok().stdout.ends_with("ff02::2\tip6-allrouters\n1.2.3.4\th\n"));
}

#[test]
fn a_name_server_inside_has_its_port() {
    let box_ = Containers::new();
    box_.dhow(&["network", "create", "shop"]).ok();
    sleeping(&box_, "ns", &["--network", "shop"]);
    let namespace = File::open(format!("/proc/{}/ns/net", box_.shown("ns", "{{.State.Pid}}"))).unwrap();
    let server = || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        (UdpSocket::bind("0.0.0.0:53").unwrap(), TcpListener::bind("0.0.0.0:53").unwrap())
    };
    let _server = std::thread::spawn(server).join().unwrap();
    assert_eq!(found(&box_, "ns", "ns"), addresses(&box_, "ns", "shop"));
}

#[test]
fn nobody_misses_a_resolver_that_is_killed() {
    let box_ = Containers::new();
    box_.dhow(&["network", "create", "shop"]).ok();
    sleeping(&box_, "web", &["--network", "shop"]);
    sleeping(&box_, "db", &["--network", "shop"]);
    let db = addresses(&box_, "db", "shop");
    for _ in 0..3 {
        let [resolver] = resolvers(&box_)[..] else { panic!("{:?}", resolvers(&box_)) };
        // It has nothing that could be taken from it.
        let status = std::fs::read_to_string(format!("/proc/{resolver}/status")).unwrap();
        assert!(status.contains("CapEff:\t0000000000000000") && status.contains("Seccomp:\t2"), "{status}");
        assert!(!status.contains("Uid:\t0"), "{status}");
        kill(resolver, Signal::SIGKILL).unwrap();
        // The question waits in the socket, which the keeper has kept.
        assert_eq!(found(&box_, "web", "db"), db);
        eventually("another is there", || resolvers(&box_).len() == 1);
        assert_ne!(resolvers(&box_), [resolver]);
    }
    // Who comes now comes to the new one.
    sleeping(&box_, "cache", &["--network", "shop"]);
    assert_eq!(found(&box_, "cache", "db"), db);
    assert_eq!(found(&box_, "web", "cache"), addresses(&box_, "cache", "shop"));
    // One that hangs is given up by whoever waits for it in vain.
    let [resolver] = resolvers(&box_)[..] else { panic!("{:?}", resolvers(&box_)) };
    kill(resolver, Signal::SIGSTOP).unwrap();
    sleeping(&box_, "late", &["--network", "shop"]);
    assert_eq!(found(&box_, "late", "db"), db);
    assert_eq!(found(&box_, "web", "late"), addresses(&box_, "late", "shop"));
    kill(resolver, Signal::SIGCONT).unwrap();
    // A new keeper finds it by itself.
    let keepers = processes(&box_, "dhow-keeper");
    kill(keepers[0], Signal::SIGKILL).unwrap();
    eventually("another keeper", || processes(&box_, "dhow-keeper").iter().any(|pid| !keepers.contains(pid)));
    // It is told of it by supervisors, one after the other.
    std::thread::sleep(Duration::from_millis(300));
    resolvers(&box_).into_iter().for_each(|pid| kill(pid, Signal::SIGKILL).unwrap());
    assert_eq!(found(&box_, "web", "db"), db);
    // Both, and supervisors live: the keeper that they hire sees to it.
    for comm in ["dhow-keeper", "dhow-resolver"] {
        processes(&box_, comm).into_iter().for_each(|pid| kill(pid, Signal::SIGKILL).unwrap());
    }
    eventually("names are answered again", || {
        found(&box_, "web", "db") == db && found(&box_, "cache", "web") == addresses(&box_, "web", "shop")
    });
    // All at once: the next command sees to it that there is one again.
    for comm in ["dhow-keeper", "dhow-supervisor", "dhow-keeper", "dhow-resolver"] {
        for pid in processes(&box_, comm) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
    eventually("names are answered again", || {
        box_.dhow(&["ps"]).ok();
        found(&box_, "web", "db") == db && found(&box_, "cache", "web") == addresses(&box_, "web", "shop")
    });
    for name in ["web", "db", "cache", "late"] {
        box_.dhow(&["rm", "-f", name]).ok();
    }
    eventually("all of them end", || resolvers(&box_).is_empty() && processes(&box_, "dhow-keeper").is_empty());
    box_.assert_nothing_left();
}

#[test]
fn nothing_of_a_container_stays_behind() {
    let box_ = Containers::new();
    box_.dhow(&["network", "create", "shop"]).ok();
    sleeping(&box_, "web", &["--network", "shop"]);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", resolvers(&box_)[0])).unwrap().count();
    eventually("there is a keeper", || processes(&box_, "dhow-keeper").len() == 1);
    let keeper = processes(&box_, "dhow-keeper")[0];
    let kept = || std::fs::read_dir(format!("/proc/{keeper}/fd")).unwrap().count();
    eventually("the keeper follows", || kept() > open());
    let before = (open(), kept(), wires());
    for _ in 0..10 {
        let ran = box_.dhow(&["run", "--rm", "--network", "shop", "box", "busybox", "nslookup", "web"]);
        assert!(ran.ok().stdout.contains("Name:\tweb"));
    }
    eventually("all is let go", || (open(), kept(), wires()) == before);
    // With nobody there to say so.
    sleeping(&box_, "gone", &["--network", "shop"]);
    let pid: i32 = box_.shown("gone", "{{.State.Pid}}").parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually("it is let go", || (open(), kept()) == (before.0, before.1));
    eventually("nobody finds it", || found(&box_, "web", "gone").is_empty());
    box_.dhow(&["rm", "-f", "gone", "web"]).ok();
    eventually("the resolver ends", || resolvers(&box_).is_empty());
    eventually("the wires are gone", || wires() == 0);
    box_.dhow(&["network", "rm", "shop"]).ok();
    let id = box_.dhow(&["info", "--format", "{{.ID}}"]).text();
    let directory: PathBuf = box_.folder().join("run").join(id).join("networks");
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name == "lock" || name == "change"), "{left:?}");
}

#[test]
fn a_firewall_that_is_flushed_is_there_again() {
    let box_ = Containers::new();
    sleeping(&box_, "web", &["--network", "bridge", "-p", "18080:80"]);
    let rules = || run(Command::new("nft").args(["list", "ruleset"])).ok().stdout;
    let whole = rules();
    assert!(whole.contains("18080") && whole.contains("masquerade"), "{whole}");
    let is_whole = || {
        let now = rules();
        ["chain forward", "18080", "masquerade"].iter().all(|part| now.contains(part))
    };
    for _ in 0..3 {
        run(Command::new("nft").args(["flush", "ruleset"])).ok();
        eventually("the keeper has it made anew", is_whole);
    }
    let table = whole.lines().find_map(|line| line.strip_prefix("table inet ")?.strip_suffix(" {")).unwrap();
    run(Command::new("nft").args(["flush", "chain", "inet", table, "forward"])).ok();
    eventually("its rules are back", || {
        run(Command::new("nft").args(["list", "chain", "inet", table, "forward"])).ok().stdout.contains("drop")
    });
    run(Command::new("nft").args(["delete", "table", "inet", table])).ok();
    eventually("the table is back", is_whole);
}

/// Whoever is killed while he connects or disconnects, the container's names are answered.
#[test]
fn names_survive_whoever_changes_networks() {
    let box_ = Containers::new();
    box_.dhow(&["network", "create", "shop"]).ok();
    box_.dhow(&["network", "create", "back"]).ok();
    sleeping(&box_, "web", &["--network", "name=shop,gw-priority=0"]);
    sleeping(&box_, "db", &["--network", "shop"]);
    let db = addresses(&box_, "db", "shop");
    for round in 0..24 {
        let words = match round % 2 {
            // It becomes the preferred one: another resolver is to serve it.
            0 => vec!["network", "connect", "--gw-priority", "9", "back", "web"],
            _ => vec!["network", "disconnect", "back", "web"],
        };
        let mut command = box_.command(&words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 7 % 40));
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(found(&box_, "web", "db"), db, "after {round}");
    }
    box_.dhow(&["network", "disconnect", "back", "web"]);
    assert_eq!(found(&box_, "web", "db"), db);
    box_.dhow(&["network", "rm", "back"]).ok();
    assert_eq!(found(&box_, "web", "db"), db);
}

/// `system upgrade`: who answers for names is the new program, too.
#[test]
fn another_program_answers() {
    let box_ = Containers::new();
    let copy = box_.folder().join("copy");
    let this = box_.command::<&str>(&[]).get_program().to_owned();
    std::fs::copy(&this, &copy).unwrap();
    let old = |words: &[&str]| {
        let mut command = Command::new(&copy);
        command.args(box_.command(words).get_args()).env_remove("DHOW_ROOT").env_remove("DHOW_RUNROOT");
        run(&mut command).ok()
    };
    old(&["network", "create", "shop"]);
    for name in ["web", "db"] {
        old(&["run", "-d", "--name", name, "--network", "shop", "box", "sleep", "1000"]);
    }
    let program = |pid: &Pid| std::fs::metadata(format!("/proc/{pid}/exe")).map(|meta| meta.ino()).unwrap_or_default();
    let (new, before) = (std::fs::metadata(this).unwrap().ino(), resolvers(&box_));
    assert!(before.len() == 1 && program(&before[0]) != new);
    box_.dhow(&["system", "upgrade"]).ok();
    assert_eq!(found(&box_, "web", "db"), addresses(&box_, "db", "shop"));
    eventually("it is the new program", || matches!(resolvers(&box_)[..], [pid] if program(&pid) == new));
    assert_eq!(found(&box_, "db", "web"), addresses(&box_, "web", "shop"));
}
