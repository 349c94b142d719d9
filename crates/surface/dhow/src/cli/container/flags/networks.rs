//! Networks and ports: `--network` in both its forms and the flags of old that are about the first network, `-p`, `-P`,
//! `--expose`, and what goes into `/etc/hosts` and `/etc/resolv.conf`.

use super::fault::{Fault, Flag};
use super::{Create, value};
use crate::cli::Failure;
use dhow_engine::container::request::{EndpointConfig, Namespace, Publish};
use dhow_network::mac::Mac;
use dhow_network::ports::{Exposed, Request};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

fn whole<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Whole(message.into()))
}

/// The mode, and the networks that the container is to be on.
pub(super) fn all(create: &Create) -> Result<(Namespace, Vec<EndpointConfig>), Fault> {
    let typed = create.network.iter().chain(&create.net);
    let mut networks: Vec<EndpointConfig> = typed.map(|text| network(text)).collect::<Result<_, _>>()?;
    if networks.is_empty() {
        networks.push(EndpointConfig::on("default"));
    }
    let user_defined = networks.iter().filter(|network| is_user_defined(&network.network)).count();
    for (at, one) in networks.iter().enumerate() {
        if networks[..at].iter().any(|other| other.network == one.network) {
            return whole(format!("network {:?} is specified multiple times", one.network));
        }
    }
    add_flags(&mut networks[0], create)?;
    for one in &networks {
        if one.network.is_empty() {
            return whole("no name set for network");
        }
        if !one.aliases.is_empty() && !is_user_defined(&one.network) {
            return whole("network-scoped aliases are only supported for user-defined networks");
        }
    }
    match (user_defined, networks.len()) {
        (0, 1) => predefined(networks.remove(0)),
        (some, all) if some == all => Ok((Namespace::Networks, networks)),
        _ => whole("conflicting options: cannot attach both user-defined and non-user-defined network-modes"),
    }
}

/// What is no network that somebody has created.
fn predefined(network: EndpointConfig) -> Result<(Namespace, Vec<EndpointConfig>), Fault> {
    let name = network.network.clone();
    if !matches!(name.as_str(), "default" | "bridge") {
        if network.ip.is_some() || network.ip6.is_some() {
            return whole("user specified IP address is supported on user defined networks only");
        }
        if network.mac.is_some() && name.starts_with("container:") {
            return whole("conflicting options: mac-address and the network mode");
        }
    }
    match (name.as_str(), name.strip_prefix("container:")) {
        ("default" | "bridge", _) => {
            let mode = if name == "bridge" { Namespace::Networks } else { Namespace::Default };
            let network = EndpointConfig { network: "bridge".to_owned(), ..network };
            Ok((mode, if name == "default" && network.is_plain() { Vec::new() } else { vec![network] }))
        }
        ("none", _) => Ok((Namespace::Private, Vec::new())),
        ("host", _) => Ok((Namespace::Host, Vec::new())),
        (_, Some(other)) if !other.is_empty() => Ok((Namespace::Container(other.to_owned()), Vec::new())),
        _ => whole("invalid network mode: invalid container format container:<name|id>"),
    }
}

fn is_user_defined(name: &str) -> bool {
    !matches!(name, "default" | "bridge" | "host" | "none" | "container") && !name.starts_with("container:")
}

/// The flags of old are about the first network.
fn add_flags(first: &mut EndpointConfig, create: &Create) -> Result<(), Fault> {
    let both = |what: &str, per: &str| {
        whole(format!("conflicting options: cannot specify both --{what} and per-network {per}"))
    };
    let aliases = [create.network_alias.as_slice(), &create.net_alias].concat();
    match (aliases.is_empty(), first.aliases.is_empty()) {
        (false, false) => return both("network-alias", "alias"),
        (false, true) => first.aliases = aliases,
        (true, _) => {}
    }
    if let Some(text) = given(&create.ip) {
        if first.ip.is_some() {
            return both("ip", "IPv4 address");
        }
        first.ip = Some(ip(text, "IPv4")?);
    }
    if let Some(text) = given(&create.ip6) {
        if first.ip6.is_some() {
            return both("ip6", "IPv6 address");
        }
        first.ip6 = Some(ip(text, "IPv6")?);
    }
    if let Some(text) = given(&create.mac_address) {
        if first.mac.is_some() {
            return both("mac-address", "MAC address");
        }
        first.mac = Some(mac(text)?);
    }
    Ok(())
}

/// docker takes an empty text for none at all.
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

fn ip<T: FromStr>(text: &str, family: &str) -> Result<T, Fault> {
    text.parse().or_else(|_| whole(format!("invalid {family} address: {text}")))
}

fn mac(text: &str) -> Result<Mac, Fault> {
    text.parse().or_else(|_| whole(format!("{text} is not a valid mac address")))
}

