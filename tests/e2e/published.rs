//! Containers on networks and their published ports, with real packets: from another host, from the host's own addresses,
//! from other containers, and from the container itself. What `port`, `ps` and `inspect` say of them, conflicts, changes
//! while it runs, and that nothing is left.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::harness::{Containers, Neighbour, eventually, ip, run};
use std::process::Command;

/// How long no answer has to come until it is taken for none.
const SILENCE: Duration = Duration::from_millis(400);

/// A web server that says its name, and who asks.
fn server(name: &str) -> String {
    format!(
        "mkdir -p /www/cgi-bin; echo 'I am {name}' > /www/index.html; \
         printf '#!/bin/sh\\necho; echo you are $REMOTE_ADDR\\n' > /www/cgi-bin/who; \
         busybox chmod 755 /www/cgi-bin/who; exec busybox httpd -f -p 80 -h /www"
    )
}

#[track_caller]
fn serve(containers: &Containers, name: &str, flags: &[&str]) {
    let script = server(name);
    let words = [&["run", "-d", "--name", name], flags, &["box", "sh", "-c", &script]].concat();
    containers.dhow(&words).ok();
    // On its own loopback: no network has a part in it.
    eventually(&format!("{name} serves"), || {
        containers.dhow(&["exec", name, "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1/"]).code == Some(0)
    });
}

fn ask(stream: TcpStream) -> String {
    request(stream, "/")
}

fn request(mut stream: TcpStream, path: &str) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    // httpd shows every address as one of IPv6.
    answer.lines().last().unwrap_or_default().replace("::ffff:", "").replace(['[', ']'], "")
}

fn get(address: &str) -> std::io::Result<String> {
    TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(30)).map(ask)
}

/// Whether nobody answers there.
fn silent(address: &str) -> bool {
    TcpStream::connect_timeout(&address.parse().unwrap(), SILENCE).is_err()
}

#[track_caller]
fn fetch(containers: &Containers, name: &str, url: &str) -> String {
    containers.dhow(&["exec", name, "busybox", "wget", "-q", "-O", "-", url]).text()
}

/// Nothing of any container is left on the host: no wire, no port, no lease.
#[track_caller]
fn nothing_is_left(containers: &Containers) {
    eventually("the wires are gone", || !ip(&["-br", "link"]).contains("dv"));
    let ports = || run(Command::new("nft").args(["list", "ruleset"])).text();
    eventually("the ports are gone", || !ports().contains("elements = { tcp") && !ports().contains("elements = { udp"));
    eventually("the leases are gone", || {
        let networks = containers.dhow(&["network", "ls", "-q"]).lines();
        networks.iter().all(|network| {
            let of = containers.dhow(&["network", "inspect", network]).json();
            of[0]["Containers"].as_object().is_none_or(serde_json::Map::is_empty)
        })
    });
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let containers = Containers::new();
    let neighbour = Neighbour::new();
    serve(&containers, "web", &["--network", "bridge", "-p", "8080:80"]);
    serve(&containers, "other", &["--network", "bridge", "-p", "127.0.0.1:8081:80"]);
    assert_eq!(ask(neighbour.connect("192.0.2.1:8080").unwrap()), "I am web");
    let who = request(neighbour.connect("192.0.2.1:8080").unwrap(), "/cgi-bin/who");
    assert_eq!(who, "you are 192.0.2.2", "its real address");
    assert!(neighbour.with(|| silent("192.0.2.1:8081")), "for 127.0.0.1 only");
    for address in ["127.0.0.1:8080", "192.0.2.1:8080"] {
        assert_eq!(get(address).unwrap(), "I am web", "{address}");
    }
    assert_eq!(get("127.0.0.1:8081").unwrap(), "I am other");
    for name in ["web", "other"] {
        assert_eq!(fetch(&containers, name, "http://192.0.2.1:8080/"), "I am web", "from {name}");
    }
    // By the container's own address: from its network, and from nowhere else.
    let address = containers.shown("web", "{{.NetworkSettings.IPAddress}}");
    assert_eq!(fetch(&containers, "other", &format!("http://{address}/")), "I am web");
    assert!(neighbour.with(|| silent(&format!("{address}:80"))));
    // Out of it, under the host's address.
    let listener = neighbour.with(|| TcpListener::bind("192.0.2.2:7000").unwrap());
    std::thread::scope(|scope| {
        let peer = scope.spawn(|| {
            let (mut stream, peer) = listener.accept().unwrap();
            // To the end of it, or what is left unread resets the connection.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello\n").unwrap();
            peer.ip().to_string()
        });
        assert_eq!(fetch(&containers, "web", "http://192.0.2.2:7000/"), "hello");
        assert_eq!(peer.join().unwrap(), "192.0.2.1");
    });
    containers.dhow(&["rm", "-f", "web", "other"]).ok();
    assert!(neighbour.with(|| silent("192.0.2.1:8080")));
    nothing_is_left(&containers);
}

