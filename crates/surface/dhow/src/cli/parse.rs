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

/// Where flags may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flags {
    /// Anywhere.
    Anywhere,
    /// Only in front of the first argument: what follows belongs to the command that runs in a container.
    Leading,
}

/// Parses `words`, the first of which are the command's name. `None`: help was asked for, and printed.
pub(crate) fn parse<A: Args>(
    shape: &Shape,
    words: Vec<OsString>,
    arguments: impl Fn(&A) -> usize,
) -> Result<Option<A>, Failure> {
    parse_with(shape, words, arguments, Flags::Anywhere)
}

/// As [`parse`], but the first word that is no flag ends them, and all that follows is taken as it is.
pub(crate) fn parse_leading<A: Args>(
    shape: &Shape,
    words: Vec<OsString>,
    arguments: impl Fn(&A) -> usize,
) -> Result<Option<A>, Failure> {
    parse_with(shape, words, arguments, Flags::Leading)
}

fn parse_with<A: Args>(
    shape: &Shape,
    words: Vec<OsString>,
    arguments: impl Fn(&A) -> usize,
    flags: Flags,
) -> Result<Option<A>, Failure> {
    let name = words.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    let usage = format!("dhow {name} {}", shape.usage);
    let aliases = match shape.aliases {
        "" => String::new(),
        aliases => format!("Aliases:\n  {aliases}\n\n"),
    };
    let command = A::augment_args(clap::Command::new("dhow"));
    let words = as_clap_wants(&command, words, flags);
    let command = if words.iter().any(|w| w == "--help" || w == "-h") { sorted(command) } else { command };
    let help = clap::Arg::new("help").long("help").action(clap::ArgAction::Help).hide(true);
    let help = if command.get_arguments().any(|a| a.get_short() == Some('h')) { help } else { help.short('h') };
    let command = command
        .no_binary_name(false)
        .about(shape.about)
        .override_usage(usage.clone())
        .disable_version_flag(true)
        .disable_help_flag(true)
        .arg(help)
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

/// The words as clap takes them: `--switch=true` becomes the switch, `--switch=false` takes it away, and where flags end
/// at the first argument `--` stands in front of it.
fn as_clap_wants(command: &clap::Command, words: Vec<OsString>, flags: Flags) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::with_capacity(words.len() + 1);
    let mut words = words.into_iter();
    out.extend(words.next());
    while let Some(word) = words.next() {
        // Not text: no flag of ours.
        let text = word.to_str().unwrap_or_default();
        if text == "--" {
            out.push(word);
            break;
        }
        if text.len() < 2 || !text.starts_with('-') {
            if flags == Flags::Leading {
                out.extend([OsString::from("--"), word]);
                break;
            }
            out.push(word);
            continue;
        }
        if let Some((flag, value)) = switch(command, text) {
            out.retain(|earlier| earlier != flag || value);
            out.extend(value.then(|| OsString::from(flag)));
            continue;
        }
        // Joined, so that a value may begin with a hyphen.
        match takes_next(command, text).then(|| words.next()).flatten() {
            Some(value) => {
                let mut joined = word;
                joined.push("=");
                joined.push(value);
                out.push(joined);
            }
            None => out.push(word),
        }
    }
    out.extend(words);
    out
}

/// A switch with the value that docker's parser takes for one.
fn switch<'t>(command: &clap::Command, text: &'t str) -> Option<(&'t str, bool)> {
    let (flag, value) = text.split_once('=')?;
    let arg = match flag.strip_prefix("--") {
        Some(long) => command.get_arguments().find(|a| a.get_long() == Some(long)),
        None if flag.len() == 2 => command.get_arguments().find(|a| a.get_short().is_some_and(|s| flag.ends_with(s))),
        None => None,
    }?;
    match (arg.get_action(), value) {
        (clap::ArgAction::SetTrue, "1" | "t" | "T" | "true" | "TRUE" | "True") => Some((flag, true)),
        (clap::ArgAction::SetTrue, "0" | "f" | "F" | "false" | "FALSE" | "False") => Some((flag, false)),
        _ => None,
    }
}

