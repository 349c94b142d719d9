//! Containers on a host whose firewall drops what it forwards: iptables as dockerd leaves it, a policy made by hand, ufw.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Containers, Neighbour, eventually, path, run};

const DOCKER: &str = "for i in iptables ip6tables; do
    $i -P FORWARD DROP; $i -N DOCKER-USER; $i -A FORWARD -j DOCKER-USER; $i -A DOCKER-USER -j RETURN; done";

#[track_caller]
fn sh(script: &str) -> String {
    run(Command::new("sh").args(["-ec", script])).ok().stdout
}

/// Another host, which answers at port 70 whoever reaches it.
fn neighbour() -> Neighbour {
    let neighbour = Neighbour::new();
    let listener = neighbour.with(|| TcpListener::bind("192.0.2.2:70").unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello\n");
        }
    });
    neighbour
}

/// Runs a container with a published port; what dhow said about it.
#[track_caller]
fn serve(containers: &Containers, name: &str, flags: &[&str]) -> String {
    let script = "mkdir -p /www; echo here > /www/index.html; exec busybox httpd -f -p 80 -h /www";
    let words = [&["run", "-d", "--name", name], flags, &["box", "sh", "-c", script]].concat();
    let said = containers.dhow(&words).ok().stderr;
    eventually("it serves", || {
        containers.dhow(&["exec", name, "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1/"]).code == Some(0)
    });
    said
}

/// Whether a container gets an answer from the other host; once is enough.
fn goes_out(containers: &Containers, name: &str) -> bool {
    let ask = ["exec", name, "busybox", "timeout", "3", "busybox", "wget", "-q", "-O", "-", "http://192.0.2.2:70/"];
    containers.dhow(&ask).stdout == "hello\n"
}

fn is_reached(neighbour: &Neighbour, address: &str) -> bool {
    let address = address.parse().unwrap();
    neighbour.with(|| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok())
}

fn saved() -> String {
    sh("iptables-save; ip6tables-save")
}

/// How many rules of others' tables are a network's of ours.
fn rules(bridge: &str) -> usize {
    saved().lines().filter(|line| line.starts_with("-A DOCKER-USER") && line.contains(&format!(":{bridge}\""))).count()
}

#[test]
fn where_docker_drops_what_it_forwards_containers_are_let_through() {
    let containers = Containers::new();
    let neighbour = neighbour();
    sh(DOCKER);
    assert_eq!(serve(&containers, "web", &["-p", "8080:80"]), "");
    assert!(goes_out(&containers, "web") && is_reached(&neighbour, "192.0.2.1:8080"));
    // Somebody takes the rules away: whoever looks after networks puts them back.
    sh("iptables -F DOCKER-USER");
    eventually("the rules are back", || goes_out(&containers, "web") && is_reached(&neighbour, "192.0.2.1:8080"));
    // A network has them from when it is made, for both families, until it is removed.
    let id = containers.dhow(&["network", "create", "lan"]).text();
    let bridge = format!("dh-{}", &id[..12]);
    assert_eq!(rules(&bridge), 20, "{}", saved());
    serve(&containers, "other", &["--network", "lan", "-p", "[::]:8081:80"]);
    assert!(goes_out(&containers, "other") && is_reached(&neighbour, "[2001:db8::1]:8081"));
    containers.dhow(&["rm", "-f", "other"]).ok();
    containers.dhow(&["network", "rm", "lan"]).ok();
    assert_eq!(rules(&bridge), 0, "{}", saved());
    // Those of a network without a running container: at its next start, or by hand.
    containers.dhow(&["rm", "-f", "web"]).ok();
    sh("iptables -F DOCKER-USER");
    serve(&containers, "web", &["-p", "8080:80"]);
    assert!(goes_out(&containers, "web") && is_reached(&neighbour, "192.0.2.1:8080"));
    containers.dhow(&["rm", "-f", "web"]).ok();
    eventually("nobody else puts them back", || {
        sh("iptables -F DOCKER-USER");
        containers.dhow(&["network", "reload"]).text().contains("our rules in chain DOCKER-USER of table ip filter")
    });
}

#[test]
fn where_there_is_no_place_for_our_rules_the_command_is_told() {
    let containers = Containers::new();
    let neighbour = neighbour();
    sh("iptables -P FORWARD DROP");
    let said = serve(&containers, "web", &["-p", "8080:80"]);
    assert!(said.starts_with("WARNING: iptables (chain FORWARD of table ip filter) drops what goes out"), "{said}");
    assert!(!goes_out(&containers, "web") && !is_reached(&neighbour, "192.0.2.1:8080"));
    assert!(containers.dhow(&["network", "reload"]).ok().stderr.contains("WARNING: iptables"));
    let (_, commands) = said.trim_end().split_once(", run: ").unwrap();
    sh(commands);
    assert!(goes_out(&containers, "web") && is_reached(&neighbour, "192.0.2.1:8080"));
    assert_eq!(containers.dhow(&["port", "web"]).ok().stderr, "");
    assert_eq!(containers.dhow(&["network", "reload"]).ok().stderr, "");
    // Who publishes nothing is not told at each start.
    let made = containers.dhow(&["network", "create", "--ipv6=false", "lan"]).ok().stderr;
    assert!(made.contains("WARNING: iptables"), "{made}");
    assert_eq!(containers.dhow(&["run", "--rm", "--network", "lan", "box", "true"]).ok().stderr, "");
}

#[test]
fn where_ufw_denies_ports_are_closed_until_it_allows_them() {
    let containers = Containers::new();
    let neighbour = neighbour();
    // Its own files, and its state, are this test's: it has mounts of its own.
    let folder = containers.folder().join("ufw-files");
    let folder = path(&folder);
    sh(&format!(
        "mkdir {folder}; cp -a /etc/ufw {folder}/ufw; sed 's/^IPT_SYSCTL=.*/IPT_SYSCTL=/' /etc/default/ufw > {folder}/default"
    ));
    let ufw = |words: &str| {
        sh(&format!(
            "unshare --mount sh -ec 'mount --bind {folder}/ufw /etc/ufw; mount --bind {folder}/default /etc/default/ufw
             mount -t tmpfs none /run; ufw {words}'"
        ))
    };
    ufw("--force enable");
    let said = serve(&containers, "web", &["-p", "8080:80"]);
    assert!(
        said.starts_with("WARNING: ufw (chain FORWARD of table ip filter) drops what comes to published"),
        "{said}"
    );
    assert!(goes_out(&containers, "web") && !is_reached(&neighbour, "192.0.2.1:8080"));
    assert_eq!(containers.dhow(&["port", "web"]).ok().stderr, said);
    let (_, command) = said.trim_end().split_once(", run: ufw ").unwrap();
    ufw(command);
    assert!(is_reached(&neighbour, "192.0.2.1:8080"), "{command}");
    assert_eq!(containers.dhow(&["port", "web"]).ok().stderr, "");
    ufw("reload");
    eventually("the rules are back", || goes_out(&containers, "web"));
    assert!(is_reached(&neighbour, "192.0.2.1:8080"));
}