/// `NAME`, or `name=NAME,KEY=VALUE`.
fn network(text: &str) -> Result<EndpointConfig, Fault> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let pair = |(key, value): (&str, &str)| key.ends_with(word) && value.starts_with(word);
    if !text.split_once('=').is_some_and(pair) {
        return Ok(EndpointConfig::on(text));
    }
    let flag = Flag::new("--network");
    let mut network = EndpointConfig::default();
    for field in flag.take(text, value::csv)? {
        let lower = field.to_ascii_lowercase();
        let (key, value) = match lower.split_once('=') {
            None | Some(("", _)) => return Err(flag.fault(text, format!("invalid field {field}"))),
            Some((key, value)) => (key.trim(), value.trim()),
        };
        match key {
            "name" => network.network = value.to_owned(),
            "alias" => network.aliases.push(value.to_owned()),
            "ip" => network.ip = Some(ip(value, "IPv4")?),
            "ip6" => network.ip6 = Some(ip(value, "IPv6")?),
            "mac-address" => network.mac = Some(mac(value)?),
            "link-local-ip" => return link_local(),
            "gw-priority" => {
                let number = value.parse::<i64>();
                let wrong = |_| flag.fault(text, format!("invalid gw-priority ({value}): invalid syntax"));
                network.gateway_priority = number.map_err(wrong)?;
            }
            "driver-opt" => {
                let wrong = || flag.fault(text, "invalid key value pair format in driver options");
                let (key, value) = value.split_once('=').ok_or_else(wrong)?;
                network.driver_options.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            _ => return Err(flag.fault(text, format!("invalid field key {key}"))),
        }
    }
    match network.network.is_empty() {
        true => Err(flag.fault(text, "network name/id is not specified")),
        false => Ok(network),
    }
}

/// Addresses of the link itself: what for, nobody could say.
fn link_local<T>() -> Result<T, Fault> {
    Err(Fault::Later("--link-local-ip: dhow cannot choose the link-local addresses of containers".to_owned(), ""))
}

/// All of `-p`.
pub(super) fn publish(texts: &[String]) -> Result<Vec<Publish>, Fault> {
    let mut ports = Vec::new();
    for text in texts {
        let text = if text.contains('=') { long_form(text)? } else { text.clone() };
        let request: Request = text.parse().or_else(|e| whole(format!("{e}")))?;
        ports.extend(Publish::of(&request));
    }
    Ok(ports)
}

/// `published=8080,target=80,protocol=tcp`.
fn long_form(text: &str) -> Result<String, Fault> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            // What docker takes and does nothing with.
            Some((key, _)) if !key.is_empty() => {}
            _ => return whole(format!("invalid publish opts format (should be name=value but got '{field}')")),
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

/// What is exposed, `80/tcp` each: by `--expose`, and by being published.
pub(super) fn exposed(texts: &[String], published: &[Publish]) -> Result<BTreeSet<String>, Fault> {
    let mut ports: BTreeSet<String> = published.iter().map(|publish| publish.target().to_string()).collect();
    for text in texts {
        let exposed: Exposed = text.parse().or_else(|e| whole(format!("{e}")))?;
        let numbers = exposed.ports.first..=exposed.ports.last;
        ports.extend(numbers.map(|number| format!("{number}/{}", exposed.protocol)));
    }
    Ok(ports)
}

/// Addresses of name servers.
pub(super) fn dns(texts: &[String]) -> Result<Vec<IpAddr>, Fault> {
    let flag = Flag::new("--dns");
    let address = |text: &String| {
        flag.take(text, |text| {
            text.trim().parse().map_err(|_| format!("IP address is not correctly formatted: {text}"))
        })
    };
    texts.iter().map(address).collect()
}

/// Domains to look for names in; a lone dot stands for none.
pub(super) fn dns_search(texts: &[String]) -> Result<Vec<String>, Fault> {
    let flag = Flag::new("--dns-search");
    let domain = |text: &String| {
        flag.take(text, |text| {
            let name = text.trim_matches(' ');
            match name == "." || is_domain(name) {
                true => Ok(name.to_owned()),
                false => Err(format!("{text} is not a valid domain")),
            }
        })
    };
    texts.iter().map(domain).collect()
}

/// Labels of letters, digits and inner dashes, with a letter somewhere.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.bytes().any(|b| b.is_ascii_alphabetic()) && name.len() < 255 && name.split('.').all(label)
}

/// `NAME:ADDRESS` each, as docker keeps them.
pub(super) fn extra_hosts(texts: &[String]) -> Result<Vec<String>, Fault> {
    texts.iter().map(|text| Flag::new("--add-host").take(text, extra_host)).collect()
}

fn extra_host(text: &str) -> Result<String, String> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, address) =
        parts.filter(|(name, _)| !name.is_empty()).ok_or_else(|| format!("bad format for add-host: {text:?}"))?;
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {address:?}"));
    }
    Ok(format!("{name}:{bare}"))
}

/// The static addresses of `network connect`.
///
/// # Errors
/// In docker's words.
pub(in crate::cli) fn addresses(
    v4: Option<&str>,
    v6: Option<&str>,
) -> Result<(Option<Ipv4Addr>, Option<Ipv6Addr>), Failure> {
    let understood =
        || Ok((v4.map(|text| ip(text, "IPv4")).transpose()?, v6.map(|text| ip(text, "IPv6")).transpose()?));
    understood().map_err(|fault: Fault| fault.failure("network connect"))
}
