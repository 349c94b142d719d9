//! What an administrator has to do himself, as the commands that do it.

use super::foreign::{Chain, Keeper, Layer, Table};
use super::{Guest, Way};
use crate::ports::Protocol;
use serde::Serialize;
use std::fmt;

/// Somebody's firewall drops packets of ours, and has no place for rules of others: what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The bridge of our network.
    pub bridge: String,
    /// Whose firewall it is, as people call it.
    pub owner: &'static str,
    /// The chain that drops, with its table.
    pub chain: String,
    /// What it drops.
    pub blocked: Vec<Way>,
    /// What lets it through, as a shell takes it; one after the other.
    pub commands: Vec<String>,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) drops ", self.owner, self.chain)?;
        for (index, way) in self.blocked.iter().enumerate() {
            write!(f, "{}{}", if index > 0 { ", " } else { "" }, way.words())?;
        }
        write!(f, " of {}; to let that through, run: {}", self.bridge, self.commands.join(" && "))
    }
}

/// About what a chain drops of a network; `of_ufw`: its rules are ufw's.
pub(super) fn advice(table: &Table, base: &Chain, guest: &Guest, blocked: Vec<Way>, of_ufw: bool) -> Advice {
    let bridge = &guest.bridge;
    let (owner, commands) = match (table.keeper, table.layer, table.name.as_str(), base.name.as_str()) {
        _ if of_ufw => ("ufw", ufw(guest)),
        (Keeper::Legacy, Layer::Ip6, ..) => ("ip6tables-legacy", xtables("ip6tables-legacy", bridge, &blocked)),
        (Keeper::Legacy, ..) => ("iptables-legacy", xtables("iptables-legacy", bridge, &blocked)),
        (_, Layer::Ip, "filter", "FORWARD") => ("iptables", xtables("iptables", bridge, &blocked)),
        (_, Layer::Ip6, "filter", "FORWARD") => ("ip6tables", xtables("ip6tables", bridge, &blocked)),
        (_, Layer::Inet, "firewalld", _) => ("firewalld", firewalld(bridge)),
        _ => ("nftables", nftables(table, base, bridge, &blocked)),
    };
    let chain = format!("chain {} of table {} {}", base.name, table.layer.name(), table.name);
    Advice { bridge: bridge.clone(), owner, chain, blocked, commands }
}

/// By the ports of containers: that is what a packet goes to when ufw's rules see it.
fn ufw(guest: &Guest) -> Vec<String> {
    let bridge = shell(&guest.bridge);
    let all = vec![format!("ufw route allow out on {bridge}")];
    let command = |(protocol, port): &(Protocol, u16)| match protocol {
        Protocol::Tcp | Protocol::Udp => {
            Some(format!("ufw route allow out on {bridge} to any port {port} proto {protocol}"))
        }
        Protocol::Sctp => None,
    };
    let each: Option<Vec<_>> = guest.published.iter().map(command).collect();
    each.filter(|each| !each.is_empty()).unwrap_or(all)
}

fn xtables(program: &str, bridge: &str, blocked: &[Way]) -> Vec<String> {
    let bridge = shell(bridge);
    let command = |way: &Way| {
        let matches = match way {
            Way::Out => format!("-i {bridge}"),
            Way::Back => format!("-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED"),
            Way::Published => format!("-o {bridge} -m conntrack --ctstate DNAT"),
            Way::Direct => format!("-o {bridge}"),
            Way::Among => format!("-i {bridge} -o {bridge}"),
        };
        format!("{program} -I FORWARD {matches} -j ACCEPT")
    };
    blocked.iter().map(command).collect()
}

/// The zone of whoever is trusted; firewalld forgets what it was not told to keep at its next reload.
fn firewalld(bridge: &str) -> Vec<String> {
    vec![
        format!("firewall-cmd --permanent --zone=trusted --add-interface={}", shell(bridge)),
        "firewall-cmd --reload".to_owned(),
    ]
}

fn nftables(table: &Table, base: &Chain, bridge: &str, blocked: &[Way]) -> Vec<String> {
    let bridge = shell(&format!("\"{bridge}\""));
    let command = |way: &Way| {
        let matches = match way {
            Way::Out => format!("iifname {bridge}"),
            Way::Back => format!("oifname {bridge} ct state established,related"),
            Way::Published => format!("oifname {bridge} ct status dnat"),
            Way::Direct => format!("oifname {bridge}"),
            Way::Among => format!("iifname {bridge} oifname {bridge}"),
        };
        let (layer, name, chain) = (table.layer.name(), shell(&table.name), shell(&base.name));
        format!("nft insert rule {layer} {name} {chain} {matches} accept")
    };
    blocked.iter().map(command).collect()
}

/// A word as a shell takes it.
fn shell(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/@".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
