//! The filters of `ps`: all of one key's values are alternatives (labels: all must fit), all keys must fit.

use super::list::shown_status;
use super::networks;
use super::pattern::Pattern;
use crate::cli::Failure;
use crate::cli::filter::label;
use dhow_engine::container::view::Container;
use dhow_engine::{Engine, container};
use dhow_network::ports::Exposed;
use dhow_spec::Digest;

/// Filters, understood.
#[derive(Default)]
pub(super) struct Filter {
    ids: Vec<Pattern>,
    names: Vec<Pattern>,
    labels: Vec<(String, Option<String>)>,
    statuses: Vec<String>,
    codes: Vec<i32>,
    networks: Vec<String>,
    published: Vec<(Exposed, String)>,
    exposed: Vec<(Exposed, String)>,
    volumes: Vec<String>,
    health: Vec<String>,
    /// Images as they were typed; by their ids once they are settled.
    ancestors: Vec<String>,
    images: Vec<Digest>,
    before: Option<String>,
    since: Option<String>,
    /// Made before and after these moments.
    between: (Option<i64>, Option<i64>),
}

const KEYS: &str = "ancestor, before, exited, expose, health, id, label, name, network, publish, since, status, volume";
const STATUSES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTH: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

impl Filter {
    pub(super) fn parse(texts: &[String]) -> Result<Filter, Failure> {
        let mut filter = Filter::default();
        for text in texts.iter().filter(|t| !t.is_empty()) {
            let Some((key, value)) = text.split_once('=') else {
                return Err(Failure::usage(format!(
                    "invalid argument {text:?} for \"-f, --filter\" flag: bad format of filter (expected name=value)"
                )));
            };
            filter.add(key.trim().to_lowercase().as_str(), value.trim())?;
        }
        Ok(filter)
    }

    fn add(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let invalid = || Failure::error(format!("invalid filter '{key}={value}'"));
        let one_of = |what: &str, known: &[&str]| match known.contains(&value) {
            true => Ok(value.to_owned()),
            false => Err(Failure::error(format!(
                "invalid filter '{key}={value}': invalid value for {what} ({value}): must be one of {}",
                known.join(", ")
            ))),
        };
        let pattern = || {
            Pattern::parse(value).ok_or_else(|| {
                invalid().with_hint("of regular expressions only . [] * + ? ^ $ | and \\ are understood here")
            })
        };
        match key {
            "id" => self.ids.push(pattern()?),
            "name" => self.names.push(pattern()?),
            "label" => self.labels.push(label(value)),
            "status" => self.statuses.push(one_of("state", &STATUSES)?),
            "exited" => self.codes.push(value.parse().map_err(|_| {
                Failure::error(format!(
                    "invalid filter 'exited={value}': strconv.Atoi: parsing {value:?}: invalid syntax"
                ))
            })?),
            "health" => self.health.push(one_of("health", &HEALTH)?),
            "publish" | "expose" => {
                let port: Exposed = value.parse().map_err(|_| invalid())?;
                let list = if key == "publish" { &mut self.published } else { &mut self.exposed };
                list.push((port, port.protocol.to_string()));
            }
            "network" => self.networks.push(value.to_owned()),
            "volume" => self.volumes.push(value.to_owned()),
            "ancestor" => self.ancestors.push(value.to_owned()),
            "before" => self.before = Some(value.to_owned()),
            "since" => self.since = Some(value.to_owned()),
            _ => {
                return Err(
                    Failure::error(format!("invalid filter '{key}'")).with_hint(format!("known here are: {KEYS}"))
                );
            }
        }
        Ok(())
    }

    /// Looks up what the filters name.
    pub(super) fn settle(&mut self, engine: &Engine) -> Result<(), Failure> {
        for name in &self.ancestors {
            // An image that is not there has no containers.
            self.images.extend(engine.inspect_image(name).ok().map(|image| image.found.image.id));
        }
        let created = |name: &Option<String>| {
            name.as_deref().map(|name| container::inspect(engine, name).map(|c| c.created)).transpose()
        };
        self.between = (created(&self.before)?, created(&self.since)?);
        Ok(())
    }

