//! `network create`

use super::pairs;
use super::pools::{Given, pools};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::network::{self, CreateRequest};
use std::ffi::OsString;
use std::io::Write;

#[derive(clap::Args)]
struct Create {
    /// Enable manual container attachment
    #[arg(long)]
    attachable: bool,
    /// Auxiliary IPv4 or IPv6 addresses used by Network driver
    #[arg(long, value_name = "map")]
    aux_address: Vec<String>,
    /// The network from which to copy the configuration
    #[arg(long, value_name = "string", hide = true)]
    config_from: Option<String>,
    /// Create a configuration only network
    #[arg(long, hide = true)]
    config_only: bool,
    /// Driver to manage the Network
    #[arg(short, long, value_name = "string", default_value = "bridge")]
    driver: String,
    /// IPv4 or IPv6 Gateway for the master subnet
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    gateway: Vec<String>,
    /// Create swarm routing-mesh network
    #[arg(long, hide = true)]
    ingress: bool,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Allocate container ip from a sub-range
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    ip_range: Vec<String>,
    /// IP Address Management Driver
    #[arg(long, value_name = "string", default_value = "default")]
    ipam_driver: String,
    /// Set IPAM driver specific options
    #[arg(long, value_name = "map")]
    ipam_opt: Vec<String>,
    /// Enable or disable IPv4 address assignment (default true)
    #[arg(long, action = clap::ArgAction::Set, value_name = "bool", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    ipv4: bool,
    /// Enable or disable IPv6 address assignment (default true for bridges)
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    ipv6: Option<bool>,
    /// Set metadata on a network
    #[arg(long, value_name = "list")]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long, value_name = "map")]
    opt: Vec<String>,
    /// Control the network's scope
    #[arg(long, value_name = "string", hide = true)]
    scope: Option<String>,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    subnet: Vec<String>,
    #[arg(hide = true)]
    network: Vec<OsString>,
}

const SHAPE: Shape =
    Shape { usage: "[OPTIONS] NETWORK", about: "Create a network", aliases: "", count: Count::Exactly(1) };

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Create>(&SHAPE, words, |a| a.network.len())? else { return Ok(0) };
    let request = request(&args)?;
    let engine = globals.engine()?;
    let created = network::create(&engine, &request)?;
    if !created.changes.is_empty() {
        let changes: Vec<_> = created.changes.iter().map(ToString::to_string).collect();
        let forwards = created.changes.iter().any(|change| change.parameter.contains("forward"));
        let alone = if forwards { "; between its other links it forwards nothing, as before" } else { "" };
        // Where standard error is gone there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "Kernel settings of this host were changed: {}{alone}", changes.join(", "));
    }
    for advice in &created.advice {
        let _ = writeln!(std::io::stderr(), "WARNING: {advice}");
    }
    parse::print(&format!("{}\n", created.id))
}

fn request(args: &Create) -> Result<CreateRequest, Failure> {
    let of_swarm = [
        ("--config-from", args.config_from.as_deref().is_some_and(|name| !name.is_empty())),
        ("--config-only", args.config_only),
        ("--ingress", args.ingress),
        ("--scope", args.scope.as_deref().is_some_and(|scope| !matches!(scope, "" | "local"))),
    ];
    if let Some((flag, _)) = of_swarm.into_iter().find(|(_, given)| *given) {
        return Err(Failure::error(format!("{flag} is for a swarm, and dhow has none")));
    }
    let auxiliary = pairs(&args.aux_address, "--aux-address")?;
    let given = Given { subnets: &args.subnet, gateways: &args.gateway, ranges: &args.ip_range, auxiliary: &auxiliary };
    Ok(CreateRequest {
        name: args.network.first().map(|name| global::text(name)).unwrap_or_default(),
        driver: args.driver.clone(),
        internal: args.internal,
        attachable: args.attachable,
        ipv4: args.ipv4,
        ipv6: args.ipv6,
        options: pairs(&args.opt, "-o, --opt")?,
        labels: pairs(&args.label, "--label")?,
        ipam_driver: args.ipam_driver.clone(),
        ipam_options: pairs(&args.ipam_opt, "--ipam-opt")?,
        pools: pools(&given)?,
    })
}
