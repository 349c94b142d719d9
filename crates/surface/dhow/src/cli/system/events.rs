//! `events`, `system events`

use crate::cli::moment::moment;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use crate::output::json::{Html, compact};
use crate::output::template::{Shape as Data, Template};
use dhow_engine::{Engine, EngineError};
use dhow_state::{Event, EventSeq};
use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;

#[derive(clap::Args)]
struct Events {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output using a custom template: 'json' or a Go TEMPLATE
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long, value_name = "string")]
    until: Option<String>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS]",
    about: "Get real time events from the server",
    aliases: "dhow system events, dhow events",
    count: Count::None,
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Events>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let now = global::now();
    let (since, until) = (time(args.since.as_deref(), now)?, time(args.until.as_deref(), now)?);
    let printer = Printer {
        filters: filters(&args.filter)?,
        format: Format::new(args.format.as_deref())?,
        since: since.unwrap_or(i64::MIN),
        until: until.unwrap_or(i64::MAX),
    };
    // Read-write: a store that is not there yet is made, so that there is something to watch.
    let engine = globals.engine_plain()?;
    let newest = || engine.state().read(|read| Ok::<_, EngineError>(read.newest_event()?));
    let after = if since.is_some() || until.is_some_and(|u| u < now) { EventSeq::START } else { newest()? };
    follow(&engine, after, &printer)
}

/// Prints what is in the journal behind `after`, then what comes, until the time for that is over.
fn follow(engine: &Engine, after: EventSeq, printer: &Printer) -> Ended {
    let mut watch = engine.state().watch_events(after).map_err(EngineError::from)?;
    loop {
        loop {
            let events = watch.next().map_err(EngineError::from)?;
            if events.is_empty() {
                break;
            }
            let text: String = events.iter().map(|event| printer.line(event)).collect::<Result<_, Failure>>()?;
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        let left = match printer.until {
            i64::MAX => None,
            until => match until.checked_sub(global::now()).filter(|left| *left > 0) {
                Some(left) => Some(Timespec { tv_sec: left / 1_000_000_000, tv_nsec: left % 1_000_000_000 }),
                None => return Ok(0),
            },
        };
        match poll(&mut [PollFd::new(&watch, PollFlags::IN)], left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Failure::error(format!("cannot wait for events: {e}"))),
        }
    }
}

fn time(text: Option<&str>, now: i64) -> Result<Option<i64>, Failure> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    moment(text, now).map(Some).ok_or_else(|| {
        Failure::plain(format!("failed to parse value as time or duration: {text:?}"))
            .with_hint("give a duration (24h, 10m30s), an RFC 3339 time or seconds since 1970")
    })
}

const KEYS: [&str; 7] = ["container", "event", "image", "label", "network", "type", "volume"];

fn filters(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut filters = Vec::new();
    for text in texts.iter().filter(|t| !t.is_empty()) {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!(
                "invalid argument {text:?} for \"-f, --filter\" flag: bad format of filter (expected name=value)"
            )));
        };
        let key = key.trim().to_lowercase();
        // Every event of dhow is local, and there is no daemon whose events there could be.
        if key == "scope" || key == "daemon" {
            continue;
        }
        if !KEYS.contains(&key.as_str()) {
            return Err(Failure::error(format!("invalid filter '{key}'"))
                .with_hint(format!("known here are: {}", KEYS.join(", "))));
        }
        filters.push((key, value.trim().to_owned()));
    }
    Ok(filters)
}

struct Printer {
    filters: Vec<(String, String)>,
    format: Format,
    since: i64,
    until: i64,
}

enum Format {
    /// docker's line, in this zone.
    Line(TimeZone),
    Json,
    Template(Template),
}

impl Format {
    fn new(format: Option<&str>) -> Result<Format, Failure> {
        Ok(match format {
            None | Some("") => Format::Line(TimeZone::system()),
            Some("json" | "{{json .}}") => Format::Json,
            Some(format) => Format::Template(Template::parse(format)?),
        })
    }
}

impl Printer {
    /// The event's line, or nothing where it is not asked for.
    fn line(&self, event: &Event) -> Result<String, Failure> {
        if event.time < self.since || event.time > self.until || !self.fits(event) {
            return Ok(String::new());
        }
        Ok(match &self.format {
            Format::Line(zone) => line(event, zone),
            Format::Json => compact(&document(event), Html::Escape) + "\n",
            Format::Template(template) => template.execute(&fields(event), &Data::of_type("events.Message"))? + "\n",
        })
    }

    /// One of each key's values fits; all labels do.
    fn fits(&self, event: &Event) -> bool {
        KEYS.iter().all(|key| {
            let mut values = self.filters.iter().filter(|(k, _)| k == key).map(|(_, value)| value.as_str()).peekable();
            match values.peek() {
                None => true,
                Some(_) if *key == "label" => values.all(|value| fits(event, key, value)),
                Some(_) => values.any(|value| fits(event, key, value)),
            }
        })
    }
}

