//! Names that are not ours: upstream servers that answer, lie, fail, are silent.

use super::asking::{Answer, ask, ask_stream, query, receive, udp};
use super::process::{Directory, Process, apart, endpoint, join, sockets, upstream, write};
use dhow_network::resolver::control::{PerFamily, Sockets};
use dhow_network::resolver::message::{CLASS_IN, Data, Message, Record, Section, Writer};
use dhow_network::resolver::resolv_conf::{Place, Upstream};
use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An answer to this query with these addresses.
fn answer(query: &[u8], flags: u16, addresses: &[Ipv4Addr]) -> Vec<u8> {
    let asked = Message::read(query).unwrap();
    let question = asked.question.unwrap();
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, asked.id, 0x8180 | flags, 65_535);
    writer.question(&question);
    for &address in addresses {
        let data = Data::A(address);
        assert!(writer.record(Section::Answer, &Record { name: question.name, class: CLASS_IN, ttl: 9, data }));
    }
    bytes
}

type Seen = Arc<Mutex<Vec<(SocketAddr, Vec<u8>)>>>;

/// A server in the namespace of this thread that does this with each query. It lives as long as the test program.
fn serve(at: &str, act: impl Fn(&UdpSocket, SocketAddr, &[u8]) + Send + 'static) -> (SocketAddr, Seen) {
    let socket = UdpSocket::bind(at).unwrap();
    let (address, seen) = (socket.local_addr().unwrap(), Seen::default());
    let all = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok((count, from)) = socket.recv_from(&mut bytes) {
            all.lock().unwrap().push((from, bytes[..count].to_vec()));
            act(&socket, from, &bytes[..count]);
        }
    });
    (address, seen)
}

fn honest(socket: &UdpSocket, from: SocketAddr, query: &[u8]) {
    socket.send_to(&answer(query, 0, &[GOOD]), from).unwrap();
}

const GOOD: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);
const BAD: Ipv4Addr = Ipv4Addr::new(6, 6, 6, 6);

/// Runs a test in a container's namespace, with the servers that `servers` starts there.
fn with_servers(servers: impl FnOnce() -> Vec<SocketAddr> + Send, test: impl FnOnce(&Process, SocketAddr) + Send) {
    let directory = Directory::new();
    write(&directory, "shop", vec![endpoint("c1", &["web"], &["172.18.0.2"])]);
    let process = Process::start();
    process.network("n1", &directory);
    apart(|| {
        let upstreams: Vec<Upstream> = servers().into_iter().map(|at| upstream(at, Place::Container)).collect();
        let (sockets, at) = sockets(&upstreams);
        process.control.join(join("c1", &["n1"], &upstreams), &sockets).unwrap();
        drop(sockets);
        test(&process, at);
    });
}

fn good(answer: &Answer) -> bool {
    answer.code == 0 && answer.addresses == [IpAddr::from(GOOD)]
}

#[test]
fn each_question_goes_out_by_another_port_with_another_id() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let keep = Arc::clone(&seen);
    with_servers(
        move || {
            let (address, all) = serve("127.0.0.1:0", honest);
            *keep.lock().unwrap() = all;
            vec![address]
        },
        move |process, at| {
            let client = udp();
            for n in 0..200 {
                client.send_to(&query(n, "www.eXample.com", 1, Some(4096)), at).unwrap();
                let answer = receive(&client, at);
                assert!(good(&answer) && answer.id == n, "{answer:?}");
                assert_eq!(answer.name, b"\x03www\x07eXample\x03com\x00");
            }
            assert!(good(&ask(at, &query(1, "single", 1, None))), "as docker does");
            let seen = seen.lock().unwrap().lock().unwrap().clone();
            assert_eq!(seen.len(), 201);
            let ports: HashSet<u16> = seen.iter().map(|(from, _)| from.port()).collect();
            let ids: HashSet<u16> = seen.iter().map(|(_, query)| Message::read(query).unwrap().id).collect();
            assert!(ports.len() > 180, "{} ports", ports.len());
            assert!(ids.len() > 190, "{} ids", ids.len());
            let sizes: HashSet<usize> = seen.iter().map(|(_, query)| query.len()).collect();
            assert_eq!(sizes, HashSet::from([12 + 17 + 4 + 11, 12 + 8 + 4]), "EDNS for who has it");
            let status = process.control.status().unwrap();
            assert_eq!((status.queries, status.forwarded, status.unanswered), (201, 201, 0));
        },
    );
}

