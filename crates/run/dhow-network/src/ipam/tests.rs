//! Leases and subnets, as properties and by example.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn raw(subnet: &str) -> RawPool {
    RawPool { subnet: Some(subnet.to_owned()), ..RawPool::default() }
}

#[test]
fn the_pools_are_dockers_and_in_its_order() {
    let mut in_use = Vec::new();
    while let Ok(subnet) = choose_subnet(&default_pools(), &in_use) {
        in_use.push(subnet);
    }
    let text: Vec<_> = in_use.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 15 + 16);
    assert_eq!((text[0].as_str(), text[14].as_str()), ("172.17.0.0/16", "172.31.0.0/16"));
    assert_eq!((text[15].as_str(), text[30].as_str()), ("192.168.0.0/20", "192.168.240.0/20"));
    assert_eq!(choose_subnet(&default_pools(), &in_use), Err(IpamError::NoSubnet));
}

#[test]
fn routes_of_the_host_are_gone_around_and_default_routes_do_not_count() {
    let in_use = [subnet("0.0.0.0/0"), subnet("172.16.0.0/12"), subnet("192.168.16.7/32")];
    assert_eq!(choose_subnet(&default_pools(), &in_use).unwrap().to_string(), "192.168.0.0/20");
    let in_use = [subnet("172.16.0.0/12"), subnet("192.168.0.0/19")];
    assert_eq!(choose_subnet(&default_pools(), &in_use).unwrap().to_string(), "192.168.32.0/20");
    let ours = local_pool([1, 2, 3, 4, 5]);
    assert_eq!(choose_subnet(&[ours], &[]).unwrap().to_string(), "fd01:203:405::/64");
    assert_eq!(choose_subnet(&[ours], &[subnet("fd01:203:405::/64")]).unwrap().to_string(), "fd01:203:405:1::/64");
    assert_eq!(choose_subnet(&[ours], &[subnet("::/0"), subnet("fc00::/7")]), Err(IpamError::NoSubnet));
}

#[test]
fn the_gateway_comes_first_then_each_in_turn() {
    let pool = pool(&PoolRequest::subnet(subnet("10.0.0.0/29"))).unwrap();
    assert_eq!(pool.gateway, ip("10.0.0.1"));
    let (mut taken, mut last) = (BTreeSet::new(), None);
    for expected in 2..=6 {
        let next = pool.next(&taken, last).unwrap();
        assert_eq!(next, ip(&format!("10.0.0.{expected}")));
        taken.insert(next);
        last = Some(next);
    }
    let error = pool.next(&taken, last).unwrap_err();
    assert_eq!(error.to_string(), "no available IPv4 addresses on this network's address pools: 10.0.0.0/29");
    taken.remove(&ip("10.0.0.4"));
    assert_eq!(pool.next(&taken, last).unwrap(), ip("10.0.0.4"));
}

#[test]
fn ranges_auxiliary_and_static_addresses() {
    let mut pools = [raw("172.28.0.0/16")];
    pools[0].range = Some("172.28.5.0/30".to_owned());
    pools[0].auxiliary = BTreeMap::from([("router".to_owned(), "172.28.5.2".to_owned())]);
    let request = &validate(&pools, false).unwrap()[0];
    let pool = pool(request).unwrap();
    assert_eq!(pool.gateway, ip("172.28.5.0"), "the first of the range, which is inside of the subnet");
    assert_eq!(pool.next(&BTreeSet::new(), None).unwrap(), ip("172.28.5.1"));
    assert_eq!(pool.next(&BTreeSet::new(), Some(ip("172.28.5.1"))).unwrap(), ip("172.28.5.3"));
    assert_eq!(pool.claim(ip("172.28.9.9"), &BTreeSet::new()), Ok(()));
    assert_eq!(
        pool.claim(ip("172.28.9.9"), &BTreeSet::from([ip("172.28.9.9")])),
        Err(IpamError::InUse(ip("172.28.9.9")))
    );
    assert_eq!(pool.claim(ip("172.28.0.0"), &BTreeSet::new()).unwrap_err().kind(), Kind::Conflict);
    assert_eq!(pool.claim(ip("172.29.0.1"), &BTreeSet::new()), Err(IpamError::OutOfRange(ip("172.29.0.1"))));
}

