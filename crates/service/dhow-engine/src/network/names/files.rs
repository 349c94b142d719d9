//! What `/etc/hosts` and `/etc/resolv.conf` of a container say: docker's content, by the networks it is on. Pure, but for
//! [`of_host`].
//!
//! | network | `/etc/hosts` | `/etc/resolv.conf` |
//! | --- | --- | --- |
//! | `host` | the host's, then `--add-host` | the host's |
//! | none, or another container's | docker's, then `--add-host` | the host's servers but those on its loopback |
//! | `bridge` | likewise, then its own addresses | likewise; public servers where none is left |
//! | user-defined | likewise | its resolver, 127.0.0.11 |
//!
//! `--dns`, `--dns-search` and `--dns-option` take the place of what the host has. Files of containers with networks begin
//! with a comment that tells whether anybody has changed them since: then they are left alone, but for the container's own
//! addresses in `/etc/hosts`.

use super::Member;
use crate::EngineError;
use crate::container::request::{Config, HostConfig};
use dhow_network::resolver::resolv_conf::{self, Nameserver, ResolvConf};
use dhow_spec::Digest;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// docker's, without any address.
pub(crate) const HOSTS: &str = "127.0.0.1\tlocalhost\n\
                                ::1\tlocalhost ip6-localhost ip6-loopback\n\
                                fe00::\tip6-localnet\n\
                                ff00::\tip6-mcastprefix\n\
                                ff02::1\tip6-allnodes\n\
                                ff02::2\tip6-allrouters\n";
/// Who asks nobody else asks these, as in docker: a host that is its own name server has none that a container can reach.
const PUBLIC: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];
const PUBLIC_6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844)),
];
/// What `--add-host` takes in place of an address.
const HOST_GATEWAY: &str = "host-gateway";

/// The first line of a file of ours, up to the digest of the rest.
const MARK: &str = "# Made by dhow; once it is changed, dhow leaves it alone: ";
/// How many digits of that digest.
const DIGITS: usize = 16;

/// The host's name servers, past a stub that only it can reach.
pub(crate) fn of_host() -> ResolvConf {
    let read = |path| std::fs::read_to_string(path).ok();
    let host = read(resolv_conf::HOST).unwrap_or_default();
    resolv_conf::source(&host, read(resolv_conf::SYSTEMD_RESOLVED).as_deref())
}

/// What the host has, with what was asked for in its place.
pub(crate) fn asked(host: &HostConfig, of_host: &ResolvConf) -> ResolvConf {
    let mut conf = of_host.clone();
    if !host.dns.is_empty() {
        conf.servers = host.dns.iter().map(|address| Nameserver { address: *address, zone: None }).collect();
    }
    if !host.dns_search.is_empty() {
        // One dot: no search at all.
        conf.search = if host.dns_search == ["."] { Vec::new() } else { host.dns_search.clone() };
    }
    if !host.dns_options.is_empty() {
        conf.options = host.dns_options.clone();
    }
    conf
}

/// Whether anything of `/etc/resolv.conf` was asked for.
pub(crate) fn is_asked(host: &HostConfig) -> bool {
    !(host.dns.is_empty() && host.dns_search.is_empty() && host.dns_options.is_empty())
}

/// `/etc/resolv.conf` of a container on networks.
pub(crate) fn resolv_conf(host: &HostConfig, of_host: &ResolvConf, members: &[Member]) -> String {
    let mut conf = asked(host, of_host);
    if members.iter().any(|member| !member.predefined) {
        return conf.inside().to_string();
    }
    if host.dns.is_empty() {
        conf.servers.retain(|server| !server.address.is_loopback());
        if conf.servers.is_empty() {
            let has_v6 = members.iter().flat_map(|member| &member.addresses).any(IpAddr::is_ipv6);
            let public = PUBLIC.into_iter().chain(PUBLIC_6.into_iter().filter(|_| has_v6));
            conf.servers = public.map(|address| Nameserver { address, zone: None }).collect();
        }
    }
    conf.to_string()
}

/// Refuses what would be more than one word of a line. Who asks need not be who runs dhow: a compose file, a client of the API.
pub(crate) fn check(config: &Config, host: &HostConfig) -> Result<(), String> {
    let names = [("hostname", &config.hostname), ("domainname", &config.domainname)];
    for (what, name) in names.into_iter().filter_map(|(what, name)| Some((what, name.as_ref()?))) {
        if !name.is_empty() && !is_word(name) {
            return Err(format!("invalid {what} format: {name:?}"));
        }
    }
    for (what, words) in [("domain", &host.dns_search), ("DNS option", &host.dns_options)] {
        if let Some(word) = words.iter().find(|word| !is_word(word)) {
            return Err(format!("{word:?} is not a valid {what}"));
        }
    }
    for entry in &host.extra_hosts {
        let right = entry.split_once(':').is_some_and(|(name, address)| {
            is_word(name) && (address == HOST_GATEWAY || address.parse::<IpAddr>().is_ok())
        });
        if !right {
            return Err(format!("bad format for add-host: {entry:?}"));
        }
    }
    Ok(())
}

