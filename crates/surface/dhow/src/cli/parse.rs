//! One command's arguments: clap does the work, the words and exit codes are docker's.

use super::{Ended, Failure};
use clap::Args;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::io::Write;

/// How many arguments that are no flags a command takes; docker says it in words.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    /// None.
    None,
    /// Exactly so many.
    Exactly(usize),
    /// At least so many.
    AtLeast(usize),
    /// At most so many.
    AtMost(usize),
    /// From so many to so many.
    Between(usize, usize),
}

impl Count {
    /// What is wrong with `n` arguments, in docker's words.
    fn complaint(self, n: usize) -> Option<String> {
        let argument = |n: usize| if n == 1 { "argument" } else { "arguments" };
        match self {
            Count::None if n > 0 => Some("accepts no arguments".to_owned()),
            Count::Exactly(k) if n != k => Some(format!("requires {k} {}", argument(k))),
            Count::AtLeast(k) if n < k => Some(format!("requires at least {k} {}", argument(k))),
            Count::AtMost(k) if n > k => Some(format!("requires at most {k} {}", argument(k))),
            Count::Between(a, b) if n < a || n > b => {
                Some(format!("requires at least {a} and at most {b} {}", argument(b)))
            }
            _ => None,
        }
    }
}

/// What a command line should look like.
pub(crate) struct Shape {
    /// What follows the command's name: `[OPTIONS] IMAGE [IMAGE...]`.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) about: &'static str,
    /// Other names, for help.
    pub(crate) aliases: &'static str,
    /// How many arguments.
    pub(crate) count: Count,
}

/// Parses `words`, the first of which are the command's name. `None`: help was asked for, and printed.
pub(crate) fn parse<A: Args>(
    shape: &Shape,
    words: Vec<OsString>,
    arguments: impl Fn(&A) -> usize,
) -> Result<Option<A>, Failure> {
    let name = words.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    let usage = format!("dhow {name} {}", shape.usage);
    let aliases = match shape.aliases {
        "" => String::new(),
        aliases => format!("Aliases:\n  {aliases}\n\n"),
    };
    let command = A::augment_args(clap::Command::new("dhow"))
        .no_binary_name(false)
        .about(shape.about)
        .override_usage(usage.clone())
        .disable_version_flag(true)
        .disable_help_flag(true)
        .arg(clap::Arg::new("help").long("help").short('h').action(clap::ArgAction::Help).hide(true))
        .args_override_self(true)
        .help_template(format!("Usage:  {{usage}}\n\n{{about}}\n\n{aliases}Options:\n{{options}}\n"));
    let parsed = command.try_get_matches_from(words).and_then(|m| A::from_arg_matches(&m));
    match parsed {
        Ok(args) => match shape.count.complaint(arguments(&args)) {
            None => Ok(Some(args)),
            Some(complaint) => Err(Failure::plain(format!(
                "dhow: 'dhow {name}' {complaint}\n\nUsage:  {usage}\n\nRun 'dhow {name} --help' for more information"
            ))),
        },
        Err(e) if e.kind() == ErrorKind::DisplayHelp => {
            print(&docker_help(&e.to_string()))?;
            Ok(None)
        }
        Err(e) => Err(Failure::usage(format!(
            "{}\n\nUsage:  {usage}\n\nRun 'dhow {name} --help' for more information",
            docker_words(&e)
        ))),
    }
}

/// Help with the kinds of values as docker writes them: `string`, not `<string>`.
fn docker_help(text: &str) -> String {
    let mut help = String::with_capacity(text.len());
    for line in text.lines() {
        let trimmed = line.trim_start();
        let flag = trimmed.starts_with('-').then(|| line.find(" <").zip(line.find('>'))).flatten();
        match flag {
            // The column behind stays where it is.
            Some((open, close)) => {
                help.push_str(&format!("{} {}  {}", &line[..open], &line[open + 2..close], &line[close + 1..]));
            }
            None => help.push_str(line),
        }
        help.push('\n');
    }
    help
}

fn docker_words(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let flag = text(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with("--") => format!("unknown flag: {flag}"),
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            format!("unknown shorthand flag: '{}' in {flag}", flag.trim_start_matches('-'))
        }
        ErrorKind::InvalidValue if text(ContextKind::InvalidValue).is_empty() => {
            format!("flag needs an argument: {}", flag.split_whitespace().next().unwrap_or_default())
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("invalid argument {:?} for {flag:?}", text(ContextKind::InvalidValue))
        }
        _ => error.to_string().trim_start_matches("error: ").lines().next().unwrap_or_default().to_owned(),
    }
}

/// Prints text on standard output.
pub(crate) fn print(text: &str) -> Ended {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(0)
}