#[test]
fn datagrams_too() {
    let containers = Containers::new();
    let neighbour = Neighbour::new();
    let client = neighbour.with(|| UdpSocket::bind("192.0.2.2:0").unwrap());
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    // The second one gets the same flow, of the same client's port, as soon as the port is its own.
    for name in ["first", "second"] {
        let words = ["run", "-d", "--name", name, "--network", "bridge", "-p", "5353:53/udp", "box", "sleep", "1000"];
        containers.dhow(&words).ok();
        let inside = Neighbour::of_process(&containers.shown(name, "{{.State.Pid}}"));
        let server = inside.with(|| UdpSocket::bind("0.0.0.0:53").unwrap());
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            let (_, peer) = server.recv_from(&mut buffer).unwrap();
            server.send_to(format!("{name} {}", peer.ip()).as_bytes(), peer).unwrap();
        });
        let mut buffer = [0; 64];
        let mut answer = None;
        for _ in 0..150 {
            client.send_to(b"?", "192.0.2.1:5353").unwrap();
            if let Ok(length) = client.recv(&mut buffer) {
                answer = Some(String::from_utf8_lossy(&buffer[..length]).into_owned());
                break;
            }
        }
        assert_eq!(answer.as_deref(), Some(format!("{name} 192.0.2.2").as_str()));
        answering.join().unwrap();
        containers.dhow(&["rm", "-f", name]).ok();
    }
    nothing_is_left(&containers);
}

