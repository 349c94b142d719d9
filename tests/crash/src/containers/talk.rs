//! A container that talks and then ends with a status of its own: what of that has to be known, whoever was killed.

use crate::failure::{Failure, violated};
use crate::process::Done;

use super::{Hit, World};

/// What talks, in the image as `/bin/talk`: bursts of lines.
pub(super) const SCRIPT: &str = "#!/bin/sh
i=0
while [ $i -lt 60 ]; do
    echo line $i
    i=$((i+1))
    [ $((i % 12)) = 0 ] && sleep 0.03
done
exit 7
";

/// How many milliseconds that takes, about.
pub(super) const TAKES: u64 = 250;

/// What the whole log is.
fn whole() -> String {
    (0..60).map(|n| format!("line {n}\n")).collect()
}

impl World {
    /// Waits for its end, and compares. `command`: what the command said that ran it.
    pub(super) fn heard(&self, hit: Hit, command: &Done, when: &str) -> Result<(), Failure> {
        let ended = self.dhow.run("wait cc")?;
        if !ended.success && ended.errors.contains("No such container") {
            // Never made, then; what was made stays.
            return Ok(());
        }
        let code = ended.or_violated(when)?.output.trim().to_owned();
        let log = self.dhow.run("logs cc")?.or_violated(when)?.output;
        let told = format!("{when}: exit status {code}, log: {log}");
        match (code.as_str(), log.is_empty(), hit.is_all_watchers()) {
            // It never got as far as its program: it was not even started (0), or the start came to nothing.
            ("0" | "128", true, _) => return Ok(()),
            // Written down as running by the one, and not yet let through the gate by the other: it ended there.
            ("255", true, _) if matches!(hit, Hit::CommandAndSupervisor) => return Ok(()),
            // With both of them an end can be lost, and what they had in hand.
            ("7" | "255", _, true) => return in_order(&log, &told),
            ("7", false, false) if log == whole() => {}
            _ => return violated(told),
        }
        // Who was not killed has heard and told the same.
        let attached = !command.line.contains(" -d ");
        if attached && !hit.is_command() && (command.output != log || !command.how.contains("status: 7")) {
            return violated(format!("{told}; its command {}: {}{}", command.how, command.output, command.errors));
        }
        Ok(())
    }
}

/// Lines as they were written, none twice; some may be missing.
fn in_order(log: &str, told: &str) -> Result<(), Failure> {
    let whole = whole();
    let mut written = whole.lines();
    match log.lines().all(|line| written.any(|other| other == line)) {
        true => Ok(()),
        false => violated(told.to_owned()),
    }
}