#[test]
fn forged_answers_are_ignored() {
    let forge = |socket: &UdpSocket, from: SocketAddr, query: &[u8]| {
        let bad = answer(query, 0, &[BAD]);
        let mut other_id = bad.clone();
        other_id[1] ^= 1;
        let mut other_name = bad.clone();
        other_name[14] = b'q';
        let mut other_case = bad.clone();
        other_case[14] ^= 0x20;
        let mut other_type = bad.clone();
        other_type[12 + 17 + 1] = 28;
        let mut no_answer = bad.clone();
        no_answer[2] &= 0x7f;
        let mut no_question = bad.clone();
        no_question[5] = 0;
        for forged in [other_id, other_name, other_case, other_type, no_answer, no_question, vec![], vec![0; 5]] {
            socket.send_to(&forged, from).unwrap();
        }
        // All is right, but it comes from elsewhere.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&bad, from).unwrap();
        UdpSocket::bind("127.0.0.2:0").unwrap().send_to(&bad, from).unwrap();
        honest(socket, from, query);
    };
    with_servers(
        move || vec![serve("127.0.0.1:0", forge).0],
        |_, at| {
            for n in 0..50 {
                let answer = ask(at, &query(n, "www.eXample.com", 1, None));
                assert!(good(&answer), "{answer:?}");
            }
        },
    );
}

#[test]
fn a_server_that_lost_the_case_is_good_for_who_did_not_mix_it() {
    let lower = |socket: &UdpSocket, from: SocketAddr, query: &[u8]| {
        let mut bytes = answer(query, 0, &[GOOD]);
        bytes[12..29].make_ascii_lowercase();
        socket.send_to(&bytes, from).unwrap();
    };
    with_servers(
        move || vec![serve("127.0.0.1:0", lower).0],
        |_, at| assert!(good(&ask(at, &query(1, "WWW.EXAMPLE.COM", 1, None)))),
    );
}

