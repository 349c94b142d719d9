//! `top`: the processes of a container. Without options, as `ps -ef` would show them, read here (`top/processes.rs`): a
//! host need not have `ps(1)`. With options by the host's `ps`, as docker does it: asked for the container's
//! processes, or, where the options do not go with that, for whatever it shows, and what is not the container's is left out.
//! Pids are the host's.

mod processes;

use super::resolve::find_settled;
use super::stored::status;
use super::unpause::cgroup;
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use dhow_state::Timestamp;
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

/// The titles of columns, and one row for each process.
pub type Table = (Vec<String>, Vec<Vec<String>>);

/// The processes of a container as `ps(1)` with these arguments shows them, `-ef` without any. `moment` is how a time is
/// shown at which a process was started.
///
/// # Errors
/// When it does not run; with arguments, when there is no `ps`, or it does not like them.
pub fn top(
    engine: &Engine,
    container: &str,
    arguments: &[String],
    moment: &dyn Fn(Timestamp) -> String,
) -> Result<Table, EngineError> {
    let row = find_settled(engine, container)?;
    if !matches!(status(&row), Status::Running | Status::Paused) {
        return Err(EngineError::Conflict { message: format!("container {} is not running", row.id), hint: None });
    }
    let pids: BTreeSet<u32> = cgroup(&row)?.processes()?.into_iter().collect();
    if arguments.is_empty() {
        return processes::table(&pids, engine.now(), moment);
    }
    let of_these = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let mut output = ps(arguments, Some(&of_these))?;
    if !output.status.success() {
        output = ps(arguments, None)?;
    }
    if !output.status.success() {
        return Err(EngineError::Invalid {
            problem: format!("ps: {}", String::from_utf8_lossy(&output.stderr).trim()),
            hint: None,
        });
    }
    table(&String::from_utf8_lossy(&output.stdout), &pids)
}

fn ps(arguments: &[String], pids: Option<&str>) -> Result<Output, EngineError> {
    let mut command = Command::new("ps");
    command.args(arguments).args(pids.map(|pids| format!("-q{pids}")));
    command.stdin(Stdio::null()).output().map_err(|e| EngineError::io("run", "ps", e))
}

/// The lines of these processes, in columns; the last one takes all words that are left.
fn table(output: &str, pids: &BTreeSet<u32>) -> Result<Table, EngineError> {
    let mut lines = output.lines();
    let titles: Vec<String> = lines.next().unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
    let Some(at) = titles.iter().position(|title| title == "PID") else {
        return Err(EngineError::Invalid { problem: "Couldn't find PID field in ps output".to_owned(), hint: None });
    };
    let mut rows = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if !words.get(at).and_then(|pid| pid.parse().ok()).is_some_and(|pid| pids.contains(&pid)) {
            continue;
        }
        let (each, last) = words.split_at((titles.len() - 1).min(words.len()));
        rows.push(each.iter().map(|word| (*word).to_owned()).chain([last.join(" ")]).collect());
    }
    Ok((titles, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_takes_the_rest_and_others_are_left_out() {
        let output = "UID   PID CMD\nroot    1 init splash\nroot   23 sh -c 'a b'\nroot 4 x\n";
        let (titles, rows) = table(output, &BTreeSet::from([23, 4])).unwrap();
        assert_eq!(titles, ["UID", "PID", "CMD"]);
        assert_eq!(rows, [vec!["root", "23", "sh -c 'a b'"], vec!["root", "4", "x"]]);
        assert!(table("USER CMD\nroot x\n", &BTreeSet::from([1])).unwrap_err().to_string().contains("PID field"));
        assert_eq!(table("PID\n7\n", &BTreeSet::from([7])).unwrap().1, [vec!["7"]]);
    }
}
