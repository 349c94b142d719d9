//! The process: answers, changes, garbage, death.

use super::asking::{address, ask, ask_stream, connect, query, receive, udp};
use super::process::{Directory, Process, apart, endpoint, join, launch, sockets, ticks, write};
use dhow_network::firewall::{Firewall, inside};
use dhow_network::resolver::control::{
    Begin, Control, ControlError, Heir, Join, NOBODY_ELSE, Record, Request, Sockets,
};
use dhow_sys::clone::Namespaces;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

/// A resolver with one network and one container in it, whose namespace `test` runs in.
fn with_shop(test: impl FnOnce(&Process, &Directory, SocketAddr) + Send) {
    let directory = Directory::new();
    write(
        &directory,
        "shop",
        vec![endpoint("c1", &["web"], &["172.18.0.2", "fd00::2"]), endpoint("c2", &["db"], &["172.18.0.3"])],
    );
    let process = Process::start();
    process.network("n1", &directory);
    apart(|| {
        let (sockets, at) = sockets(&[]);
        process.control.join(join("c1", &["n1"], &[]), &sockets).unwrap();
        drop(sockets);
        test(&process, &directory, at);
    });
}

#[test]
fn over_udp_and_tcp() {
    with_shop(|_, _, at| {
        let answer = ask(at, &query(77, "Db.sHop", 1, None));
        assert_eq!((answer.id, answer.code, &answer.name[..]), (77, 0, &b"\x02Db\x04sHop\x00"[..]));
        assert_eq!(answer.addresses, ["172.18.0.3".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(ask(at, &query(78, "db", 28, None)).code, 0);
        assert_eq!(ask(at, &query(79, "elsewhere.example", 1, None)).code, 2, "there is nobody to ask");
        let queries: Vec<_> = (0..40).map(|n| query(n, if n % 2 == 0 { "web" } else { "db" }, 1, Some(1232))).collect();
        let answers = ask_stream(at, &queries);
        assert!(
            answers.iter().enumerate().all(|(n, a)| usize::from(a.id) == n && a.addresses.len() == 1),
            "{answers:?}"
        );
    });
}

#[test]
fn what_does_not_fit_is_had_over_tcp() {
    with_shop(|_, directory, at| {
        let many = |n: usize| endpoint(&format!("c{n}"), &["many"], &[&format!("10.0.{}.{}", n / 250, n % 250 + 1)]);
        write(directory, "shop", (0..300).map(many).collect());
        let sizes = [(None, 512), (Some(400), 512), (Some(1232), 1232), (Some(4096), 4096), (Some(65_535), 4096)];
        for (edns, limit) in sizes {
            let answer = ask(at, &query(1, "many", 1, edns));
            assert!(answer.truncated && answer.size <= limit && answer.size > limit - 30, "{edns:?}: {}", answer.size);
        }
        let answers = ask_stream(at, &[query(1, "many", 1, None)]);
        assert!(!answers[0].truncated);
        assert_eq!(answers[0].addresses.len(), 300);
    });
}

#[test]
fn a_change_is_seen_by_the_next_question() {
    with_shop(|process, directory, at| {
        let client = udp();
        for n in 1..=200 {
            let now = format!("10.1.0.{n}");
            write(directory, "shop", vec![endpoint("c1", &["web"], &[&now])]);
            client.send_to(&query(n, "web", 1, None), at).unwrap();
            assert_eq!(receive(&client, at).addresses, [now.parse::<std::net::IpAddr>().unwrap()]);
        }
        // What is no document changes nothing, and is told.
        std::fs::write(directory.0.join("bad"), "{").unwrap();
        std::fs::rename(directory.0.join("bad"), directory.0.join("zone.json")).unwrap();
        assert_eq!(address(at, "web").len(), 1);
        let status = process.control.status().unwrap();
        assert!(status.troubles[0].1.starts_with("the zone document cannot be read"), "{status:?}");
        write(directory, "shop", vec![]);
        assert_eq!(ask(at, &query(1, "web", 1, None)).code, 2);
        assert_eq!(process.control.status().unwrap().troubles, []);
    });
}

/// `getent` and `nslookup` as they are on the machine, in a mount namespace with a resolv.conf of ours.
#[test]
fn real_clients() {
    let directory = Directory::new();
    let addresses = ["172.18.0.2", "fd00::2"];
    write(&directory, "shop", vec![endpoint("c1", &["web"], &addresses), endpoint("c2", &["db"], &["172.18.0.3"])]);
    let process = Process::start();
    process.network("n1", &directory);
    let conf = directory.0.join("resolv.conf");
    std::fs::write(&conf, "nameserver 127.0.0.11\nsearch shop\noptions ndots:0\n").unwrap();
    apart(|| {
        dhow_sys::namespace::unshare(Namespaces::MOUNT).unwrap();
        let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        rustix::mount::mount_bind(&conf, std::fs::canonicalize("/etc/resolv.conf").unwrap()).unwrap();
        let listeners =
            vec![UdpSocket::bind("127.0.0.11:53").unwrap().into(), TcpListener::bind("127.0.0.11:53").unwrap().into()];
        process.control.join(join("c1", &["n1"], &[]), &Sockets { listeners, ..Sockets::default() }).unwrap();
        let say = |words: &[&str]| {
            let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(say(&["getent", "hosts", "web"]).starts_with("fd00::2"));
        assert!(say(&["getent", "hosts", "db"]).starts_with("172.18.0.3"));
        assert!(say(&["getent", "hosts", "db.shop"]).starts_with("172.18.0.3"));
        assert!(say(&["getent", "hosts", "172.18.0.3"]).contains("db.shop"));
        assert_eq!(say(&["getent", "hosts", "nobody"]), "");
        let output = Command::new("busybox").args(["nslookup", "web", "127.0.0.11"]).output();
        match output {
            Ok(output) => {
                let text = String::from_utf8(output.stdout).unwrap();
                assert!(text.contains("172.18.0.2") && text.contains("fd00::2"), "{text}");
            }
            Err(_) => eprintln!("SKIPPED: no busybox"),
        }
        if Command::new("dig").arg("-v").output().is_ok() {
            assert_eq!(say(&["dig", "+short", "+tcp", "db.shop", "A"]).trim(), "172.18.0.3");
        }
    });
}

#[test]
fn nothing_is_left_of_its_power() {
    with_shop(|process, _, _| {
        let proc = format!("/proc/{}", process.child.id());
        let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let nobody = [NOBODY_ELSE.to_string().as_str(); 4].join(" ");
        assert_eq!((field("Uid"), field("Gid"), field("Groups")), (nobody.clone(), nobody, String::new()));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!((field("NoNewPrivs"), field("Seccomp"), field("Threads")), ("1".into(), "2".into(), "1".into()));
        assert_eq!(std::fs::read_dir(format!("{proc}/root")).unwrap().count(), 0, "its root directory is empty");
        let limits = std::fs::read_to_string(format!("{proc}/limits")).unwrap();
        assert!(limits.lines().any(|line| line.starts_with("Max processes             0 ")), "{limits}");
    });
}

#[test]
fn garbage_does_no_harm_and_leaves_nothing() {
    with_shop(|process, _, at| {
        let client = udp();
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let mut round = |count: usize| {
            for n in 0..count {
                let mut bytes: Vec<u8> = query(3, "web.shop", 1, Some(1232));
                for _ in 0..random() % 4 {
                    let at = random() % bytes.len();
                    bytes[at] = random() as u8;
                }
                bytes.truncate(bytes.len() - random() % 5);
                bytes.resize(bytes.len() + if n % 50 == 0 { random() % 9000 } else { 0 }, 0xc0);
                client.send_to(&bytes, at).unwrap();
                if n % 20 == 0 {
                    let mut stream = connect(at);
                    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                    let _ = stream.write_all(&(random() as u16).to_be_bytes());
                    let _ = stream.write_all(&bytes);
                    let _ = stream.read(&mut [0; 100]);
                }
                // One that is sound now and then, so that the queue never runs over.
                if n % 64 == 0 {
                    assert_eq!(ask(at, &query(5, "web", 1, None)).addresses.len(), 1);
                }
            }
        };
        round(1000);
        let before = process.memory();
        round(5000);
        let after = process.memory();
        assert!(after <= before + 256, "from {before} to {after} KiB");
        let fds = std::fs::read_dir(format!("/proc/{}/fd", process.child.id())).unwrap().count();
        assert!(fds < 40, "{fds}");
    });
}

#[test]
fn idle_connections_give_way_and_slow_readers_hold_nobody() {
    with_shop(|_, directory, at| {
        let many = |n: usize| endpoint(&format!("c{n}"), &["many"], &[&format!("10.0.{}.{}", n / 250, n % 250 + 1)]);
        write(directory, "shop", (0..1000).map(many).collect());
        // One asks for very much and reads nothing of it.
        let mut greedy = connect(at);
        greedy.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let one = query(1, "many", 1, None);
        let framed = [&(one.len() as u16).to_be_bytes()[..], &one].concat();
        while greedy.write_all(&framed.repeat(50)).is_ok() {}
        let idle: Vec<TcpStream> = (0..40).map(|_| connect(at)).collect();
        assert_eq!(ask_stream(at, &[query(1, "many", 1, None)])[0].addresses.len(), 1000);
        assert_eq!(ask(at, &query(1, "many", 1, None)).code, 0);
        // The connections that were there first were closed for it.
        let mut first = &idle[0];
        assert_eq!(first.read(&mut [0; 1]).unwrap(), 0);
        // Who begins to read again gets all of it, in whole messages.
        greedy.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for _ in 0..20 {
            let answer = super::asking::read_stream(&mut greedy);
            assert_eq!(answer.addresses.len(), 1000);
        }
    });
}

#[test]
fn killed_and_handed_to_another() {
    let directory = Directory::new();
    write(&directory, "shop", vec![endpoint("c1", &["web"], &["172.18.0.2"])]);
    let process = Process::start();
    let path = directory.0.join("resolver.sock");
    let listener =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    process.control.ask(&Request::Listen, &[listener.as_fd()]).unwrap();
    drop(listener);
    let command = Control::connect(&path).unwrap().expect("it listens");
    let keeper = Control::connect(&path).unwrap().expect("it listens");
    let mut record = Record::follow(&keeper).unwrap();
    // From a command, after the keeper came.
    let fd = directory.open();
    for network in ["n1", "n2"] {
        command.ask(&Request::Network { network: network.into() }, &[fd.as_fd()]).unwrap();
    }
    command.ask(&Request::Forget { network: "n2".into() }, &[]).unwrap();
    apart(|| {
        let (mut sockets, at) = sockets(&[]);
        command.join(join("c1", &["n1"], &[]), &sockets).unwrap();
        command.join(join("c2", &["n1"], &[]), &Sockets::default()).unwrap();
        command.ask(&Request::Leave { id: "c2".into() }, &[]).unwrap();
        sockets.listeners.clear();
        assert_eq!(address(at, "web").len(), 1);
        let status = command.status().unwrap();
        assert_eq!((status.clients, status.networks), (vec!["c1".to_owned()], vec!["n1".to_owned()]));
        drop(process);
        while record.receive(&keeper).unwrap_or(false) {}
        assert!(record.is_whole());
        assert!(matches!(command.status(), Err(ControlError::Gone { .. })));
        // Nobody is there, and nobody is lost: the question waits in the socket.
        let client = udp();
        client.send_to(&query(5, "web", 1, None), at).unwrap();
        let heir = Process::start();
        record.hand_to(&heir.control).unwrap();
        assert_eq!(receive(&client, at).addresses.len(), 1);
        let command = Control::connect(&path).unwrap().expect("the same socket");
        assert_eq!(command.status().unwrap().clients, ["c1"]);
        // Handed in again what is there: served as before.
        record.hand_to(&heir.control).unwrap();
        assert_eq!(address(at, "web").len(), 1);
        write(&directory, "shop", vec![endpoint("c1", &["web"], &["172.18.0.9", "172.18.0.8"])]);
        let found = address(at, "web");
        assert_eq!(found.len(), 2, "{:?} {found:?} {:?}", heir.control.status().unwrap(), address(at, "web"));
    });
}

/// Until it is so, or for 30 s.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_container_whose_process_ends_is_let_go() {
    let process = Process::start();
    let mut first = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut second = Command::new("sleep").arg("1000").spawn().unwrap();
    let pidfd = |child: &std::process::Child| {
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
    };
    let mut here = apart(|| sockets(&[]).0);
    here.process = Some(pidfd(&first));
    process.control.join(join("c1", &[], &[]), &here).unwrap();
    process
        .control
        .join(join("c2", &[], &[]), &Sockets { process: Some(pidfd(&second)), ..Sockets::default() })
        .unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    wait_until("c1 is let go", || process.control.status().unwrap().clients == ["c2"]);
    // Handed in again with another process: the end of the one before is nobody's.
    let third = Command::new("sleep").arg("1000").spawn().unwrap();
    process
        .control
        .join(join("c2", &[], &[]), &Sockets { process: Some(pidfd(&third)), ..Sockets::default() })
        .unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(process.control.status().unwrap().clients, ["c2"]);
    let mut third = third;
    third.kill().unwrap();
    third.wait().unwrap();
    wait_until("c2 is let go", || process.control.status().unwrap().clients.is_empty());
}

#[test]
fn port_53_inside_leads_to_it() {
    with_shop(|process, _, _| {
        let (sockets, at) = sockets(&[]);
        process.control.join(join("c1", &["n1"], &[]), &sockets).unwrap();
        Firewall::open(inside::TABLE).unwrap().replace(&inside::rules(at.port())).unwrap();
        let dns: SocketAddr = "127.0.0.11:53".parse().unwrap();
        assert_eq!(ask(dns, &query(1, "web", 1, None)).addresses.len(), 1);
        assert_eq!(ask_stream(dns, &[query(1, "web", 1, None)])[0].addresses.len(), 1);
        // The port itself is free, for whoever is a name server inside.
        drop(TcpListener::bind("0.0.0.0:53").unwrap());
        drop(UdpSocket::bind("127.0.0.1:53").unwrap());
        // Handed in anew, at another port.
        let (sockets, at) = super::process::sockets(&[]);
        Firewall::open(inside::TABLE).unwrap().replace(&inside::rules(at.port())).unwrap();
        process.control.join(join("c1", &["n1"], &[]), &sockets).unwrap();
        assert_eq!(ask(dns, &query(2, "db", 1, None)).addresses.len(), 1);
        // Handed in anew with the sockets that it has.
        let keeps = || Join { keeps: true, ..join("c1", &[], &[]) };
        process.control.join(keeps(), &Sockets::default()).unwrap();
        assert_eq!(ask(dns, &query(3, "db", 1, None)).code, 2, "it is on no network any more");
        let status = process.control.status().unwrap();
        assert_eq!((status.clients, status.ports), (vec!["c1".to_owned()], vec![at.port()]));
        let mut firewall = Firewall::open(inside::TABLE).unwrap();
        assert_eq!(firewall.compare(&inside::rules(at.port())).unwrap(), []);
        assert_eq!(firewall.compare(&inside::rules(at.port() ^ 1)).unwrap().len(), 2);
        let other = Join { id: "c9".into(), ..keeps() };
        assert!(process.control.join(other, &Sockets::default()).is_err());
    });
}

/// What a keeper does: it waits for nobody.
#[test]
fn an_heir_is_made_step_by_step() {
    let directory = Directory::new();
    write(&directory, "shop", vec![endpoint("c1", &["web"], &["172.18.0.2"])]);
    let process = Process::start();
    process.network("n1", &directory);
    let path = directory.0.join("resolver.sock");
    let listener =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    process.control.ask(&Request::Listen, &[listener.as_fd()]).unwrap();
    let keeper = Control::connect_at_once(&path).unwrap().unwrap();
    let mut record = Record::begin_to_follow(&keeper).unwrap();
    apart(|| {
        let (sockets, at) = sockets(&[]);
        process.control.join(join("c1", &["n1"], &[]), &sockets).unwrap();
        drop(sockets);
        let hear = |record: &mut Record| {
            loop {
                match record.receive(&keeper) {
                    Ok(true) => {}
                    Ok(false) => return false,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return false,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        wait_until("all is told", || hear(&mut record) && record.is_whole() && record.has_clients());
        drop(process);
        wait_until("it is gone", || !hear(&mut record));
        let (control, mut child) =
            Control::launch(&mut Command::new(env!("CARGO_BIN_EXE_dhow-resolver-program"))).unwrap();
        let mut heir = Heir::begin(&control, record, Begin::of("abc1")).unwrap();
        while !heir.go_on(&control).unwrap() {}
        assert_eq!(address(at, "web").len(), 1);
        let command = Control::connect(&path).unwrap().expect("it listens");
        assert_eq!(command.status().unwrap().clients, ["c1"]);
        // Who only follows keeps it from nothing.
        let follower = Control::connect_at_once(&path).unwrap().unwrap();
        let _record = Record::begin_to_follow(&follower).unwrap();
        command.ask(&Request::Leave { id: "c1".into() }, &[]).unwrap();
        drop((command, control));
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn it_ends_when_nothing_is_left() {
    let (control, mut child) = launch(Some(200));
    let sockets = apart(|| sockets(&[]).0);
    control.join(join("c1", &["n1"], &[]), &sockets).unwrap();
    control.ask(&Request::Leave { id: "c1".into() }, &[]).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert!(child.try_wait().unwrap().is_none(), "somebody is connected with it");
    control.join(join("c1", &["n1"], &[]), &sockets).unwrap();
    drop(control);
    let busy = ticks(&child);
    std::thread::sleep(Duration::from_millis(600));
    assert!(child.try_wait().unwrap().is_none(), "it has a container");
    assert!(ticks(&child) <= busy + 5, "it does nothing while nothing happens");
    child.kill().unwrap();
    child.wait().unwrap();
    let (control, mut child) = launch(Some(200));
    drop(control);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let process = Process::start();
    let why = |request: &Request| match process.control.ask(request, &[]).unwrap_err() {
        ControlError::Refused { why, .. } => why,
        other => panic!("{other}"),
    };
    assert_eq!(why(&Request::Listen), "one descriptor is needed, and 0 came");
    assert_eq!(why(&Request::Network { network: "n".into() }), "one descriptor is needed, and 0 came");
    let mut counts = join("c", &[], &[]);
    counts.listeners = 3;
    assert_eq!(why(&Request::Join(counts)), "0 descriptors came, and not as many as it says");
    let directory = Directory::new();
    let network = Request::Network { network: "n".into() };
    let refused = process.control.ask(&network, &[directory.open().as_fd()]).unwrap_err();
    assert!(refused.to_string().contains("zone.json: No such file"), "{refused}");
    let null = std::fs::File::open("/dev/null").unwrap();
    let sockets = Sockets { host: vec![null.into()], ..Sockets::default() };
    assert!(process.control.join(join("c", &[], &[]), &sockets).is_err());
    assert_eq!(process.control.status().unwrap().networks, [""; 0]);
    process.control.ask(&Request::Stop, &[]).unwrap();
    let mut process = process;
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}