#[test]
fn what_port_and_ps_and_inspect_say() {
    let containers = Containers::new();
    let flags = ["-p", "8080:80", "-p", "127.0.0.1:9000-9009:90", "-p", "70", "--expose", "7/udp"];
    let words =
        [&["run", "-d", "--name", "web", "--network", "bridge"][..], &flags, &["box", "sleep", "1000"]].concat();
    containers.dhow(&words).ok();
    let lines = containers.dhow(&["port", "web"]).lines();
    let random = lines.iter().find_map(|line| line.strip_prefix("70/tcp -> 0.0.0.0:")).unwrap().to_owned();
    assert!((32768..=60999).contains(&random.parse::<u16>().unwrap()), "{random}");
    let random_line = format!("70/tcp -> 0.0.0.0:{random}");
    assert_eq!(lines, [random_line.as_str(), "80/tcp -> 0.0.0.0:8080", "90/tcp -> 127.0.0.1:9000"]);
    assert_eq!(containers.dhow(&["port", "web", "80"]).text(), "0.0.0.0:8080");
    containers.dhow(&["port", "web", "81/udp"]).fails(&["no public port '81/udp' published for web"]);
    let shown = containers.dhow(&["ps", "--format", "{{.Ports}} on {{.Networks}}"]).text();
    let expected = format!("7/udp, 0.0.0.0:{random}->70/tcp, 0.0.0.0:8080->80/tcp, 127.0.0.1:9000->90/tcp on bridge");
    assert_eq!(shown, expected);
    for (filter, found) in [
        ("publish=8080", true),
        ("publish=80", false),
        ("expose=80", true),
        ("expose=7/udp", true),
        ("network=bridge", true),
        ("network=none", false),
    ] {
        assert_eq!(containers.dhow(&["ps", "-q", "--filter", filter]).lines().len(), usize::from(found), "{filter}");
    }
    let web = containers.container("web");
    let settings = &web["NetworkSettings"];
    assert_eq!(settings["Ports"]["80/tcp"][0]["HostPort"], "8080");
    assert!(settings["Ports"]["7/udp"].is_null());
    assert_eq!(web["HostConfig"]["PortBindings"]["90/tcp"][0]["HostPort"], "9000-9009");
    assert_eq!(web["HostConfig"]["NetworkMode"], "bridge");
    let bridge = &settings["Networks"]["bridge"];
    assert_eq!(bridge["IPAddress"], settings["IPAddress"]);
    let inside = containers.dhow(&["exec", "web", "busybox", "ip", "-o", "addr", "show", "eth0"]).stdout;
    assert!(inside.contains(bridge["IPAddress"].as_str().unwrap()), "{inside}");
    let link = containers.dhow(&["exec", "web", "busybox", "ip", "-o", "link", "show", "eth0"]).stdout;
    assert!(link.contains(bridge["MacAddress"].as_str().unwrap()), "{link}");
    // -P, and what has ended shows nothing.
    containers
        .dhow(&["run", "-d", "--name", "all", "--network", "bridge", "-P", "--expose", "1-3", "box", "sleep", "1000"])
        .ok();
    assert_eq!(containers.dhow(&["port", "all"]).lines().len(), 3);
    containers.dhow(&["stop", "-t", "0", "all"]).ok();
    assert_eq!(containers.dhow(&["port", "all"]).text(), "");
    assert_eq!(containers.shown("all", "{{.NetworkSettings.Networks.bridge.IPAddress}}"), "");
}

#[test]
fn conflicts_are_found_before_the_start() {
    let containers = Containers::new();
    let start = |name: &str, port: &str| {
        containers.dhow(&["run", "-d", "--name", name, "--network", "bridge", "-p", port, "box", "sleep", "1000"])
    };
    start("one", "8080:80").ok();
    let taken = "driver failed programming external connectivity";
    start("two", "8080:80").fails_with(125, &[taken, "bind for 0.0.0.0:8080 failed: port is already allocated"]);
    start("three", "127.0.0.1:8080:80").fails_with(125, &["port is already allocated"]);
    let listener = TcpListener::bind("127.0.0.1:8081").unwrap();
    start("four", "8081:80").fails_with(125, &[taken, "failed to bind host port", "address already in use"]);
    drop(listener);
    containers.dhow(&["start", "four"]).ok();
    // No program of the host gets what a container has.
    assert!(TcpListener::bind("127.0.0.1:8080").is_err() && TcpListener::bind("0.0.0.0:8081").is_err());
    containers.dhow(&["kill", "one"]).ok();
    containers.dhow(&["wait", "one"]).ok();
    containers.dhow(&["start", "two"]).ok();
    // Of a range, what is free.
    let range = |name: &str| start(name, "8080-8082:80").ok();
    range("five");
    assert_eq!(containers.dhow(&["port", "five"]).text(), "80/tcp -> 0.0.0.0:8082");
    start("six", "8080-8082:80").fails_with(125, &["bind for 0.0.0.0:8080-8082 failed: all ports are allocated"]);
    start("seven", "198.51.100.7:80:80")
        .fails_with(125, &["failed to bind host port 198.51.100.7:80/tcp: cannot assign requested address"]);
    containers.dhow(&["network", "connect", "host", "one"]).fails(&["connected to host network"]);
    containers.dhow(&["run", "--network", "nowhere", "box", "true"]).fails_with(125, &["network nowhere not found"]);
}

