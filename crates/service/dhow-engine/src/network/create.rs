//! `network create`: judged, given its subnets, recorded, and made on the host.

use super::config::{Driver, Ipam, NetworkConfig, StoredPool, option, truth};
use super::ensure::{Host, ensure};
use super::events::record;
use super::remove::take_away;
use super::{predefined, subnets};
use crate::{Engine, EngineError};
use dhow_network::beside::Advice;
use dhow_network::ipam::{self, PoolRequest, RawPool};
use dhow_network::link::{self, BridgeOptions, IpvlanMode, Kind, New};
use dhow_network::netlink::Socket;
use dhow_network::netns::Netns;
use dhow_network::sysctl::{self, Change};
use dhow_network::{Family, NetworkError, Subnet};
use dhow_state::{Durability, NetworkRow, Read};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network to make.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// Its name.
    pub name: String,
    /// `bridge` or `macvlan`.
    pub driver: String,
    /// No way out of it and none into it.
    pub internal: bool,
    /// Kept for whoever asks.
    pub attachable: bool,
    /// Whether it has IPv4.
    pub ipv4: bool,
    /// Whether it has IPv6; none: a bridge has, where the kernel does.
    pub ipv6: Option<bool>,
    /// For the driver.
    pub options: BTreeMap<String, String>,
    /// For people.
    pub labels: BTreeMap<String, String>,
    /// `default`.
    pub ipam_driver: String,
    /// For that.
    pub ipam_options: BTreeMap<String, String>,
    /// Its subnets; of a family that has none one is chosen.
    pub pools: Vec<RawPool>,
}

/// A network that was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// Settings of the kernel that were changed for it.
    pub changes: Vec<Change>,
    /// What others' firewalls drop of it, and what would help.
    pub advice: Vec<Advice>,
}

/// Makes a network.
///
/// # Errors
/// A name or subnet that is taken; a request that makes no sense; of the kernel. Then there is no network.
pub fn create(engine: &Engine, request: &CreateRequest) -> Result<Created, EngineError> {
    let (driver, ipv6) = judge(request)?;
    let requests = ipam::validate(&request.pools, ipv6).map_err(ipam::IpamError::from)?;
    if let Some(pool) = requests.iter().find(|pool| pool.subnet.family() == Family::V4 && !request.ipv4) {
        return Err(invalid(format!("invalid subnet {}: IPv4 is not enabled on this network", pool.subnet)));
    }
    let raw = request.pools.iter().filter(|pool| pool.subnet.is_some());
    let mut pools = Vec::new();
    for (request, raw) in requests.iter().zip(raw) {
        pools.push(stored(request, &raw.auxiliary)?);
    }
    one_of_each(&pools)?;
    let mut socket = subnets::open_route()?;
    if driver == Driver::Bridge {
        for pool in &pools {
            subnets::check_host(&mut socket, pool.subnet)?;
        }
    }
    let id = crate::container::id()?;
    let row = engine.state.write(Durability::Crash, |w| {
        let families = [(Family::V4, request.ipv4), (Family::V6, ipv6)];
        let pools = choose(engine, w, &mut socket, driver, pools, families)?;
        let config = NetworkConfig {
            driver,
            internal: request.internal,
            attachable: request.attachable,
            ipv4: request.ipv4,
            ipv6,
            options: request.options.clone(),
            labels: request.labels.clone(),
            ipam: Ipam { driver: request.ipam_driver.clone(), options: request.ipam_options.clone(), pools },
        };
        let (name, config) = (request.name.clone(), config.to_json());
        let row = NetworkRow { id, name, created: engine.now(), config, last: [None, None] };
        w.insert_network(&row)?;
        record(w, row.created, &row, "create", &[])?;
        Ok::<_, EngineError>(row)
    })?;
    let ready = Host::open(engine).and_then(|mut host| ensure(engine, &mut host, &row));
    match ready {
        Ok(ready) => Ok(Created { id: row.id, changes: ready.changes, advice: ready.advice }),
        Err(error) => {
            // What cannot be undone now is by `network rm`.
            let _ = take_away(engine, &row);
            Err(error)
        }
    }
}

fn invalid(problem: impl Into<String>) -> EngineError {
    EngineError::Invalid { problem: problem.into(), hint: None }
}

/// What can be told without looking at anything: the driver, and whether there is IPv6.
fn judge(request: &CreateRequest) -> Result<(Driver, bool), EngineError> {
    let name = &request.name;
    if name.trim().is_empty() {
        return Err(invalid("invalid name: name is empty"));
    }
    if predefined::is(name) {
        let message = format!("operation is not permitted on predefined {name} network");
        return Err(EngineError::Conflict { message, hint: None });
    }
    // It is a name in the DNS, an argument, and a line of a list.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if !name.bytes().all(is_plain) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || name.len() > 255 {
        return Err(invalid(format!("invalid network name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")));
    }
    if request.ipam_driver != "default" {
        return Err(invalid(format!("plugin {:?} not found", request.ipam_driver)));
    }
    let driver = driver(&request.driver)?;
    let ipv6 = request.ipv6.unwrap_or_else(|| driver == Driver::Bridge && sysctl::has_ipv6());
    if !request.ipv4 && !ipv6 {
        return Err(invalid("IPv4 or IPv6 must be enabled"));
    }
    if ipv6 && !sysctl::has_ipv6() {
        return Err(NetworkError::Unsupported { feature: "IPv6".to_owned() }.into());
    }
    for (key, value) in &request.options {
        check_option(driver, key, value, ipv6)?;
    }
    Ok((driver, ipv6))
}

