//! What must hold for any bytes that are read as messages of netlink, and for any text that is read as a port, a block of
//! addresses or a network's configuration. The first byte chooses the parser, the rest is its input.

use dhow_network::ipam::{self, RawPool};
use dhow_network::netlink::{self, Message};
use dhow_network::ports::{Exposed, Request};
use dhow_network::{Mac, Subnet};

/// Panics when the parsers contradict themselves.
pub(crate) fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match (choice, std::str::from_utf8(rest)) {
        (b'n', _) => messages(rest),
        (b'p', Ok(text)) => port(text),
        (b's', Ok(text)) => subnet(text),
        (b'i', Ok(text)) => configuration(text),
        _ => {}
    }
}

fn messages(bytes: &[u8]) {
    let mut read = 0;
    for received in netlink::messages(bytes).flatten() {
        read += 16 + received.body.len();
        let mut again = Message::new(received.kind, 0);
        let all: Vec<_> = netlink::attributes(received.body).collect();
        for attribute in &all {
            let _ = (attribute.text(), attribute.number(), attribute.number_be(), attribute.nested().count());
            again.attribute(attribute.kind, attribute.value);
        }
        let written = again.finish(1).expect("each fits, as it came");
        let read_again: Vec<_> = netlink::messages(&written).flatten().collect();
        assert_eq!(netlink::attributes(read_again[0].body).collect::<Vec<_>>(), all);
    }
    assert!(read <= bytes.len());
}

fn port(text: &str) {
    if let Ok(request) = text.parse::<Request>() {
        assert_eq!(request.to_string().parse::<Request>().as_ref(), Ok(&request));
        assert!(request.bindings().all(|binding| binding.container > 0));
        assert!(
            request.bindings().all(|binding| binding.host.is_none_or(|host| 0 < host.first && host.first <= host.last))
        );
    }
    if let Ok(exposed) = text.parse::<Exposed>() {
        assert!(0 < exposed.ports.first && exposed.ports.first <= exposed.ports.last);
    }
    if let Ok(mac) = text.parse::<Mac>() {
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }
}

fn subnet(text: &str) {
    let Ok(subnet) = text.parse::<Subnet>() else { return };
    assert_eq!(subnet.to_string().parse(), Ok(subnet));
    let block = subnet.masked();
    assert!(block.contains(subnet.address()) && block.contains(subnet.broadcast()) && block.overlaps(subnet));
}

/// Subnet, range, gateway and an auxiliary address, a line each.
fn configuration(text: &str) {
    let mut lines = text.lines().map(str::to_owned);
    let raw = RawPool {
        subnet: lines.next(),
        range: lines.next(),
        gateway: lines.next(),
        auxiliary: lines.next().map(|line| ("a".to_owned(), line)).into_iter().collect(),
    };
    for request in ipam::validate(&[raw], true).into_iter().flatten() {
        let Ok(pool) = ipam::pool(&request) else { continue };
        assert!(pool.subnet.contains(pool.gateway));
        if let Ok(next) = pool.next(&Default::default(), Some(pool.gateway)) {
            assert!(pool.subnet.contains(next) && !pool.reserves(next) && !pool.auxiliary.contains(&next));
            assert!(pool.range.is_none_or(|range| range.contains(next)));
        }
    }
}
