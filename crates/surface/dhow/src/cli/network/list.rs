//! `network ls`

use super::{filters, natural};
use crate::cli::container::pattern::Pattern;
use crate::cli::filter::label;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
use crate::output::table::List;
use crate::output::units;
use dhow_engine::network::{self, NetworkView};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Ls {
    /// Provide filter values (e.g. "driver=bridge")
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS]",
    about: "List networks",
    aliases: "dhow network ls, dhow network list",
    count: Count::None,
};

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

const LIST: List<'_> = List {
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    raw: Some("network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"),
    quiet: "{{.ID}}",
    headings: HEADINGS,
    type_name: "*formatter.networkContext",
};

/// Digits of a short id.
const SHORT: usize = 12;

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Ls>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let filter = Filter::parse(&args.filter)?;
    let mut networks = network::list(&globals.reader()?)?;
    networks.retain(|network| filter.fits(network));
    networks.sort_by(|a, b| natural::compare(&a.name, &b.name));
    let zone = TimeZone::system();
    let rows = networks.iter().map(|network| row(network, args.no_trunc, &zone));
    parse::print(&LIST.render(args.format.as_deref(), args.quiet, rows)?)
}

fn row(network: &NetworkView, no_trunc: bool, zone: &TimeZone) -> Value {
    let id = if no_trunc { &network.id } else { network.id.get(..SHORT).unwrap_or(&network.id) };
    let labels = network.config.labels.iter().map(|(key, value)| format!("{key}={value}"));
    json!({
        "CreatedAt": network.created.map_or_else(|| "0001-01-01 00:00:00 +0000 UTC".to_owned(), |created| {
            units::date_time(created, zone.clone())
        }),
        "Driver": network.config.driver.name(),
        "ID": id,
        "IPv4": network.config.ipv4.to_string(),
        "IPv6": network.config.ipv6.to_string(),
        "Internal": network.config.internal.to_string(),
        "Labels": labels.collect::<Vec<_>>().join(","),
        "Name": network.name,
        "Scope": "local",
    })
}

/// All of one key's values are alternatives (labels: all must fit), all keys must fit.
#[derive(Default)]
struct Filter {
    ids: Vec<Pattern>,
    names: Vec<Pattern>,
    drivers: Vec<String>,
    scopes: Vec<String>,
    labels: Vec<(String, Option<String>)>,
    /// `type`: whether they are the predefined ones.
    builtin: Vec<bool>,
    dangling: Vec<bool>,
}

const KEYS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

impl Filter {
    fn parse(texts: &[String]) -> Result<Filter, Failure> {
        let mut filter = Filter::default();
        for (key, value) in filters(texts, &KEYS)? {
            let invalid = || Failure::error(format!("invalid filter '{key}={value}'"));
            let pattern = || {
                Pattern::parse(&value).ok_or_else(|| {
                    invalid().with_hint("of regular expressions only . [] * + ? ^ $ | and \\ are understood here")
                })
            };
            match key.as_str() {
                "id" => filter.ids.push(pattern()?),
                "name" => filter.names.push(pattern()?),
                "driver" => filter.drivers.push(value),
                "scope" => filter.scopes.push(value),
                "label" => filter.labels.push(label(&value)),
                "type" => filter.builtin.push(match value.as_str() {
                    "builtin" => true,
                    "custom" => false,
                    _ => return Err(invalid().with_hint("it is builtin or custom")),
                }),
                _ => filter.dangling.push(match value.to_lowercase().as_str() {
                    "true" | "1" | "t" => true,
                    "false" | "0" | "f" => false,
                    _ => return Err(invalid()),
                }),
            }
        }
        Ok(filter)
    }

    fn fits(&self, network: &NetworkView) -> bool {
        let any = |empty: bool, fits: bool| empty || fits;
        let pattern =
            |patterns: &[Pattern], text: &str| any(patterns.is_empty(), patterns.iter().any(|p| p.is_in(text)));
        let labelled = |(key, value): &(String, Option<String>)| {
            network.config.labels.get(key).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        let builtin = network.is_predefined();
        let dangling = !builtin && network.members.is_empty();
        pattern(&self.ids, &network.id)
            && pattern(&self.names, &network.name)
            && any(self.drivers.is_empty(), self.drivers.iter().any(|driver| driver == network.config.driver.name()))
            && any(self.scopes.is_empty(), self.scopes.iter().any(|scope| scope == "local"))
            && self.labels.iter().all(labelled)
            && any(self.builtin.is_empty(), self.builtin.contains(&builtin))
            && any(self.dangling.is_empty(), self.dangling.contains(&dangling))
    }
}
