//! Names of a network: who finds whom.

use super::asking::{Answer, query};
use super::process::{Directory, endpoint, write};
use dhow_network::resolver::answer::{Asker, Verdict, judge};
use dhow_network::resolver::message::{Name, kind};
use dhow_network::resolver::zone::{Document, Service, Zone, ZoneError, address_of, publish};
use proptest::prelude::*;
use std::net::IpAddr;
use std::os::fd::AsFd;

fn zone(edit: impl FnOnce(&mut Document)) -> Zone {
    let mut document = Document::new("shop");
    edit(&mut document);
    Zone::read(&document.to_bytes()).unwrap()
}

fn shop() -> Zone {
    zone(|document| {
        document.endpoints = vec![
            endpoint("c1", &["web", "www", "0123456789ab"], &["172.18.0.2", "fd00::2"]),
            endpoint("c2", &["db.main", "store"], &["172.18.0.3"]),
            endpoint("c3", &["six", "www"], &["fd00::4"]),
        ];
        document.links = [("c2".into(), [("front".into(), vec!["c1".into()])].into())].into();
        let service = Service { priority: 1, weight: 2, port: 80, target: "web".into() };
        document.services = [("_http._tcp.web".into(), vec![service])].into();
    })
}

fn judged(zones: &[&Zone], client: &str, name: &str, kind: u16, edit: impl FnOnce(&mut Asker<'_>)) -> Option<Answer> {
    let mut asker = Asker { client, zones, ndots: false, forward: true, stream: false };
    edit(&mut asker);
    let mut answer = Vec::new();
    match judge(&asker, &query(9, name, kind, None), &mut answer) {
        Verdict::Answered => Some(Answer::read(&answer)),
        Verdict::Forward(_) => None,
        Verdict::Silence => panic!("a query is never left alone"),
    }
}

fn found(client: &str, name: &str, kind: u16) -> Option<Vec<String>> {
    let answer = judged(&[&shop()], client, name, kind, |_| {})?;
    assert_eq!(answer.code, 0);
    Some(answer.records)
}

#[test]
fn names_of_all_kinds() {
    let answer = |name: &str, data: &str| Some(vec![format!("Answer {name} {data}")]);
    assert_eq!(found("c3", "web", kind::A), answer("web.", "A(172.18.0.2)"));
    assert_eq!(found("c3", "WEB", kind::A), answer("WEB.", "A(172.18.0.2)"));
    assert_eq!(found("c3", "web.shop", kind::AAAA), answer("web.shop.", "Aaaa(fd00::2)"));
    assert_eq!(found("c3", "0123456789ab", kind::A), answer("0123456789ab.", "A(172.18.0.2)"));
    assert_eq!(found("c3", "db.main", kind::A), answer("db.main.", "A(172.18.0.3)"));
    assert_eq!(found("c3", "db.main.shop", kind::A), answer("db.main.shop.", "A(172.18.0.3)"));
    // Known, without an address of that kind, or asked for another type: there is nothing, and the name is there.
    assert_eq!(found("c3", "store", kind::AAAA), Some(vec![]));
    for other in [kind::MX, 16, 65] {
        assert_eq!(found("c3", "web", other), Some(vec![]));
    }
    // Of both that are called so.
    assert_eq!(found("c3", "www", kind::ANY).unwrap().len(), 3);
    for unknown in ["web.other", "x.web", "main", "shop", "other"] {
        assert_eq!(found("c3", unknown, kind::A), None, "{unknown}");
    }
}

#[test]
fn links_are_seen_by_one_alone() {
    assert_eq!(found("c2", "front", kind::A), Some(vec!["Answer front. A(172.18.0.2)".to_owned()]));
    assert_eq!(found("c3", "front", kind::A), None);
}

#[test]
fn addresses_and_services_lead_back() {
    let answer = |name: &str| Some(vec![format!("{name} Name(12, web.shop.)")]);
    assert_eq!(found("c3", "2.0.18.172.in-addr.arpa", kind::PTR), answer("Answer 2.0.18.172.in-addr.arpa."));
    let six = format!("2.{}d.f.ip6.arpa", "0.".repeat(29));
    assert_eq!(found("c3", &six, kind::PTR), answer(&format!("Answer {six}.")));
    assert_eq!(found("c3", "9.0.18.172.in-addr.arpa", kind::PTR), None);
    let records = found("c3", "_http._tcp.web.shop", kind::SRV).unwrap();
    assert_eq!(
        records,
        [
            "Answer _http._tcp.web.shop. Srv { priority: 1, weight: 2, port: 80, target: web. }",
            "Additional web. A(172.18.0.2)",
            "Additional web. Aaaa(fd00::2)",
        ]
    );
}

#[test]
fn networks_in_order() {
    let shop = shop();
    let office = zone(|d| {
        d.network = "office".into();
        d.endpoints =
            vec![endpoint("c9", &["web"], &["10.0.0.9"]), endpoint("c8", &["store"], &["10.0.0.8", "fd01::8"])];
    });
    let first = |zones: &[&Zone], name: &str, kind| judged(zones, "c", name, kind, |_| {}).unwrap().addresses;
    assert_eq!(first(&[&shop, &office], "web", kind::A), ["172.18.0.2".parse::<IpAddr>().unwrap()]);
    assert_eq!(first(&[&office, &shop], "web", kind::A), ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    assert_eq!(first(&[&office, &shop], "web.shop", kind::A), ["172.18.0.2".parse::<IpAddr>().unwrap()]);
    // The one that has an address of that kind, though the other knows the name too.
    assert_eq!(first(&[&shop, &office], "store", kind::AAAA), ["fd01::8".parse::<IpAddr>().unwrap()]);
}

#[test]
fn all_addresses_take_turns() {
    let zone = zone(|document| {
        let one = |n: usize| endpoint(&format!("c{n}"), &["web"], &[&format!("10.0.0.{n}"), &format!("fd00::{n}")]);
        document.endpoints = (1..=3).map(one).collect();
    });
    let mut firsts = Vec::new();
    for _ in 0..6 {
        // As clients do: both families, one after the other.
        let answers = [kind::A, kind::AAAA].map(|kind| judged(&[&zone], "c", "web", kind, |_| {}).unwrap().addresses);
        assert!(answers.iter().all(|addresses| addresses.len() == 3));
        firsts.push(answers[0][0].to_string());
        assert_eq!(answers[1][0].to_string().rsplit(':').next(), answers[0][0].to_string().rsplit('.').next());
    }
    assert_eq!(firsts, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.3"]);
}

#[test]
fn what_is_not_ours() {
    let shop = shop();
    let code = |name: &str, kind, edit: &dyn Fn(&mut Asker<'_>)| {
        judged(&[&shop], "c3", name, kind, |asker| edit(asker)).map(|answer| (answer.code, answer.records.len()))
    };
    assert_eq!(code("example", kind::A, &|_| {}), None, "single labels are forwarded, as docker does");
    assert_eq!(code("example.com", kind::A, &|a| a.forward = false), Some((2, 0)), "an internal network");
    assert_eq!(code("example", kind::A, &|a| a.ndots = true), Some((0, 0)));
    assert_eq!(code("example.com", kind::A, &|a| a.ndots = true), None);
    assert_eq!(code("shop", kind::AXFR, &|_| {}), Some((5, 0)));
}

#[test]
fn names_that_dns_cannot_carry_are_left_out() {
    let long = "x".repeat(70);
    let zone = zone(|d| d.endpoints = vec![endpoint("c1", &[&long, "", "..", "ok"], &["10.0.0.1"])]);
    assert!(judged(&[&zone], "c", "ok", kind::A, |_| {}).is_some());
    assert!(zone.find("c", &Name::ROOT).is_none());
}

#[test]
fn documents_that_are_none() {
    assert!(matches!(Zone::read(b"{}"), Err(ZoneError::Form(_))));
    assert!(matches!(Zone::read(b"{\"version\":2,\"network\":7}"), Err(ZoneError::Version(2))));
    assert!(Zone::read(b"{\"version\":1,\"network\":\"a\",\"unknown\":1}").is_ok(), "fields may come");
    let directory = Directory::new();
    assert!(matches!(Zone::load(directory.open().as_fd()), Err(ZoneError::Read(_))));
    // A link to elsewhere is not followed.
    std::os::unix::fs::symlink("/etc/passwd", directory.0.join("zone.json")).unwrap();
    assert!(matches!(Zone::load(directory.open().as_fd()), Err(ZoneError::Read(_))));
}

#[test]
fn publishing_replaces_as_a_whole() {
    let directory = Directory::new();
    std::fs::write(directory.0.join("zone.json.begun"), "left by one who was killed").unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        write(&directory, "shop", vec![]);
        scope.spawn(|| {
            for n in 0..300 {
                let endpoints = (0..n).map(|n| endpoint(&n.to_string(), &["web"], &["10.0.0.1"])).collect();
                write(&directory, "shop", endpoints);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let fd = directory.open();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            Zone::load(fd.as_fd()).unwrap();
        }
    });
    let document = Document::new("shop");
    publish(directory.open().as_fd(), &document).unwrap();
    assert_eq!(std::fs::read(directory.0.join("zone.json")).unwrap(), document.to_bytes());
}

#[test]
fn reverse_names_that_stand_for_no_address() {
    for text in [
        "1.2.3.in-addr.arpa",
        "01.0.0.10.in-addr.arpa",
        "+1.0.0.10.in-addr.arpa",
        "256.0.0.10.in-addr.arpa",
        "1.2.3.4.in-addr.arpa.com",
        "in-addr.arpa",
        "a.b.ip6.arpa",
        "1.2.3.4",
    ] {
        assert_eq!(address_of(&Name::from_text(text).unwrap()), None, "{text}");
    }
}

proptest! {
    #[test]
    fn reverse_names_stand_for_their_address(address: IpAddr) {
        let name = match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.ARPA")
            }
            IpAddr::V6(v6) => {
                let digits = format!("{:032x}", v6.to_bits());
                digits.chars().rev().map(|c| format!("{c}.")).collect::<String>() + "ip6.arpa"
            }
        };
        prop_assert_eq!(address_of(&Name::from_text(&name).unwrap()), Some(address));
    }

    #[test]
    fn any_bytes_have_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..100), stream: bool) {
        let asker = Asker { client: "c", zones: &[], ndots: false, forward: false, stream };
        let mut answer = Vec::new();
        match judge(&asker, &bytes, &mut answer) {
            Verdict::Answered => prop_assert_eq!(Answer::read(&answer).id.to_be_bytes().to_vec(), bytes[..2].to_vec()),
            Verdict::Silence => prop_assert!(answer.is_empty()),
            Verdict::Forward(_) => prop_assert!(false, "there is nobody to ask"),
        }
    }
}