#[test]
fn several_networks_and_which_leads_out() {
    let containers = Containers::new();
    let neighbour = Neighbour::new();
    for (name, subnet) in [("back", "10.7.0.0/24"), ("front", "10.8.0.0/24"), ("inner", "10.9.0.0/24")] {
        let internal: &[&str] = if name == "inner" { &["--internal"] } else { &[] };
        containers.dhow(&[&["network", "create", "--subnet", subnet, "--ipv6=false"], internal, &[name]].concat()).ok();
    }
    let networks = ["--network", "name=front,gw-priority=1,ip=10.8.0.77", "--network", "back", "--network", "inner"];
    serve(&containers, "web", &[&networks[..], &["-p", "8080:80"]].concat());
    let route = || containers.dhow(&["exec", "web", "busybox", "ip", "route", "show", "default"]).text();
    assert!(route().starts_with("default via 10.8.0.1 dev eth1"), "{}", route());
    let addresses = containers.dhow(&["exec", "web", "busybox", "ip", "-o", "-4", "addr"]).stdout;
    for expected in ["eth0    inet 10.7.0.", "eth1    inet 10.8.0.77/24", "eth2    inet 10.9.0."] {
        assert!(addresses.contains(expected), "{addresses}");
    }
    assert_eq!(ask(neighbour.connect("192.0.2.1:8080").unwrap()), "I am web");
    let shown = containers.dhow(&["ps", "--format", "{{.Networks}}"]).text();
    assert_eq!(shown, "back,front,inner");
    // Taken off what leads out, the ports are reached over what does then, and the route goes there.
    containers.dhow(&["network", "disconnect", "front", "web"]).ok();
    assert!(route().starts_with("default via 10.7.0.1 dev eth0"), "{}", route());
    assert_eq!(ask(neighbour.connect("192.0.2.1:8080").unwrap()), "I am web");
    containers
        .dhow(&["network", "disconnect", "front", "web"])
        .fails(&["container web is not connected to network front"]);
    containers.dhow(&["network", "connect", "--gw-priority", "5", "front", "web"]).ok();
    assert!(route().starts_with("default via 10.8.0.1 dev eth1"), "{}", route());
    containers
        .dhow(&["network", "connect", "front", "web"])
        .fails(&["endpoint with name web already exists in network front"]);
    // Off all networks it keeps its ports, which lead nowhere; the next network has them.
    for network in ["front", "back", "inner"] {
        containers.dhow(&["network", "disconnect", network, "web"]).ok();
    }
    assert_eq!(containers.dhow(&["port", "web"]).text(), "");
    assert!(silent("127.0.0.1:8080") && TcpListener::bind("0.0.0.0:8080").is_err());
    let mine = ["run", "--rm", "-p", "8080:80", "box", "true"];
    containers.dhow(&mine).fails_with(125, &["port is already allocated"]);
    for network in ["back", "front"] {
        containers.dhow(&["network", "connect", network, "web"]).ok();
        assert_eq!(get("127.0.0.1:8080").unwrap(), "I am web");
    }
    containers.dhow(&["network", "disconnect", "front", "web"]).ok();
    containers.dhow(&["network", "connect", "--gw-priority", "5", "front", "web"]).ok();
    // It survives a restart.
    containers.dhow(&["restart", "-t", "0", "web"]).ok();
    assert!(route().starts_with("default via 10.8.0.1 dev eth1"), "{}", route());
    eventually("it serves again", || {
        TcpStream::connect("127.0.0.1:8080").is_ok_and(|stream| ask(stream) == "I am web")
    });
    // Started without any network it is on its first one again.
    containers.dhow(&["stop", "-t", "0", "web"]).ok();
    containers.dhow(&["network", "disconnect", "front", "web"]).ok();
    containers.dhow(&["network", "disconnect", "back", "web"]).ok();
    containers.dhow(&["start", "web"]).ok();
    assert_eq!(containers.dhow(&["ps", "--format", "{{.Networks}}"]).text(), "front");
    containers.dhow(&["network", "connect", "back", "web"]).ok();
    let told = containers.dhow(&["create", "--network", "inner", "-p", "81:80", "--name", "shut", "box"]).ok();
    assert!(told.stderr.contains("network inner has no way in"), "{}", told.stderr);
    // Networks are kept apart.
    containers.dhow(&["run", "-d", "--name", "stranger", "--network", "bridge", "box", "sleep", "1000"]).ok();
    let address = containers.shown("web", "{{.NetworkSettings.Networks.back.IPAddress}}");
    let url = format!("http://{address}/");
    let reached =
        containers.dhow(&["exec", "stranger", "busybox", "timeout", "2", "busybox", "wget", "-q", "-O", "-", &url]);
    assert_ne!(reached.code, Some(0), "{}", reached.stdout);
    containers.dhow(&["run", "--network", "front", "--ip", "10.8.1.1", "box", "true"]).fails_with(125, &["10.8.1.1"]);
    containers.dhow(&["run", "--network", "none", "-d", "--name", "alone", "box", "sleep", "9"]).ok();
    containers.dhow(&["network", "connect", "front", "alone"]).fails(&["private (none) mode"]);
    containers.dhow(&["network", "rm", "front"]).fails(&["front"]);
    containers.dhow(&["rm", "-f", "web", "stranger", "alone", "shut"]).ok();
    nothing_is_left(&containers);
    containers.dhow(&["network", "rm", "front", "back", "inner"]).ok();
}

