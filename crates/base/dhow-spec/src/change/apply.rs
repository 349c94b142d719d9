//! What each instruction does to a configuration.

use super::{Change, ChangeError, Changes, CommandLine, ports, signal};
use crate::dockerfile::{Expander, Pair};
use crate::image_config::RunConfig;

pub(super) fn all(config: &mut RunConfig, os: &str, changes: &Changes) -> Result<(), ChangeError> {
    let mut cmd_was_set = false;
    for change in &changes.list {
        one(config, os, changes.escape, change, cmd_was_set)?;
        cmd_was_set |= match change {
            Change::Cmd(CommandLine::Exec(list)) => !list.is_empty(),
            Change::Cmd(CommandLine::Shell(line)) => line.is_some(),
            _ => false,
        };
    }
    Ok(())
}

fn one(config: &mut RunConfig, os: &str, escape: char, change: &Change, cmd_was_set: bool) -> Result<(), ChangeError> {
    // Variables are those from before the instruction: `ENV a=1 b=$a` does not see its own `a`.
    let before = config.env.clone();
    let lookup = |name: &str| variable(&before, name);
    let expander = Expander::new(escape, &lookup);
    match change {
        Change::Cmd(line) => {
            config.cmd = Some(argv(line, config, os));
            config.args_escaped = false;
        }
        Change::Entrypoint(line) => {
            let empty = matches!(line, CommandLine::Shell(None)) || *line == CommandLine::Exec(Vec::new());
            config.entrypoint = (!empty).then(|| argv(line, config, os));
            config.args_escaped = false;
            // Arguments that were meant for another program would be wrong for this one.
            if !cmd_was_set {
                config.cmd = None;
            }
        }
        Change::Env(pairs) => {
            for (name, value) in expanded(pairs, &expander)? {
                config.set_env(&name, &value);
            }
        }
        Change::Label(pairs) => config.labels.extend(expanded(pairs, &expander)?),
        Change::Expose(words) => {
            let mut count = 0;
            for word in words {
                for port in expander.words(word)? {
                    let ports = ports::exposed(&port)?;
                    count += ports.len();
                    if count > ports::MOST {
                        return Err(ports::PortError::TooMany.into());
                    }
                    config.exposed_ports.extend(ports);
                }
            }
        }
        Change::Healthcheck(check) => config.healthcheck = Some(check.clone()),
        Change::OnBuild(trigger) => config.on_build.push(trigger.clone()),
        Change::Shell(shell) => config.shell.clone_from(shell),
        Change::StopSignal(name) => {
            let name = expander.word(name)?;
            match os {
                "windows" => return Err(ChangeError::NoSignals),
                _ if !signal::is_signal(&name) => return Err(ChangeError::Signal(name)),
                _ => config.stop_signal = name,
            }
        }
        Change::User(user) => config.user = expander.word(user)?,
        Change::Volume(paths) => {
            for path in paths {
                match expander.word(path)? {
                    path if path.is_empty() => return Err(ChangeError::EmptyVolume),
                    path => config.volumes.insert(path),
                };
            }
        }
        Change::Workdir(path) => config.working_dir = workdir(&config.working_dir, &expander.word(path)?)?,
    }
    Ok(())
}

fn variable(env: &[String], name: &str) -> Option<String> {
    env.iter().rev().find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| value.to_owned())
    })
}

fn expanded(pairs: &[Pair], expander: &Expander<'_>) -> Result<Vec<(String, String)>, ChangeError> {
    pairs.iter().map(|pair| Ok((expander.word(&pair.name)?, expander.word(&pair.value)?))).collect()
}

/// What is started. Docker's `CMD` with nothing behind it starts the shell with nothing to do; so be it.
fn argv(line: &CommandLine, config: &RunConfig, os: &str) -> Vec<String> {
    let line = match line {
        CommandLine::Exec(list) => return list.clone(),
        CommandLine::Shell(line) => line,
    };
    let mut argv = match (config.shell.is_empty(), os) {
        (false, _) => config.shell.clone(),
        (true, "windows") => ["cmd", "/S", "/C"].map(str::to_owned).to_vec(),
        (true, _) => ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
    };
    argv.extend(line.clone());
    argv
}

/// The new working directory, from the present one when it is relative, without `.`, `..` and doubled slashes.
fn workdir(current: &str, requested: &str) -> Result<String, ChangeError> {
    if requested.is_empty() {
        return Err(ChangeError::EmptyWorkdir);
    }
    let current = if requested.starts_with('/') { "" } else { current };
    let mut parts: Vec<&str> = Vec::new();
    for part in current.split('/').chain(requested.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}