#[test]
fn the_next_server_answers_for_one_that_does_not() {
    let silent = || serve("127.0.0.1:0", |_, _, _| {}).0;
    // A port at which nobody is, one that never says anything, one that fails, one that does not even repeat the question.
    let closed = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failing = || serve("127.0.0.1:0", |s, from, q| drop(s.send_to(&answer(q, 2, &[]), from))).0;
    let blunt =
        || serve("127.0.0.1:0", |s, from, q| drop(s.send_to(&[q[0], q[1], 0x80, 5, 0, 0, 0, 0, 0, 0, 0, 0], from))).0;
    let fine = || serve("127.0.0.1:0", honest).0;
    for (first, patience) in [(closed as fn() -> SocketAddr, 900), (failing, 900), (blunt, 900), (silent, 4000)] {
        with_servers(
            move || vec![first(), fine()],
            move |_, at| {
                let begin = Instant::now();
                assert!(good(&ask(at, &query(1, "example.com", 1, None))));
                assert!(begin.elapsed() < Duration::from_millis(patience), "{:?}", begin.elapsed());
                // It is asked last for a while.
                let begin = Instant::now();
                assert!(good(&ask(at, &query(2, "example.com", 1, None))));
                assert!(begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
            },
        );
    }
    with_servers(
        move || vec![failing(), failing()],
        |process, at| {
            assert_eq!(ask(at, &query(1, "example.com", 1, None)).code, 2);
            assert_eq!(process.control.status().unwrap().unanswered, 1);
        },
    );
}

#[test]
fn what_is_cut_short_is_asked_over_tcp() {
    let many: Vec<Ipv4Addr> = (0..200).map(|n| Ipv4Addr::new(10, 0, 1, n)).collect();
    let all = many.clone();
    let servers = move || {
        let (at, _) = serve("127.0.0.1:0", |socket, from, query| {
            socket.send_to(&answer(query, 0x0200, &[]), from).unwrap();
        });
        let listener = TcpListener::bind(at).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut length) = (stream.unwrap(), [0; 2]);
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                let bytes = answer(&query, 0, &all);
                // In pieces, as it may come.
                for piece in [
                    &(bytes.len() as u16).to_be_bytes()[..1],
                    &(bytes.len() as u16).to_be_bytes()[1..],
                    &bytes[..700],
                    &bytes[700..],
                ] {
                    stream.write_all(piece).unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        vec![at]
    };
    with_servers(servers, move |process, at| {
        for n in 0..20 {
            let whole = ask(at, &query(n, "many.example", 1, Some(4096)));
            assert_eq!((whole.id, whole.addresses.len(), whole.truncated), (n, 200, false));
        }
        let cut = ask(at, &query(7, "many.example", 1, None));
        assert!(cut.truncated && cut.addresses.is_empty(), "{cut:?}");
        let queries: Vec<_> = (0..30).map(|n| query(n, "many.example", 1, None)).collect();
        let answers = ask_stream(at, &queries);
        let ids: HashSet<u16> = answers.iter().map(|answer| answer.id).collect();
        assert!(answers.iter().all(|answer| answer.addresses.len() == 200) && ids.len() == 30);
        assert_eq!(process.control.status().unwrap().unanswered, 0);
    });
}

#[test]
fn servers_are_asked_from_where_they_are_meant() {
    const PLACE: &str = "127.0.0.1:5354";
    let at: SocketAddr = PLACE.parse().unwrap();
    let directory = Directory::new();
    write(&directory, "shop", vec![]);
    let process = Process::start();
    process.network("n1", &directory);
    apart(|| {
        // What is called the host here.
        serve(PLACE, |s, from, q| drop(s.send_to(&answer(q, 0, &[BAD]), from)));
        let host = [upstream(at, Place::Host)];
        let mut of_host = Sockets::default();
        of_host.ask_from(Place::Host, &host, PerFamily { datagram: 2, stream: 1 }).unwrap();
        apart(|| {
            serve(PLACE, honest);
            let container = [upstream(at, Place::Container)];
            let (sockets, here) = sockets(&container);
            process.control.join(join("c1", &["n1"], &container), &sockets).unwrap();
            assert_eq!(ask(here, &query(1, "a.example", 1, None)).addresses, [IpAddr::from(GOOD)]);
            // The same container, now told to ask the same address from the host.
            let sockets = Sockets { host: of_host.host, ..sockets };
            process.control.join(join("c1", &["n1"], &host), &sockets).unwrap();
            assert_eq!(ask(here, &query(1, "a.example", 1, None)).addresses, [IpAddr::from(BAD)]);
        });
    });
}

#[test]
fn over_ipv6() {
    with_servers(
        || vec![serve("[::1]:0", honest).0],
        |_, at| assert!(good(&ask(at, &query(1, "example.com", 1, None)))),
    );
}

#[test]
fn a_server_that_never_answers_holds_up_nothing_else() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let keep = Arc::clone(&seen);
    let servers = move || {
        let (address, all) = serve("127.0.0.1:0", |_, _, _| {});
        *keep.lock().unwrap() = all;
        vec![address]
    };
    with_servers(servers, move |process, at| {
        let client = udp();
        let begin = Instant::now();
        // More than there are sockets and places to wait, and few enough that no queue of the client's own runs over.
        const QUESTIONS: u16 = 150;
        // Each of them three times, as impatient clients do.
        for n in 0..QUESTIONS {
            for _ in 0..3 {
                client.send_to(&query(n, &format!("n{n}.example"), 1, None), at).unwrap();
            }
            // Names of ours come through all the same.
            assert_eq!(ask(at, &query(n, "web", 1, None)).addresses.len(), 1);
        }
        let asked = begin.elapsed();
        assert!(asked < Duration::from_secs(15), "{asked:?}");
        let mut answers = HashMap::new();
        while answers.len() < usize::from(QUESTIONS) {
            let answer = receive(&client, at);
            assert_eq!(answer.code, 2);
            *answers.entry(answer.id).or_insert(0) += 1;
        }
        assert!(begin.elapsed() < asked + Duration::from_secs(15), "{:?}", begin.elapsed());
        // Those under way or waiting are answered once; those beyond what may wait fail at once, each time.
        let seen: HashSet<Vec<u8>> =
            seen.lock().unwrap().lock().unwrap().iter().map(|(_, query)| query[12..].to_vec()).collect();
        assert!((8..=usize::from(QUESTIONS)).contains(&seen.len()), "{}", seen.len());
        if asked < Duration::from_secs(1) {
            assert!((0..100).all(|n| answers[&n] == 1), "{answers:?}");
        }
        let memory = process.memory();
        assert!(memory < 3000, "{memory} KiB");
        assert!(good_after(at), "and when all is over it is as before");
    });
}

fn good_after(at: SocketAddr) -> bool {
    ask(at, &query(1, "web.shop", 1, None)).addresses.len() == 1
}

#[test]
fn an_answer_that_is_no_message_is_a_failure() {
    // Records that are none: the server is taken for one that fails.
    let odd = |socket: &UdpSocket, from: SocketAddr, query: &[u8]| {
        let mut bytes = answer(query, 0, &[GOOD]);
        bytes.truncate(bytes.len() - 2);
        socket.send_to(&bytes, from).unwrap();
    };
    with_servers(
        move || vec![serve("127.0.0.1:0", odd).0, serve("127.0.0.1:0", honest).0],
        |_, at| assert!(good(&ask(at, &query(1, "example.com", 1, None)))),
    );
}