/// Something without spaces or what no terminal shows.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// The lines of `--add-host`. `host-gateway` is the address of the host on the preferred network that has one.
///
/// # Errors
/// docker's words for a container that no network leads to the host.
pub(crate) fn extra(host: &HostConfig, members: &[Member], is_host: bool) -> Result<String, EngineError> {
    let mut lines = String::new();
    for entry in &host.extra_hosts {
        let Some((name, address)) = entry.split_once(':') else { continue };
        if address != HOST_GATEWAY {
            lines.push_str(&line(address, name));
            continue;
        }
        let gateways = members.iter().map(|member| &member.gateways).find(|gateways| !gateways.is_empty());
        match gateways {
            Some(gateways) => gateways.iter().for_each(|gateway| lines.push_str(&line(gateway, name))),
            None if is_host => lines.push_str(&line(Ipv4Addr::LOCALHOST, name)),
            None => {
                return Err(EngineError::Invalid {
                    problem: "unable to derive the IP value for host-gateway".to_owned(),
                    hint: Some("give the container a network, or the address itself".to_owned()),
                });
            }
        }
    }
    Ok(lines)
}

fn line(address: impl ToString, names: &str) -> String {
    format!("{}\t{names}\n", address.to_string())
}

/// The container's own names as `/etc/hosts` has them.
pub(crate) fn own_names(hostname: &str, domainname: Option<&str>) -> String {
    match domainname {
        Some(domain) if !domain.is_empty() => format!("{hostname}.{domain} {hostname}"),
        _ => hostname.to_owned(),
    }
}

/// The lines of a container's own addresses.
pub(crate) fn own(names: &str, members: &[Member]) -> String {
    members.iter().flat_map(|member| &member.addresses).map(|address| line(address, names)).collect()
}

/// A file of ours, which tells whether it still is what we wrote.
pub(crate) fn marked(content: &str) -> String {
    format!("{MARK}{}\n{content}", digits(content))
}

/// Whether nobody has changed it since. An empty one was never finished.
pub(crate) fn is_unchanged(text: &str) -> bool {
    let intact = |rest: &str| rest.split_once('\n').is_some_and(|(mark, content)| mark == digits(content));
    text.is_empty() || text.strip_prefix(MARK).is_some_and(intact)
}

/// Of the text without empty lines at its end, which may be there for a moment while a shorter one is written.
fn digits(content: &str) -> String {
    Digest::of(content.trim_end_matches('\n').as_bytes()).hex()[..DIGITS].to_owned()
}

