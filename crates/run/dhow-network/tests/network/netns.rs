//! Making, entering and naming network namespaces.

use dhow_network::netlink::{Protocol, Socket, group};
use dhow_network::netns::Netns;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

#[test]
fn a_new_one_is_another_and_its_maker_stays() {
    let before = Netns::own().unwrap();
    let (a, b) = (Netns::new().unwrap(), Netns::new().unwrap());
    assert!(!a.is(&b).unwrap() && !a.is(&before).unwrap());
    assert!(Netns::own().unwrap().is(&before).unwrap());
    let inside = a.with(|| Netns::own().map_err(io::Error::other)).unwrap();
    assert!(inside.is(&a).unwrap());
}

#[test]
fn sockets_stay_in_the_namespace_they_were_made_in() {
    let netns = Netns::new().unwrap();
    let socket = netns.with(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
    let of_socket = Netns::from_fd(dhow_sys::netlink::namespace_of(socket.as_fd()).unwrap());
    assert!(of_socket.is(&netns).unwrap());
}

#[test]
fn the_one_of_a_process_is_found_by_its_pidfd() {
    let own = Netns::own().unwrap();
    let pidfd = dhow_sys::pidfd::open(std::process::id()).unwrap();
    assert!(Netns::of_process(pidfd.as_fd()).unwrap().is(&own).unwrap());
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pidfd = dhow_sys::pidfd::open(child.id()).unwrap();
    child.wait().unwrap();
    assert!(Netns::of_process(pidfd.as_fd()).is_err(), "it has ended");
}

#[test]
fn what_is_no_namespace_is_refused() {
    let file: std::os::fd::OwnedFd = std::fs::File::open("/").unwrap().into();
    let error = Netns::from_fd(file).with(|| Ok::<_, io::Error>(())).unwrap_err();
    assert!(error.to_string().contains("network namespace"), "{error}");
}

#[test]
fn errors_of_work_come_out_with_their_number() {
    let netns = Netns::new().unwrap();
    let error = netns.with(|| Err::<(), _>(io::Error::from_raw_os_error(13))).unwrap_err();
    assert_eq!(error.errno(), Some(13));
}

#[test]
fn groups_that_there_are_not_are_refused() {
    let netns = Netns::new().unwrap();
    netns.with(|| Socket::subscribe(Protocol::Route, &[group::LINK, group::ADDRESS_6])).unwrap();
    assert!(netns.with(|| Socket::subscribe(Protocol::Route, &[9999])).is_err());
}