fn fits(event: &Event, key: &str, value: &str) -> bool {
    let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
    let named = || event.actor.starts_with(value) || attribute("name") == Some(value);
    match key {
        "type" => event.kind == value,
        // `exec_start` stands for `exec_start: ls -l`.
        "event" => event.action == value || event.action.split_once(": ").is_some_and(|(word, _)| word == value),
        "label" => match value.split_once('=') {
            Some((label, value)) => attribute(label) == Some(value),
            None => attribute(value).is_some(),
        },
        "image" => match event.kind.as_str() {
            "image" => named() || unversioned(attribute("name")) == Some(value),
            _ => attribute("image") == Some(value) || unversioned(attribute("image")) == Some(value),
        },
        kind => event.kind == kind && named(),
    }
}

/// A name without its tag.
fn unversioned(name: Option<&str>) -> Option<&str> {
    name.and_then(|name| name.rsplit_once(':')).filter(|(_, tag)| !tag.contains('/')).map(|(name, _)| name)
}

/// docker's line: time, kind, what happened, to whom, and what else is known.
fn line(event: &Event, zone: &TimeZone) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(event.time)).map_or_else(
        |_| event.time.to_string(),
        |time| {
            let zoned = time.to_zoned(zone.clone());
            let offset = if zoned.offset().is_zero() { "Z".to_owned() } else { zoned.strftime("%:z").to_string() };
            zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f").to_string() + &offset
        },
    );
    let attributes: Vec<String> = event.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let attributes = if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    format!("{time} {} {} {}{attributes}\n", event.kind, event.action, event.actor)
}

/// What older clients know an event by: of containers and images only.
fn from(event: &Event) -> Option<&str> {
    (event.kind == "container").then(|| event.attributes.get("image").map(String::as_str)).flatten()
}

/// The document of `--format json`.
fn document(event: &Event) -> Value {
    let mut document = serde_json::Map::new();
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    if matches!(event.kind.as_str(), "container" | "image") {
        put("status", json!(event.action));
        put("id", json!(event.actor));
        if let Some(from) = from(event) {
            put("from", json!(from));
        }
    }
    put("Type", json!(event.kind));
    put("Action", json!(event.action));
    put("Actor", json!({"ID": event.actor, "Attributes": event.attributes}));
    put("scope", json!("local"));
    put("time", json!(event.time.div_euclid(1_000_000_000)));
    put("timeNano", json!(event.time));
    Value::Object(document)
}

/// What templates see: the fields of docker's Go type.
fn fields(event: &Event) -> Value {
    json!({
        "Status": event.action,
        "ID": event.actor,
        "From": from(event).unwrap_or_default(),
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": event.attributes},
        "Scope": "local",
        "Time": event.time.div_euclid(1_000_000_000),
        "TimeNano": event.time,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn event() -> Event {
        Event {
            seq: EventSeq(1),
            time: 1_704_164_645_060_000_000,
            kind: "container".to_owned(),
            action: "exec_start: ls -l".to_owned(),
            actor: "0123abcd".to_owned(),
            attributes: BTreeMap::from([
                ("image".to_owned(), "busybox:1".to_owned()),
                ("name".to_owned(), "box".to_owned()),
            ]),
        }
    }

    #[test]
    fn lines() {
        assert_eq!(
            line(&event(), &TimeZone::UTC),
            "2024-01-02T03:04:05.060000000Z container exec_start: ls -l 0123abcd (image=busybox:1, name=box)\n"
        );
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert!(line(&event(), &zone).starts_with("2024-01-02T05:04:05.060000000+02:00 container "));
        assert_eq!(
            compact(&document(&event()), Html::Escape),
            "{\"status\":\"exec_start: ls -l\",\"id\":\"0123abcd\",\"from\":\"busybox:1\",\"Type\":\"container\",\
             \"Action\":\"exec_start: ls -l\",\"Actor\":{\"ID\":\"0123abcd\",\"Attributes\":{\"image\":\"busybox:1\",\
             \"name\":\"box\"}},\"scope\":\"local\",\"time\":1704164645,\"timeNano\":1704164645060000000}"
        );
    }

    #[test]
    fn filters_choose() {
        for (texts, expected) in [
            (&["container=box"][..], true),
            (&["container=0123"], true),
            (&["container=other"], false),
            (&["container=other", "container=box"], true),
            (&["event=exec_start"], true),
            (&["event=start"], false),
            (&["event=start", "event=exec_start"], true),
            (&["type=container", "image=busybox"], true),
            (&["image=busybox:1"], true),
            (&["type=image"], false),
            (&["label=name"], true),
            (&["label=name=box", "label=absent"], false),
            (&["scope=local"], true),
        ] {
            let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
            let filters = filters(&texts).ok().unwrap();
            let printer = Printer { filters, format: Format::Json, since: i64::MIN, until: i64::MAX };
            assert_eq!(printer.fits(&event()), expected, "{texts:?}");
        }
        assert!(filters(&["foo".to_owned()]).is_err() && filters(&["foo=1".to_owned()]).is_err());
    }
}