/// Whether the word behind this flag is its value.
fn takes_next(command: &clap::Command, text: &str) -> bool {
    let needs = |arg: &clap::Arg| arg.get_action().takes_values() && !arg.is_require_equals_set();
    if let Some(long) = text.strip_prefix("--") {
        return command.get_arguments().any(|a| a.get_long() == Some(long) && needs(a));
    }
    let letters: Vec<char> = text.chars().skip(1).collect();
    let valued = |c: &char| command.get_arguments().any(|a| a.get_short() == Some(*c) && needs(a));
    // Of a cluster only the last may take the next word: what follows one that takes a value is that value.
    letters.iter().position(valued).is_some_and(|at| at + 1 == letters.len())
}

/// With its flags in the order of their long names, as docker lists them.
fn sorted(command: clap::Command) -> clap::Command {
    let mut names: Vec<String> = command.get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).collect();
    names.sort();
    command.mut_args(|arg| match arg.get_long().and_then(|long| names.iter().position(|name| name == long)) {
        Some(at) => arg.display_order(at),
        None => arg,
    })
}

/// Help with the kinds of values as docker writes them: `string`, not `<string>`, and nothing for switches.
fn docker_help(text: &str) -> String {
    let mut help = String::with_capacity(text.len());
    for line in text.lines() {
        let switch = line.find("[=<").zip(line.find(">]"));
        let line = &match switch {
            Some((open, close)) => format!("{}{}{}", &line[..open], " ".repeat(close + 2 - open), &line[close + 2..]),
            None => line.to_owned(),
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Args, Debug)]
    struct Exec {
        #[arg(short, long)]
        interactive: bool,
        #[arg(short, long)]
        tty: bool,
        #[arg(short, long)]
        env: Vec<String>,
        #[arg(short = 'H', long)]
        hostname: Option<String>,
        #[arg(hide = true)]
        rest: Vec<OsString>,
    }

    const SHAPE: Shape = Shape { usage: "", about: "", aliases: "", count: Count::AtLeast(1) };

    fn parsed(words: &[&str]) -> Exec {
        let words = std::iter::once("exec").chain(words.iter().copied()).map(OsString::from).collect();
        parse_leading::<Exec>(&SHAPE, words, |a| a.rest.len()).ok().flatten().unwrap()
    }

    #[test]
    fn flags_end_at_the_first_argument() {
        let exec = parsed(&["-it", "-e", "A=1", "-eB=2", "--env", "-C", "box", "ls", "-l", "--env", "x", "--", "-t"]);
        assert!(exec.interactive && exec.tty);
        assert_eq!(exec.env, ["A=1", "B=2", "-C"]);
        assert_eq!(exec.rest, ["box", "ls", "-l", "--env", "x", "--", "-t"]);
        assert_eq!(parsed(&["--", "-x"]).rest, ["-x"]);
        assert_eq!(parsed(&["-ite", "A=1", "box"]).env, ["A=1"]);
        assert_eq!(parsed(&["-iteA", "box"]).env, ["A"]);
    }

    #[test]
    fn help_is_in_docker_s_order_and_words() {
        let command = sorted(Exec::augment_args(clap::Command::new("x")));
        let help = command.disable_help_flag(true).help_template("{options}").render_help().to_string();
        let flags: Vec<&str> = help.lines().filter_map(|l| l.trim().split(' ').find(|w| w.starts_with("--"))).collect();
        assert_eq!(flags, ["--env", "--hostname", "--interactive", "--tty"]);
        let line = "      --sig-proxy[=<bool>]    Proxy\n  -e, --env <list>            Set\n";
        assert_eq!(docker_help(line), "      --sig-proxy             Proxy\n  -e, --env list              Set\n");
    }

    #[test]
    fn switches_take_values_as_in_docker() {
        assert!(parsed(&["--tty=true", "box"]).tty);
        assert!(!parsed(&["--tty", "--tty=false", "box"]).tty);
        assert!(!parsed(&["-t", "-t=0", "box"]).tty);
        assert!(parsed(&["-t=0", "-t=1", "box"]).tty);
    }

    #[test]
    fn an_unknown_flag_in_front_is_refused() {
        for words in [vec!["exec", "--nonsense", "box"], vec!["exec", "-q", "box"], vec!["exec", "--tty=maybe", "box"]]
        {
            let words = words.into_iter().map(OsString::from).collect();
            assert!(parse_leading::<Exec>(&SHAPE, words, |a| a.rest.len()).is_err());
        }
    }
}