#[test]
fn with_ipv6() {
    let containers = Containers::new();
    let neighbour = Neighbour::new();
    containers.dhow(&["network", "create", "--subnet", "fd00:7::/64", "six"]).ok();
    serve(&containers, "web", &["--network", "six", "--ip6", "fd00:7::99", "-p", "8080:80"]);
    assert_eq!(ask(neighbour.connect("[2001:db8::1]:8080").unwrap()), "I am web");
    let who = request(neighbour.connect("[2001:db8::1]:8080").unwrap(), "/cgi-bin/who");
    assert_eq!(who, "you are 2001:db8::2");
    assert_eq!(ask(neighbour.connect("192.0.2.1:8080").unwrap()), "I am web");
    let lines = containers.dhow(&["port", "web"]).lines();
    assert_eq!(lines, ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]);
    // ::1 cannot be translated: whoever tries it hears so at once, and takes 127.0.0.1.
    assert_eq!(get("[::1]:8080").unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(get("127.0.0.1:8080").unwrap(), "I am web");
    assert!(TcpListener::bind("[::]:8080").is_err(), "it is held all the same");
    let one = ["create", "--network", "six", "-p", "[::1]:8081:80", "box"];
    containers.dhow(&one).fails(&["cannot publish port 80/tcp on [::1]", "127.0.0.1"]);
    // Off that network, a port that the next one has no address for stays its own.
    containers.dhow(&["network", "create", "--ipv6=false", "four"]).ok();
    containers.dhow(&["network", "disconnect", "six", "web"]).ok();
    containers.dhow(&["network", "connect", "four", "web"]).ok();
    assert_eq!(containers.dhow(&["port", "web"]).lines(), ["80/tcp -> 0.0.0.0:8080"]);
    let same = ["run", "-d", "--network", "six", "-p", "[2001:db8::1]:8080:80", "box"];
    containers.dhow(&same).fails_with(125, &["port is already allocated"]);
    // One that wants no IPv6 of its own gets none.
    let without = ["--network", "six", "--sysctl", "net.ipv6.conf.all.disable_ipv6=1"];
    let shown = containers.dhow(&[&["run", "--rm"], &without[..], &["box", "ip", "addr"]].concat()).text();
    assert!(shown.contains("eth0") && !shown.contains("inet6"), "{shown}");
}

#[test]
fn a_container_that_is_started_again_has_its_ports() {
    let containers = Containers::new();
    let script = format!("{} & sleep 1; kill -9 $!; exit 1", server("again").replace("exec ", ""));
    let words = [
        "run",
        "-d",
        "--name",
        "again",
        "--restart",
        "always",
        "--network",
        "bridge",
        "-p",
        "8080:80",
        "box",
        "sh",
        "-c",
    ];
    containers.dhow(&[&words[..], &[&script]].concat()).ok();
    eventually("it was started again", || containers.shown("again", "{{.RestartCount}}").parse::<u32>().unwrap() >= 2);
    eventually("it answers", || {
        TcpStream::connect("127.0.0.1:8080").is_ok_and(|stream| ask_quietly(stream) == "I am again")
    });
    containers.dhow(&["rm", "-f", "again"]).ok();
    nothing_is_left(&containers);
}