/// `/etc/hosts` that somebody has changed, with the container's own addresses as they are now. Of the lines, those that name
/// it and nothing else are ours.
pub(crate) fn amended(text: &str, names: &str, own: &str) -> String {
    let ours = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().is_some_and(|word| word.parse::<IpAddr>().is_ok());
        address && words.eq(names.split(' '))
    };
    let mut kept: String = text.lines().filter(|line| !ours(line)).flat_map(|line| [line, "\n"]).collect();
    kept.push_str(own);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, addresses: &[&str], gateways: &[&str]) -> Member {
        let parsed = |list: &[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        Member {
            network: format!("{name}-id"),
            name: name.to_owned(),
            predefined: name == "bridge",
            addresses: parsed(addresses),
            gateways: parsed(gateways),
            ..Member::default()
        }
    }

    const HOST: &str = "nameserver 127.0.0.1\nnameserver 10.0.0.1\nsearch corp.example\noptions edns0\n";

    #[test]
    fn servers_by_network() {
        let (plain, host) = (HostConfig::default(), ResolvConf::parse(HOST));
        let bridge = [member("bridge", &["172.17.0.2"], &["172.17.0.1"])];
        let expected = "nameserver 10.0.0.1\nsearch corp.example\noptions edns0\n";
        assert_eq!(resolv_conf(&plain, &host, &bridge), expected);
        let alone = ResolvConf::parse("nameserver ::1\n");
        assert_eq!(resolv_conf(&plain, &alone, &bridge), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        let six = [member("bridge", &["172.17.0.2", "fd00::2"], &[])];
        assert!(resolv_conf(&plain, &alone, &six).ends_with("nameserver 2001:4860:4860::8844\n"));
        let shop = [bridge[0].clone(), member("shop", &["172.18.0.2"], &[])];
        let expected = "nameserver 127.0.0.11\nsearch corp.example\noptions edns0 ndots:0\n";
        assert_eq!(resolv_conf(&plain, &host, &shop), expected);
    }

    #[test]
    fn what_was_asked_for_takes_the_place() {
        let wanted = HostConfig {
            dns: vec!["127.0.0.1".parse().unwrap()],
            dns_search: vec![".".to_owned()],
            dns_options: vec!["ndots:2".to_owned()],
            ..HostConfig::default()
        };
        let host = ResolvConf::parse(HOST);
        let bridge = [member("bridge", &["172.17.0.2"], &[])];
        assert_eq!(resolv_conf(&wanted, &host, &bridge), "nameserver 127.0.0.1\noptions ndots:2\n");
        let shop = [member("shop", &["172.18.0.2"], &[])];
        assert_eq!(resolv_conf(&wanted, &host, &shop), "nameserver 127.0.0.11\noptions ndots:2\n");
        let to = super::super::upstreams(&shop, &wanted, &asked(&wanted, &host));
        assert_eq!(to.len(), 1);
        assert_eq!(to[0].place, resolv_conf::Place::Container, "its own loopback");
        let to = super::super::upstreams(&shop, &HostConfig::default(), &host);
        assert_eq!((to.len(), to[0].place), (2, resolv_conf::Place::Host), "the host's loopback");
        let locked = [Member { internal: true, ..shop[0].clone() }];
        assert_eq!(super::super::upstreams(&locked, &wanted, &host), []);
        assert_eq!(super::super::upstreams(&[locked[0].clone(), bridge[0].clone()], &wanted, &host).len(), 1);
    }

    #[test]
    fn hosts_that_were_added() {
        let entries = ["db:10.0.0.9", "six:fd00::9", "me:host-gateway"].map(str::to_owned);
        let wanted = HostConfig { extra_hosts: entries.to_vec(), ..HostConfig::default() };
        let members = [member("m", &[], &[]), member("shop", &["172.18.0.2"], &["172.18.0.1", "fd00::1"])];
        let expected = "10.0.0.9\tdb\nfd00::9\tsix\n172.18.0.1\tme\nfd00::1\tme\n";
        assert_eq!(extra(&wanted, &members, false).unwrap(), expected);
        assert!(extra(&wanted, &[], true).unwrap().ends_with("127.0.0.1\tme\n"));
        let refused = extra(&wanted, &[], false).unwrap_err();
        assert_eq!(refused.to_string(), "unable to derive the IP value for host-gateway");
    }

    #[test]
    fn what_is_more_than_a_word_is_refused() {
        let named = |hostname: &str| Config { hostname: Some(hostname.to_owned()), ..Config::default() };
        let host = HostConfig::default();
        assert!(check(&named("web"), &host).is_ok() && check(&named(""), &host).is_ok());
        for wrong in ["w x", "w\n1.1.1.1 x", "\u{7f}", "w\tx"] {
            assert!(check(&named(wrong), &host).is_err(), "{wrong:?}");
            let config = Config { domainname: Some(wrong.to_owned()), ..Config::default() };
            assert!(check(&config, &host).is_err(), "{wrong:?}");
            let list = vec![format!("{wrong}:1.2.3.4")];
            for host in [
                HostConfig { dns_search: list.clone(), ..HostConfig::default() },
                HostConfig { dns_options: list.clone(), ..HostConfig::default() },
                HostConfig { extra_hosts: list.clone(), ..HostConfig::default() },
            ] {
                assert!(check(&Config::default(), &host).is_err(), "{wrong:?}");
            }
        }
        let added = |entry: &str| HostConfig { extra_hosts: vec![entry.to_owned()], ..HostConfig::default() };
        for (entry, right) in
            [("a:1.2.3.4", true), ("a:fd00::1", true), ("a:host-gateway", true), ("a:1.2.3.4 b", false), ("a", false)]
        {
            assert_eq!(check(&Config::default(), &added(entry)).is_ok(), right, "{entry}");
        }
    }

    #[test]
    fn whoever_changes_a_file_has_it_for_himself() {
        let text = marked("127.0.0.1\tlocalhost\n");
        assert!(is_unchanged(&text) && is_unchanged("") && text.starts_with("# "));
        assert!(is_unchanged(&format!("{text}\n\n")));
        for changed in [format!("{text}10.0.0.1 x\n"), text.replace("127.0.0.1", "127.0.0.2"), HOSTS.to_owned()] {
            assert!(!is_unchanged(&changed), "{changed}");
        }
        let text = "127.0.0.1\tlocalhost\n172.18.0.2\tweb\n172.18.0.2 web friend\n# 172.18.0.2 web\n10.0.0.1 x";
        let now = own("web", &[member("shop", &["172.18.0.7", "fd00::7"], &[])]);
        let expected = "127.0.0.1\tlocalhost\n172.18.0.2 web friend\n# 172.18.0.2 web\n10.0.0.1 x\n\
                        172.18.0.7\tweb\nfd00::7\tweb\n";
        assert_eq!(amended(text, "web", &now), expected);
        assert_eq!(amended(expected, "web", &now), expected);
        assert_eq!(own_names("web", Some("shop.example")), "web.shop.example web");
    }
}