#[test]
fn what_is_wrong_is_told_in_dockers_words() {
    let told = |pool: RawPool| validate(&[pool], true).unwrap_err().to_string();
    assert_eq!(told(raw("10.0.0.0")), "invalid network config:\ninvalid subnet 10.0.0.0: invalid CIDR block notation");
    assert_eq!(told(raw("10.0.0.1/8")), "invalid network config:\ninvalid subnet 10.0.0.1/8: it should be 10.0.0.0/8");
    let range = |range: &str| told(RawPool { range: Some(range.to_owned()), ..raw("10.1.0.0/16") });
    assert!(
        range("10.0.0.0/8")
            .ends_with("invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet 10.1.0.0/16")
    );
    assert!(range("10.1.0.1/24").ends_with("invalid ip-range 10.1.0.1/24: it should be 10.1.0.0/24"));
    assert!(range("10.2.0.0/24").ends_with("parent subnet 10.1.0.0/16 doesn't contain ip-range"));
    assert!(range("fd00::/64").ends_with("invalid ip-range fd00::/64: parent subnet is an IPv4 block"));
    let gateway = |gateway: &str| told(RawPool { gateway: Some(gateway.to_owned()), ..raw("10.1.0.0/16") });
    assert!(
        gateway("10.2.0.1")
            .ends_with("invalid gateway 10.2.0.1: parent subnet 10.1.0.0/16 doesn't contain this address")
    );
    assert!(gateway("x").ends_with("invalid gateway x: invalid address"));
    assert!(gateway("::1").ends_with("invalid gateway ::1: parent subnet is an IPv4 block"));
    let two = validate(&[raw("x"), raw("y")], true).unwrap_err().to_string();
    assert_eq!(two.matches("\n* ").count(), 2);
    assert!(validate(&[raw("10.0.0.0/8"), raw("10.1.0.0/16")], true).is_err());
    assert!(validate(&[raw("fd00::/64")], false).is_err());
    assert!(validate(&[RawPool { gateway: Some("10.0.0.1".into()), ..RawPool::default() }], false).is_err());
    assert_eq!(validate(&[RawPool::default()], false), Ok(Vec::new()));
    let error = check_overlap(subnet("10.0.0.0/8"), &[subnet("0.0.0.0/0"), subnet("10.9.0.0/16")]).unwrap_err();
    assert!(error.to_string().contains("Pool overlaps with other one on this address space"), "{error}");
}

#[test]
fn the_smallest_and_the_largest_blocks() {
    let two = pool(&PoolRequest::subnet(subnet("10.0.0.0/31"))).unwrap();
    assert_eq!((two.gateway, two.next(&BTreeSet::new(), None).unwrap()), (ip("10.0.0.0"), ip("10.0.0.1")));
    let one = pool(&PoolRequest::subnet(subnet("10.0.0.7/32"))).unwrap();
    assert!(one.next(&BTreeSet::new(), None).is_err());
    let all = pool(&PoolRequest::subnet(subnet("fd00::/8"))).unwrap();
    assert_eq!(all.gateway, ip("fd00::1"));
    let end = ip("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    assert_eq!(all.next(&BTreeSet::new(), Some(end)).unwrap(), ip("fd00::2"), "round");
    assert_eq!(pool(&PoolRequest::subnet(subnet("fd00::/127"))).unwrap().gateway, ip("fd00::"));
}

proptest! {
    #[test]
    fn leases_are_free_in_range_and_used_up(
        base: u32, prefix in 24u8..=30, steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200)
    ) {
        let subnet = Subnet::new(Ipv4Addr::from(base).into(), prefix).unwrap().masked();
        let pool = pool(&PoolRequest::subnet(subnet)).unwrap();
        let (mut taken, mut last): (BTreeSet<IpAddr>, _) = (BTreeSet::new(), None);
        for (lease, which) in steps {
            if lease {
                match pool.next(&taken, last) {
                    Ok(address) => {
                        prop_assert!(subnet.contains(address) && !pool.reserves(address));
                        prop_assert!(pool.claim(address, &taken).is_ok());
                        prop_assert!(taken.insert(address));
                        last = Some(address);
                    }
                    Err(_) => prop_assert_eq!(taken.len(), (1usize << (32 - prefix)) - 3),
                }
            } else if !taken.is_empty() {
                let freed = *which.get(&taken.iter().copied().collect::<Vec<_>>());
                taken.remove(&freed);
                if let Ok(next) = pool.next(&taken, Some(freed)) {
                    prop_assert!(next != freed || taken.len() == (1usize << (32 - prefix)) - 4);
                }
            }
        }
    }

    #[test]
    fn chosen_subnets_collide_with_nothing(used in prop::collection::vec((any::<u32>(), 8u8..=32), 0..40)) {
        let used: Vec<_> = used.into_iter().map(|(address, prefix)| {
            // Near to the pools, so that they are in the way.
            let address = 0xac10_0000 | address & 0x001f_ffff;
            Subnet::new(Ipv4Addr::from(address).into(), prefix).unwrap().masked()
        }).collect();
        if let Ok(chosen) = choose_subnet(&default_pools(), &used) {
            prop_assert!(used.iter().all(|used| !used.overlaps(chosen)));
            prop_assert!(default_pools().iter().any(|pool| pool.base.overlaps(chosen) && pool.size == chosen.prefix()));
        }
    }

    #[test]
    fn validation_of_any_text_ends_well(subnet in ".{0,20}", gateway in ".{0,20}", range in ".{0,20}") {
        let raw = RawPool { subnet: Some(subnet), gateway: Some(gateway), range: Some(range), ..RawPool::default() };
        let _ = validate(&[raw], true);
    }
}
