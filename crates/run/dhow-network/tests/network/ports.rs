//! Holding ports of the host with sockets.

use dhow_network::netns::Netns;
use dhow_network::ports::{self, Held, Protocol};
use dhow_network::{NetworkError, link};
use dhow_spec::{Classify, Kind};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

fn held(protocol: Protocol, address: &str, port: u16) -> Held {
    Held { protocol, address: address.parse().unwrap(), port }
}

fn bind(netns: &Netns, held: Held) -> Result<OwnedFd, NetworkError> {
    netns.with(|| Ok::<_, io::Error>(ports::bind(held))).unwrap()
}

#[test]
fn a_held_port_is_kept_from_others_and_the_other_way_round() {
    let netns = Netns::new().unwrap();
    link::set_up(&mut netns.route().unwrap(), "lo").unwrap();
    let socket = bind(&netns, held(Protocol::Tcp, "0.0.0.0", 8080)).unwrap();
    assert_eq!(ports::port_of(socket.as_fd()).unwrap(), 8080);
    // Programs that set SO_REUSEADDR, as the standard library does, are kept out as well.
    assert!(netns.with(|| TcpListener::bind("127.0.0.1:8080")).is_err());
    let error = bind(&netns, held(Protocol::Tcp, "127.0.0.1", 8080)).unwrap_err();
    assert!(error.kind() == Kind::Conflict && error.to_string().contains("127.0.0.1:8080/tcp"), "{error}");
    // IPv6, UDP and other ports are others'.
    let _six = bind(&netns, held(Protocol::Tcp, "::", 8080)).unwrap();
    let _udp = bind(&netns, held(Protocol::Udp, "0.0.0.0", 8080)).unwrap();
    assert!(netns.with(|| UdpSocket::bind("127.0.0.1:8080")).is_err());
    let _taken = netns.with(|| TcpListener::bind("127.0.0.1:9090")).unwrap();
    assert_eq!(bind(&netns, held(Protocol::Tcp, "0.0.0.0", 9090)).unwrap_err().kind(), Kind::Conflict);
    drop(socket);
    netns.with(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    let error = bind(&netns, held(Protocol::Tcp, "192.0.2.77", 80)).unwrap_err();
    assert!(error.to_string().contains("192.0.2.77:80/tcp"), "{error}");
}

#[test]
fn random_ports_and_kernels_without_sctp() {
    let netns = Netns::new().unwrap();
    let socket = bind(&netns, held(Protocol::Udp, "0.0.0.0", 0)).unwrap();
    assert!(ports::port_of(socket.as_fd()).unwrap() > 1024);
    match bind(&netns, held(Protocol::Sctp, "0.0.0.0", 5000)) {
        Ok(_) => {}
        Err(error) => assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Unsupported, "this kernel has no SCTP sockets")
        ),
    }
}