fn driver(name: &str) -> Result<Driver, EngineError> {
    match name {
        "bridge" => Ok(Driver::Bridge),
        "macvlan" => Ok(Driver::Macvlan),
        "host" | "null" => {
            let message = format!("only one instance of {name:?} network is allowed");
            Err(EngineError::Conflict { message, hint: None })
        }
        "ipvlan" => {
            try_ipvlan()?;
            Err(invalid("the driver ipvlan is not supported; macvlan is"))
        }
        _ => Err(invalid(format!("plugin {name:?} not found"))),
    }
}

/// Whether the kernel has ipvlan, tried where nobody sees it.
fn try_ipvlan() -> Result<(), EngineError> {
    let mut socket = Netns::new()?.route()?;
    link::create(&mut socket, &New::named("parent", Kind::Bridge(BridgeOptions::default())))?;
    let parent = link::index(&mut socket, "parent")?;
    Ok(link::create(&mut socket, &New::named("try", Kind::Ipvlan { parent, mode: IpvlanMode::L2 }))?)
}

/// Refuses options that the driver does not know, and values that mean nothing: an option that is not obeyed must not look
/// as if it were. (docker passes over those that its driver does not know.)
fn check_option(driver: Driver, key: &str, value: &str, ipv6: bool) -> Result<(), EngineError> {
    let wrong = |problem: &str| Err(invalid(format!("invalid option {key}={value}: {problem}")));
    let known = match driver {
        Driver::Macvlan => matches!(key, option::PARENT | option::MODE | option::MTU | option::PREFIX),
        _ => key != option::PARENT && key != option::MODE,
    };
    match key {
        _ if !known => wrong("the driver has no such option"),
        option::MASQUERADE | option::ICC if truth(value).is_none() => wrong("it must be true or false"),
        option::MASQUERADE | option::ICC => Ok(()),
        option::MTU => match value.parse::<u32>() {
            Ok(0 | 68..=65535) if !ipv6 => Ok(()),
            Ok(0 | 1280..=65535) => Ok(()),
            Ok(68..=65535) => wrong("IPv6 needs at least 1280"),
            _ => wrong("it must be a number of bytes, 68 to 65535"),
        },
        option::BINDING if value.parse::<std::net::Ipv4Addr>().is_err() => wrong("it must be an IPv4 address"),
        option::GATEWAY4 | option::GATEWAY6 if !matches!(value, "nat" | "nat-unprotected") => {
            wrong("it must be nat or nat-unprotected")
        }
        option::PREFIX if value.is_empty() || value.len() > 10 || !value.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            wrong("it must be 1 to 10 letters and digits")
        }
        option::MODE if !matches!(value, "bridge" | "private" | "vepa" | "passthru") => {
            wrong("it must be bridge, private, vepa or passthru")
        }
        option::NAME if value.is_empty() || value.len() > link::NAME_MAX => wrong("it must have 1 to 15 bytes"),
        option::NAME if value == "lo" => wrong("that is the loopback link"),
        option::NAME
        | option::BINDING
        | option::GATEWAY4
        | option::GATEWAY6
        | option::PREFIX
        | option::MODE
        | option::PARENT => Ok(()),
        _ => wrong("the driver has no such option"),
    }
}

fn stored(request: &PoolRequest, auxiliary: &BTreeMap<String, String>) -> Result<StoredPool, EngineError> {
    let pool = ipam::pool(request)?;
    let address = |text: &String| text.parse::<IpAddr>().ok();
    let auxiliary = auxiliary.iter().filter_map(|(name, text)| Some((name.clone(), address(text)?))).collect();
    Ok(StoredPool { subnet: pool.subnet, gateway: pool.gateway, range: pool.range, auxiliary })
}

fn one_of_each(pools: &[StoredPool]) -> Result<(), EngineError> {
    for family in [Family::V4, Family::V6] {
        if pools.iter().filter(|pool| pool.subnet.family() == family).count() > 1 {
            return Err(invalid(format!("a network has at most one {family} subnet")));
        }
    }
    Ok(())
}

/// The subnets: those that were asked for, unless another network has some of their addresses, and chosen ones.
fn choose(
    engine: &Engine,
    read: &Read<'_>,
    socket: &mut Socket,
    driver: Driver,
    mut pools: Vec<StoredPool>,
    families: [(Family, bool); 2],
) -> Result<Vec<StoredPool>, EngineError> {
    let mut in_use: Vec<Subnet> = subnets::of_networks(read)?;
    for pool in &pools {
        // Several macvlans may share the network outside.
        if driver == Driver::Bridge {
            ipam::check_overlap(pool.subnet, &in_use)?;
        }
    }
    let missing = families
        .into_iter()
        .filter(|(family, wanted)| *wanted && !pools.iter().any(|pool| pool.subnet.family() == *family));
    let missing: Vec<_> = missing.map(|(family, _)| family).collect();
    if !missing.is_empty() {
        in_use.extend(subnets::of_host(socket)?);
        in_use.extend(predefined::reserved(read)?);
    }
    for family in missing {
        let subnet = ipam::choose_subnet(&subnets::bases(engine.state.store_id(), family), &in_use)?;
        pools.push(stored(&PoolRequest::subnet(subnet), &BTreeMap::new())?);
    }
    pools.sort_by_key(|pool| pool.subnet.family());
    Ok(pools)
}
