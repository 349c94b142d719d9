//! Networks in the ledger: names, endpoints, what is leased and how it is let go.

use crate::containers::{id, make, remove};
use crate::store::Scratch;
use dhow_spec::{Classify as _, Kind};
use dhow_state::{
    Access, AddressRow, CheckOptions, Claim, Durability, EndpointRow, NetworkRow, PortRow, State, StateError, Write,
};
use std::net::{IpAddr, SocketAddr};

fn network(n: u32) -> NetworkRow {
    NetworkRow {
        id: id(n),
        name: format!("network-{n}"),
        created: i64::from(n),
        config: "{\"driver\":\"bridge\"}".to_owned(),
        last: [Some(ip("172.18.0.2")), None],
    }
}

fn endpoint(container: u32, network: u32) -> EndpointRow {
    EndpointRow {
        container: id(container),
        network: id(network),
        id: id(container * 1000 + network),
        config: "{}".to_owned(),
        state: None,
    }
}

fn address(network: u32, address: &str, container: u32) -> AddressRow {
    AddressRow { network: id(network), address: ip(address), container: id(container), stale: false }
}

fn port(address: &str, port: u16, container: u32, to: &str) -> PortRow {
    PortRow {
        protocol: "tcp".to_owned(),
        address: ip(address),
        port,
        container: id(container),
        network: id(1),
        to: to.parse::<SocketAddr>().unwrap(),
        mode: "nat".to_owned(),
        stale: false,
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn write<T>(state: &State, f: impl FnOnce(&Write<'_>) -> Result<T, StateError>) -> Result<T, StateError> {
    state.write(Durability::Crash, f)
}

#[test]
fn a_network_is_found_by_id_name_and_prefix_and_has_its_name_alone() {
    let scratch = Scratch::new();
    let state = scratch.open();
    write(&state, |w| w.insert_network(&network(2))).unwrap();
    write(&state, |w| w.insert_network(&network(1))).unwrap();
    let found = |f: &dyn Fn(&dhow_state::Read<'_>) -> Result<Option<NetworkRow>, StateError>| state.read(f).unwrap();
    assert_eq!(found(&|r| r.network(&id(1))), Some(network(1)));
    assert_eq!(found(&|r| r.network_by_name("network-2")), Some(network(2)));
    assert_eq!((found(&|r| r.network(&id(3))), found(&|r| r.network_by_name(""))), (None, None));
    let by = |prefix: &str| state.read(|r| r.networks_by_prefix(prefix)).unwrap().len();
    assert_eq!((by(&id(1)), by("00"), by("1"), by(""), by("%"), by("0'")), (1, 2, 0, 0, 0, 0));
    assert_eq!(state.read(|r| r.networks()).unwrap(), [network(2), network(1)], "in the order of their making");
    let taken = write(&state, |w| w.insert_network(&NetworkRow { name: "network-1".to_owned(), ..network(3) }));
    let taken = taken.unwrap_err();
    assert_eq!(
        (taken.kind(), taken.to_string().as_str()),
        (Kind::Conflict, "network with name network-1 already exists")
    );
    let bad = write(&state, |w| w.insert_network(&NetworkRow { id: "../x".to_owned(), ..network(3) }));
    assert!(matches!(bad, Err(StateError::BadNetworkId { .. })));
    write(&state, |w| w.set_last_address(&id(1), ip("fd00::9"))).unwrap();
    assert_eq!(found(&|r| r.network(&id(1))).unwrap().last, [Some(ip("172.18.0.2")), Some(ip("fd00::9"))]);
    assert!(write(&state, |w| w.delete_network(&id(1))).unwrap());
    assert!(!write(&state, |w| w.delete_network(&id(1))).unwrap());
    write(&state, |w| w.insert_network(&NetworkRow { name: "network-1".to_owned(), ..network(3) })).unwrap();
}

#[test]
fn an_endpoint_needs_both_and_keeps_the_network_until_its_container_goes() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let put = |row: EndpointRow| write(&state, move |w| w.insert_endpoint(&row));
    assert!(matches!(put(endpoint(1, 1)), Err(StateError::Gone { kind: "network", .. })));
    write(&state, |w| w.insert_network(&network(1))).unwrap();
    assert!(matches!(put(endpoint(1, 1)), Err(StateError::Gone { kind: "container", .. })));
    make(&state, 1, None).unwrap();
    make(&state, 2, None).unwrap();
    assert!(put(endpoint(1, 1)).unwrap() && put(endpoint(2, 1)).unwrap());
    assert!(!put(EndpointRow { id: id(77), ..endpoint(1, 1) }).unwrap(), "it is on it already");
    let used = write(&state, |w| w.delete_network(&id(1))).unwrap_err();
    assert!(matches!(&used, StateError::NetworkInUse { container, .. } if *container == id(1)), "{used}");
    assert!(write(&state, |w| w.set_endpoint_state(&id(1), &id(1), Some("{\"a\":1}"))).unwrap());
    assert!(!write(&state, |w| w.set_endpoint_state(&id(1), &id(9), None)).unwrap());
    let given = EndpointRow { state: Some("{\"a\":1}".to_owned()), ..endpoint(1, 1) };
    assert_eq!(state.read(|r| r.endpoints_of_container(&id(1))).unwrap(), std::slice::from_ref(&given));
    assert_eq!(state.read(|r| r.endpoint(&id(1), &id(1))).unwrap(), Some(given.clone()));
    assert_eq!(state.read(|r| r.endpoints_of_network(&id(1))).unwrap(), [given.clone(), endpoint(2, 1)]);
    assert_eq!(state.read(|r| r.endpoints()).unwrap(), [given, endpoint(2, 1)]);
    assert!(write(&state, |w| w.delete_endpoint(&id(2), &id(1))).unwrap());
    assert!(remove(&state, 1).unwrap(), "its endpoints go with it");
    assert_eq!(state.read(|r| r.endpoints_of_network(&id(1))).unwrap(), []);
    assert!(write(&state, |w| w.delete_network(&id(1))).unwrap());
}

#[test]
fn what_is_leased_is_let_go_in_two_steps() {
    let scratch = Scratch::new();
    let state = scratch.open();
    write(&state, |w| w.insert_network(&network(1))).unwrap();
    make(&state, 1, None).unwrap();
    write(&state, |w| w.insert_endpoint(&EndpointRow { state: Some("{}".to_owned()), ..endpoint(1, 1) })).unwrap();
    let lease = |text: &str, container| {
        let row = address(1, text, container);
        write(&state, move |w| w.lease_address(&row)).unwrap()
    };
    let publish = |row: PortRow| write(&state, move |w| w.insert_port(&row)).unwrap();
    assert_eq!(lease("172.18.0.2", 1), Claim::Free);
    assert_eq!(lease("172.18.0.2", 2), Claim::Taken(address(1, "172.18.0.2", 1)));
    let ours = port("0.0.0.0", 80, 1, "172.18.0.2:8080");
    assert_eq!(publish(ours.clone()), Claim::Free);
    assert_eq!(publish(port("::", 80, 1, "[fd00::2]:8080")), Claim::Free);
    assert!(!publish(port("0.0.0.0", 80, 2, "172.18.0.3:80")).is_granted());
    assert_eq!(state.read(|r| r.ports_of_number("tcp", 80)).unwrap().len(), 2);
    assert_eq!(state.read(|r| r.ports_of_number("udp", 80)).unwrap(), []);

    assert!(write(&state, |w| w.mark_stale(&id(1))).unwrap() && !write(&state, |w| w.mark_stale(&id(1))).unwrap());
    assert_eq!(state.read(|r| r.endpoints_of_container(&id(1))).unwrap()[0].state, None);
    let (addresses, ports) =
        state.read(|r| Ok::<_, StateError>((r.addresses(&id(1))?, r.ports_of_container(&id(1))?))).unwrap();
    assert!(addresses.iter().all(|row| row.stale) && ports.iter().all(|row| row.stale));
    assert_eq!((addresses.len(), ports.len()), (1, 2));
    // Somebody is in a hurry, and takes one of each.
    let stale = PortRow { stale: true, ..ours };
    let theirs = port("0.0.0.0", 80, 2, "172.18.0.2:80");
    assert_eq!(publish(theirs.clone()), Claim::Stale(stale));
    assert!(matches!(lease("172.18.0.2", 2), Claim::Stale(row) if row.container == id(1)));
    write(&state, |w| w.delete_stale(&addresses, &ports)).unwrap();
    assert_eq!(state.read(|r| r.ports()).unwrap(), [theirs], "what was taken in the meantime stays");
    assert_eq!(state.read(|r| r.address(&id(1), ip("172.18.0.2"))).unwrap(), Some(address(1, "172.18.0.2", 2)));
    assert_eq!(state.read(|r| r.addresses_of_container(&id(1))).unwrap(), []);
}

#[test]
fn a_network_takes_along_what_is_stale_of_it_and_one_can_be_left() {
    let scratch = Scratch::new();
    let state = scratch.open();
    make(&state, 1, None).unwrap();
    for n in [1, 2] {
        write(&state, |w| {
            w.insert_network(&network(n))?;
            w.insert_endpoint(&endpoint(1, n))?;
            w.lease_address(&address(n, "172.18.0.2", 1))?;
            let on = PortRow { network: id(n), ..port("0.0.0.0", 80 + u16::try_from(n).unwrap(), 1, "172.18.0.2:80") };
            w.insert_port(&on)
        })
        .unwrap();
    }
    assert!(write(&state, |w| w.mark_stale_on(&id(1), &id(1))).unwrap());
    write(&state, |w| w.delete_endpoint(&id(1), &id(1))).unwrap();
    let stale: Vec<_> = state.read(|r| r.ports()).unwrap().into_iter().map(|p| (p.port, p.stale)).collect();
    assert_eq!(stale, [(81, true), (82, false)]);
    assert!(write(&state, |w| w.delete_network(&id(1))).unwrap());
    assert_eq!(state.read(|r| r.ports()).unwrap().len(), 1);
    assert_eq!(state.read(|r| r.addresses(&id(1))).unwrap(), []);
    let gone = write(&state, |w| w.lease_address(&address(1, "172.18.0.2", 1))).unwrap_err();
    assert!(matches!(gone, StateError::Gone { kind: "network", .. }));
}

#[test]
fn a_store_of_before_networks_gets_them_and_keeps_its_containers() {
    let scratch = Scratch::new();
    make(&scratch.open(), 1, None).unwrap();
    scratch.tamper(
        "DROP TABLE endpoints; DROP TABLE addresses; DROP TABLE ports; DROP TABLE networks; PRAGMA user_version = 2",
    );
    let state = State::open(&scratch.places(), Access::ReadWrite).unwrap();
    write(&state, |w| w.insert_network(&network(1))).unwrap();
    assert!(write(&state, |w| w.insert_endpoint(&endpoint(1, 1))).unwrap());
    let options = CheckOptions { repair: true, verify_blobs: false };
    assert_eq!(state.check(&options, 1).unwrap().findings, []);
}
