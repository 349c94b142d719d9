//! An instruction with its meaning, from one taken apart.

use super::{Change, ChangeError, CommandLine};
use crate::dockerfile::{Args, Instruction, Pair};
use crate::duration;
use crate::image_config::Healthcheck;

pub(super) fn change(instruction: Instruction) -> Result<Change, ChangeError> {
    let Instruction { name, flags, args, text, .. } = instruction;
    let keyword = name.to_ascii_uppercase();
    // These two take no notice of flags.
    let flagless = !matches!(keyword.as_str(), "HEALTHCHECK" | "STOPSIGNAL");
    let unknown_flag = || match flags.first() {
        Some(flag) if flagless => Err(ChangeError::UnknownFlag(flag_name(flag).to_owned())),
        _ => Ok(()),
    };
    let change = match keyword.as_str() {
        "CMD" => Change::Cmd(command_line(args)),
        "ENTRYPOINT" => Change::Entrypoint(command_line(args)),
        "ENV" => Change::Env(pairs("ENV", args)?),
        "EXPOSE" => {
            let mut ports = words("EXPOSE", args)?;
            ports.sort();
            Change::Expose(ports)
        }
        "HEALTHCHECK" => Change::Healthcheck(healthcheck(&flags, args)?),
        "LABEL" => Change::Label(pairs("LABEL", args)?),
        "ONBUILD" => Change::OnBuild(trigger(args, &text)?),
        "SHELL" => match args {
            Args::Json(list) if !list.is_empty() => Change::Shell(list),
            Args::Text(_) => return Err(ChangeError::ShellForm),
            _ => return Err(ChangeError::NoArgument("SHELL")),
        },
        "STOPSIGNAL" => Change::StopSignal(text_of("STOPSIGNAL", args)?),
        "USER" => Change::User(text_of("USER", args)?),
        "VOLUME" => {
            let paths: Vec<String> = words("VOLUME", args)?.iter().map(|path| path.trim().to_owned()).collect();
            if paths.iter().any(String::is_empty) {
                return Err(ChangeError::EmptyVolume);
            }
            Change::Volume(paths)
        }
        "WORKDIR" => Change::Workdir(text_of("WORKDIR", args)?),
        _ => return Err(ChangeError::NotAChange(name)),
    };
    unknown_flag()?;
    Ok(change)
}

fn command_line(args: Args) -> CommandLine {
    match args {
        Args::Json(list) => CommandLine::Exec(list),
        Args::Text(line) => CommandLine::Shell(Some(line)),
        _ => CommandLine::Shell(None),
    }
}

fn text_of(instruction: &'static str, args: Args) -> Result<String, ChangeError> {
    match args {
        Args::Text(text) => Ok(text),
        _ => Err(ChangeError::NotOneArgument(instruction)),
    }
}

fn words(instruction: &'static str, args: Args) -> Result<Vec<String>, ChangeError> {
    match args {
        Args::Words(words) | Args::Json(words) if !words.is_empty() => Ok(words),
        _ => Err(ChangeError::NoArgument(instruction)),
    }
}

fn pairs(instruction: &'static str, args: Args) -> Result<Vec<Pair>, ChangeError> {
    match args {
        Args::Pairs(pairs) if pairs.iter().any(|pair| pair.name.is_empty()) => Err(ChangeError::BlankName(instruction)),
        Args::Pairs(pairs) => Ok(pairs),
        _ => Err(ChangeError::NoArgument(instruction)),
    }
}

/// The instruction behind `ONBUILD`, word for word as it was typed.
fn trigger(args: Args, text: &str) -> Result<String, ChangeError> {
    let Args::Nested(inner) = args else { return Err(ChangeError::NoArgument("ONBUILD")) };
    match inner.name.to_uppercase().as_str() {
        "ONBUILD" => return Err(crate::dockerfile::SyntaxError::Nested.into()),
        name @ ("MAINTAINER" | "FROM") => return Err(ChangeError::Trigger(name.to_owned())),
        _ => {}
    }
    let text = text.trim_start();
    Ok(text.get("ONBUILD".len()..).unwrap_or_default().trim_start().to_owned())
}

/// `NONE`, or `CMD` in one of its forms.
fn healthcheck(flags: &[String], args: Args) -> Result<Healthcheck, ChangeError> {
    let Args::Typed(kind, command) = args else { return Err(ChangeError::NoArgument("HEALTHCHECK")) };
    let kind = kind.to_uppercase();
    if kind == "NONE" {
        return match *command {
            Args::None => Ok(Healthcheck { test: vec![kind], ..Healthcheck::default() }),
            Args::Json(list) if list.is_empty() => Ok(Healthcheck { test: vec![kind], ..Healthcheck::default() }),
            _ => Err(ChangeError::HealthcheckNone),
        };
    }
    let flags = HealthFlags::parse(flags)?;
    if kind != "CMD" {
        return Err(ChangeError::HealthcheckType(kind));
    }
    let test = match *command {
        Args::Json(list) if !list.is_empty() => ["CMD".to_owned()].into_iter().chain(list).collect(),
        Args::Text(line) => vec!["CMD-SHELL".to_owned(), line],
        _ => return Err(ChangeError::NoHealthcheckCommand),
    };
    Ok(Healthcheck {
        test,
        interval: flags.duration("interval")?,
        timeout: flags.duration("timeout")?,
        start_period: flags.duration("start-period")?,
        start_interval: flags.duration("start-interval")?,
        retries: flags.retries()?,
        ..Healthcheck::default()
    })
}

const HEALTH_FLAGS: [&str; 5] = ["interval", "timeout", "start-period", "start-interval", "retries"];

/// The flags of a health check, each with its value.
struct HealthFlags<'a>(Vec<(&'static str, &'a str)>);

impl<'a> HealthFlags<'a> {
    fn parse(flags: &'a [String]) -> Result<HealthFlags<'a>, ChangeError> {
        let mut known: Vec<(&'static str, &str)> = Vec::new();
        for flag in flags {
            let shown = flag_name(flag);
            let name = HEALTH_FLAGS.into_iter().find(|name| shown.strip_prefix("--") == Some(name));
            let name = name.ok_or_else(|| ChangeError::UnknownFlag(shown.to_owned()))?;
            if known.iter().any(|(there, _)| *there == name) {
                return Err(ChangeError::DuplicateFlag(shown.to_owned()));
            }
            let (_, value) = flag.split_once('=').ok_or_else(|| ChangeError::NoFlagValue(shown.to_owned()))?;
            known.push((name, value));
        }
        Ok(HealthFlags(known))
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(there, value)| *there == name && !value.is_empty()).map(|(_, value)| *value)
    }

    /// Nanoseconds; 0 when the flag is not there.
    fn duration(&self, name: &'static str) -> Result<i64, ChangeError> {
        const MILLISECOND: i64 = 1_000_000;
        match self.value(name).map(duration::parse).transpose()? {
            None | Some(0) => Ok(0),
            Some(time) if time < MILLISECOND => Err(ChangeError::Interval(name)),
            Some(time) => Ok(time),
        }
    }

    fn retries(&self) -> Result<i64, ChangeError> {
        let Some(text) = self.value("retries") else { return Ok(0) };
        let number = text.parse::<i32>().ok().filter(|number| *number >= 0);
        number.map(i64::from).ok_or_else(|| ChangeError::Retries(text.to_owned()))
    }
}

/// `--name` of `--name=value`.
fn flag_name(flag: &str) -> &str {
    flag.split('=').next().unwrap_or(flag)
}
