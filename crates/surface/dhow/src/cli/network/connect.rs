//! `network connect`

use super::pairs;
use crate::cli::container::flags;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container::request::EndpointConfig;
use dhow_engine::network;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Connect {
    /// Add network-scoped alias for the container
    #[arg(long, value_name = "strings")]
    alias: Vec<String>,
    /// driver options for the network
    #[arg(long, value_name = "strings")]
    driver_opt: Vec<String>,
    /// Highest gw-priority provides the default gateway. Accepts positive and negative values
    #[arg(long, value_name = "int", default_value = "0", allow_hyphen_values = true, hide_default_value = true)]
    gw_priority: String,
    /// IPv4 address (e.g., "172.30.100.104")
    #[arg(long, value_name = "ip")]
    ip: Option<String>,
    /// IPv6 address (e.g., "2001:db8::33")
    #[arg(long, value_name = "ip")]
    ip6: Option<String>,
    /// docker's links of old: refused.
    #[arg(long, hide = true)]
    link: Vec<String>,
    /// Refused.
    #[arg(long, hide = true)]
    link_local_ip: Vec<String>,
    #[arg(hide = true)]
    words: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Connect a container to a network",
    aliases: "",
    count: Count::Exactly(2),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Connect>(&SHAPE, words, |a| a.words.len())? else { return Ok(0) };
    for (given, flag, why) in [
        (!args.link.is_empty(), "link", "link containers; on one network they find each other by name"),
        (!args.link_local_ip.is_empty(), "link-local-ip", "choose the link-local addresses of containers"),
    ] {
        if given {
            return Err(Failure::usage(format!("--{flag}: dhow cannot {why}")));
        }
    }
    let priority = args.gw_priority.parse().map_err(|_| {
        let text = &args.gw_priority;
        Failure::usage(format!(
            "invalid argument {text:?} for \"--gw-priority\" flag: strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))
    })?;
    let (ip, ip6) = flags::addresses(args.ip.as_deref(), args.ip6.as_deref())?;
    let asked = EndpointConfig {
        network: global::text(&args.words[0]),
        aliases: args.alias,
        ip,
        ip6,
        mac: None,
        gateway_priority: priority,
        driver_options: pairs(&args.driver_opt, "--driver-opt")?,
    };
    network::connect(&globals.engine()?, &global::text(&args.words[1]), &asked)?;
    Ok(0)
}