    /// Whether containers that do not run are meant too.
    pub(super) fn asks_for_states(&self) -> bool {
        !self.statuses.is_empty()
    }

    pub(super) fn fits(&self, container: &Container) -> bool {
        let any = |empty: bool, fits: bool| empty || fits;
        let pattern =
            |patterns: &[Pattern], text: &str| any(patterns.is_empty(), patterns.iter().any(|p| p.is_in(text)));
        let label = |(key, value): &(String, Option<String>)| {
            container.config.labels.get(key).is_some_and(|found| value.as_ref().is_none_or(|v| v == found))
        };
        let volume = |name: &String| {
            container.host.binds.iter().any(|b| b.target == *name || b.source.as_os_str() == name.as_str())
        };
        let on = |name: &String| {
            container
                .networks
                .iter()
                .any(|on| on.name == *name || (!name.is_empty() && on.id.starts_with(name.as_str())))
        };
        let ports = |wanted: &[(Exposed, String)], published| {
            let there = networks::numbers(container, published);
            let fits = |(one, protocol): &(Exposed, String), (number, of): &(u16, String)| {
                (one.ports.first..=one.ports.last).contains(number) && protocol == of
            };
            wanted.iter().any(|wanted| there.iter().any(|there| fits(wanted, there)))
        };
        let exited = container.exit_code.filter(|_| !container.status.is_live());
        pattern(&self.ids, &container.id)
            // docker's names begin with a slash, and people know: `name=^/web$`.
            && (pattern(&self.names, &container.name) || pattern(&self.names, &format!("/{}", container.name)))
            && self.labels.iter().all(label)
            && any(self.statuses.is_empty(), self.statuses.iter().any(|s| s == shown_status(container).name()))
            && any(self.codes.is_empty(), exited.is_some_and(|code| self.codes.contains(&code)))
            && any(self.networks.is_empty(), self.networks.iter().any(on))
            && any(self.published.is_empty(), ports(&self.published, true))
            && any(self.exposed.is_empty(), ports(&self.exposed, false))
            && any(self.volumes.is_empty(), self.volumes.iter().any(volume))
            // Nothing has a health check yet.
            && any(self.health.is_empty(), self.health.iter().any(|h| h == "none"))
            && any(self.ancestors.is_empty(), container.image.as_ref().is_some_and(|i| self.images.contains(i)))
            && self.between.0.is_none_or(|before| container.created < before)
            && self.between.1.is_none_or(|since| container.created > since)
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::container;
    use super::*;
    use dhow_runtime::status::Status;

    fn fits(texts: &[&str]) -> bool {
        let mut container = container();
        (container.status, container.exit_code) = (Status::Exited, Some(3));
        container.started = Some(container.created);
        let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
        Filter::parse(&texts).ok().unwrap().fits(&container)
    }

    #[test]
    fn each_key() {
        for (texts, expected) in [
            (&["name=box"][..], true),
            (&["name=^box$"], false),
            (&["name=^box$", "name=brave"], true),
            (&["name=^/brave"], true),
            (&["id=0123"], true),
            (&["label=a"], true),
            (&["label=a=1"], true),
            (&["label=a=2"], false),
            (&["label=a", "label=c"], false),
            (&["status=exited"], true),
            (&["status=running", "status=exited"], true),
            (&["status=running"], false),
            (&["exited=3"], true),
            (&["exited=0"], false),
            (&["volume=/data"], true),
            (&["volume=/srv/data/of/the/box"], true),
            (&["volume=/other"], false),
            (&["network=none"], true),
            (&["network=host"], false),
            (&["health=none"], true),
            (&["health=healthy"], false),
            (&["ancestor=absent"], false),
            (&["name=box", "status=running"], false),
        ] {
            assert_eq!(fits(texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["foo", "foo=1", "status=gone", "exited=x", "health=ill", "name=(a)"] {
            assert!(Filter::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