/// Of one that may end at any moment.
fn ask_quietly(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
    answer.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn nothing_leaks() {
    let containers = Containers::new();
    containers.dhow(&["network", "create", "loop"]).ok();
    containers.dhow(&["run", "-d", "--name", "long", "--network", "bridge", "box", "sleep", "1000"]).ok();
    for _ in 0..15 {
        // The same port each time: what is left of the last one is never in the way.
        containers.dhow(&["run", "--rm", "--network", "loop", "-p", "8080:80", "box", "true"]).ok();
        containers.dhow(&["network", "connect", "loop", "long"]).ok();
        containers.dhow(&["network", "disconnect", "loop", "long"]).ok();
    }
    let links = containers.dhow(&["exec", "long", "busybox", "ip", "-o", "link"]).lines();
    assert_eq!(links.len(), 2, "{links:?}");
    containers.dhow(&["rm", "-f", "long"]).ok();
    nothing_is_left(&containers);
    containers.dhow(&["network", "rm", "loop"]).ok();
    // Those without ports leave their addresses to who comes behind them, but never very many.
    for _ in 0..70 {
        containers.dhow(&["run", "--rm", "box", "true"]).ok();
    }
    let ledger = containers.root().join("ledger.db");
    let leased = || run(Command::new("sqlite3").arg(&ledger).arg("SELECT count(*) FROM addresses")).text();
    eventually("most are let go", || leased().parse::<u32>().unwrap() < 50);
    // A thousand at once, and free again when it has ended.
    let many = ["run", "--rm", "--network", "bridge", "-p", "20000-20999:1000-1999", "box", "true"];
    containers.dhow(&many).ok();
    containers.dhow(&many).ok();
    nothing_is_left(&containers);
}

/// Supervisor and keeper at once: whoever looks next has the container watched again, and its ports held.
#[test]
fn ports_are_held_again_after_everybody_was_killed() {
    let containers = Containers::new();
    serve(&containers, "web", &["-p", "8080:80"]);
    assert!(containers.kill_watchers(&["supervise", "keep"]) >= 2);
    assert_eq!(get("127.0.0.1:8080").unwrap(), "I am web");
    containers.dhow(&["exec", "web", "true"]).ok();
    eventually("the port is held", || TcpListener::bind("0.0.0.0:8080").is_err());
    assert_eq!(get("127.0.0.1:8080").unwrap(), "I am web");
    containers.dhow(&["rm", "-f", "web"]).ok();
    nothing_is_left(&containers);
}

/// Whoever is killed with it: the ports are free, and what was left goes with the next one.
#[test]
fn killed_with_all_its_helpers() {
    let containers = Containers::new();
    serve(&containers, "web", &["--network", "bridge", "-p", "8080:80"]);
    let pid = containers.shown("web", "{{.State.Pid}}");
    let parent = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let supervisor = parent.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().to_owned();
    // The container goes on answering without it; another one takes its place and its sockets.
    run(Command::new("kill").args(["-9", &supervisor])).ok();
    assert_eq!(get("127.0.0.1:8080").unwrap(), "I am web");
    assert!(TcpListener::bind("127.0.0.1:8080").is_err());
    run(Command::new("kill").args(["-9", &pid])).ok();
    containers.dhow(&["wait", "web"]).ok();
    serve(&containers, "next", &["--network", "bridge", "-p", "8080:80"]);
    assert_eq!(get("127.0.0.1:8080").unwrap(), "I am next");
    containers.dhow(&["rm", "-f", "web", "next"]).ok();
    nothing_is_left(&containers);
}
