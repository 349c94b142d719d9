//! `top`: the processes of a container, by the host's `ps(1)`.
//!
//! As docker does it: `ps` shows everything, and what is not the container's is left out. So every option of the host's
//! `ps` works, and pids are the host's.

use super::resolve::find_settled;
use super::stored::status;
use super::unpause::cgroup;
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use std::collections::HashSet;
use std::process::{Command, Stdio};

/// The processes of a container as `ps(1)` with these arguments shows them: titles, and one row each.
///
/// # Errors
/// When it does not run.
pub fn top(
    engine: &Engine,
    container: &str,
    arguments: &[String],
) -> Result<(Vec<String>, Vec<Vec<String>>), EngineError> {
    let row = find_settled(engine, container)?;
    if !matches!(status(&row), Status::Running | Status::Paused) {
        return Err(EngineError::Conflict { message: format!("container {} is not running", row.id), hint: None });
    }
    let pids: HashSet<u32> = cgroup(&row)?.processes()?.into_iter().collect();
    let mut command = Command::new("ps");
    match arguments {
        [] => command.arg("-ef"),
        arguments => command.args(arguments),
    };
    let output = command.stdin(Stdio::null()).output().map_err(|e| EngineError::io("run", "ps", e))?;
    if !output.status.success() {
        return Err(EngineError::Invalid {
            problem: format!("ps: {}", String::from_utf8_lossy(&output.stderr).trim()),
            hint: None,
        });
    }
    table(&String::from_utf8_lossy(&output.stdout), &pids)
}

/// The lines of these processes, in columns; the last one takes all words that are left.
fn table(output: &str, pids: &HashSet<u32>) -> Result<(Vec<String>, Vec<Vec<String>>), EngineError> {
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
        let (titles, rows) = table(output, &HashSet::from([23, 4])).unwrap();
        assert_eq!(titles, ["UID", "PID", "CMD"]);
        assert_eq!(rows, [vec!["root", "23", "sh -c 'a b'"], vec!["root", "4", "x"]]);
        assert!(table("USER CMD\nroot x\n", &HashSet::from([1])).unwrap_err().to_string().contains("PID field"));
        assert_eq!(table("PID\n7\n", &HashSet::from([7])).unwrap().1, [vec!["7"]]);
    }
}
