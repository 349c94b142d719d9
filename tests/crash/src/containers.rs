//! Kills commands on containers, their supervisors, the keeper, or several of them at once, at random times, and checks what
//! is left.
//!
//! A container is processes, control groups, directories and a row; after any kill, what the row says is true, the
//! container can be used or removed, and removed it leaves none of these. Commands are not traced here: a tracer would
//! have to follow into the container, which lives on.

mod talk;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::arguments::ContainerPlan;
use crate::failure::{Failure, violated};
use crate::mounts;
use crate::picture::names;
use crate::prepared::empty;
use crate::process::{Dhow, Done, Watchdog, tool};
use crate::random::Random;
use crate::report;

/// What runs, and for how long at most something may be left that is on its way out.
const SETTLE: Duration = Duration::from_secs(20);
/// A scenario that is broken is broken.
const ENOUGH_VIOLATIONS: u64 = 5;

/// One command to be killed, on a container called `cc` of an image called `box`.
struct Case {
    name: &'static str,
    setup: &'static [&'static str],
    command: &'static str,
}

const RUN: &str = "run -d --init --name cc box sleep 1000";
const CREATE: &str = "create --init --name cc box sleep 1000";
/// On a network with names, with a port of the host.
const RUN_ON: &str = "run -d --init --network lan -p 18080:80 --name cc box sleep 1000";
const CREATE_ON: &str = "create --init --network lan -p 18080:80 --name cc box sleep 1000";
const CONNECT: &str = "network connect lan2 cc";

const CASES: &[Case] = &[
    Case { name: "create", setup: &[], command: CREATE },
    Case { name: "run-detached", setup: &[], command: RUN },
    Case { name: "run", setup: &[], command: "run --name cc box true" },
    Case { name: "run-rm", setup: &[], command: "run --rm --name cc box true" },
    Case { name: "run-rm-long", setup: &[], command: "run --rm --init --name cc box sleep 0.1" },
    Case { name: "start", setup: &[CREATE], command: "start cc" },
    Case { name: "start-again", setup: &[RUN, "stop cc"], command: "start cc" },
    Case { name: "stop", setup: &[RUN], command: "stop cc" },
    Case { name: "kill", setup: &[RUN], command: "kill cc" },
    Case { name: "restart", setup: &[RUN], command: "restart cc" },
    Case { name: "pause", setup: &[RUN], command: "pause cc" },
    Case { name: "unpause", setup: &[RUN, "pause cc"], command: "unpause cc" },
    Case { name: "exec", setup: &[RUN], command: "exec cc true" },
    Case { name: "rm", setup: &[CREATE], command: "rm cc" },
    Case { name: "rm-force", setup: &[RUN], command: "rm -f cc" },
    Case { name: "talk", setup: &[], command: "run --name cc box talk" },
    Case { name: "talk-detached", setup: &[], command: "run -d --name cc box talk" },
    Case { name: "talk-terminal", setup: &[], command: "run -d -t --log-driver none --name cc box talk" },
    Case { name: "run-on-network", setup: &[], command: RUN_ON },
    Case { name: "run-rm-on-network", setup: &[], command: "run --rm --network lan -p 18080:80 --name cc box true" },
    Case { name: "start-on-network", setup: &[CREATE_ON], command: "start cc" },
    Case { name: "restart-on-network", setup: &[RUN_ON], command: "restart cc" },
    Case { name: "stop-on-network", setup: &[RUN_ON], command: "stop cc" },
    Case { name: "rm-on-network", setup: &[RUN_ON], command: "rm -f cc" },
    Case { name: "network-connect", setup: &[RUN_ON], command: CONNECT },
    Case { name: "network-disconnect", setup: &[RUN_ON, CONNECT], command: "network disconnect lan2 cc" },
    Case { name: "network-create", setup: &[], command: "network create other" },
    Case { name: "network-rm", setup: &["network create other"], command: "network rm other" },
    Case { name: "network-reload", setup: &[RUN_ON], command: "network reload" },
    Case { name: "restart-policy", setup: &[], command: "run -d --restart on-failure:2 --name cc box false" },
];

impl Case {
    fn talks(&self) -> bool {
        self.command.ends_with("talk")
    }

    /// Whether all that it says can be read back.
    fn logs(&self) -> bool {
        self.talks() && !self.command.contains("--log-driver none")
    }
}

/// Whom the kill hits.
#[derive(Debug, Clone, Copy)]
enum Hit {
    Command,
    Supervisor,
    Keeper,
    CommandAndSupervisor,
    Watchers,
    All,
}

impl Hit {
    fn choose(random: &mut Random) -> Hit {
        match random.below(12) {
            0 | 1 => Hit::Supervisor,
            2 | 3 => Hit::Keeper,
            4 | 5 => Hit::CommandAndSupervisor,
            6 => Hit::Watchers,
            7 => Hit::All,
            _ => Hit::Command,
        }
    }

    fn is_command(self) -> bool {
        matches!(self, Hit::Command | Hit::CommandAndSupervisor | Hit::All)
    }

    fn is_all_watchers(self) -> bool {
        matches!(self, Hit::Watchers | Hit::All)
    }

    /// Of the processes beside containers, by the word that they were called with.
    fn watchers(self) -> &'static [&'static str] {
        match self {
            Hit::Command => &[],
            Hit::Supervisor | Hit::CommandAndSupervisor => &["supervise"],
            Hit::Keeper => &["keep"],
            Hit::Watchers | Hit::All => &["supervise", "keep"],
        }
    }
}

/// Runs the plan; true when no promise was broken.
pub(crate) fn run(plan: &ContainerPlan) -> Result<bool, Failure> {
    let began = Instant::now();
    let store = plan.work.join("containers");
    fs::create_dir_all(&store).map_err(Failure::io("create", &store))?;
    if mounts::private()? {
        mounts::in_memory(&store)?;
    }
    let world = World::make(plan, &store)?;
    let cases: Vec<&Case> =
        CASES.iter().filter(|case| plan.only.as_deref().is_none_or(|only| only == case.name)).collect();
    if cases.is_empty() {
        return Err(Failure::Usage("there is no such scenario".into()));
    }
    let each = plan.count.div_ceil(cases.len() as u64);
    let (mut kills, mut violations, mut lines) = (0, 0, Vec::new());
    for case in cases {
        let longest = world.duration(case)?;
        let (mut killed, mut broken) = (0, 0);
        for trial in plan.trial.map_or(0..each, |trial| trial..trial + 1) {
            match world.trial(case, plan.seed, trial, longest) {
                Ok(hit) => killed += u64::from(hit),
                Err(Failure::Violated(text)) => {
                    broken += 1;
                    let again = format!(
                        "dhow-crash containers --dhow {} --scenario {} --seed {} --trial {trial}",
                        plan.dhow.display(),
                        case.name,
                        plan.seed
                    );
                    report::violation(case.name, &text, &again, &store);
                    world.clear()?;
                }
                Err(failure) => return Err(failure),
            }
            if broken >= ENOUGH_VIOLATIONS {
                break;
            }
        }
        lines.push(format!("{:<16}{killed:>6} kills{broken:>6} violations", case.name));
        kills += killed;
        violations += broken;
    }
    if let Err(Failure::Violated(text)) = world.retire() {
        violations += 1;
        report::violation("end", &text, "dhow-crash containers", &store);
    }
    lines.push(format!("{kills} kills, {violations} violations, {:.1} s", began.elapsed().as_secs_f64()));
    report::power(&lines);
    // Where it is a mount of our own it ends with this process.
    let _ = fs::remove_dir_all(&store);
    Ok(violations == 0)
}

struct World {
    dhow: Dhow,
    store_id: String,
}

impl World {
    /// A store with one image, a static busybox and its links.
    fn make(plan: &ContainerPlan, store: &Path) -> Result<World, Failure> {
        let root = store.join("box");
        fs::create_dir_all(root.join("bin")).map_err(Failure::io("create", &root))?;
        let busybox = root.join("bin/busybox");
        fs::copy(&plan.busybox, &busybox).map_err(Failure::io("copy", &plan.busybox))?;
        for name in ["sh", "sleep", "true", "false"] {
            let link = root.join("bin").join(name);
            match std::os::unix::fs::symlink("busybox", &link) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(Failure::io("link", &link)(e)),
                _ => {}
            }
        }
        let talk = root.join("bin/talk");
        fs::write(&talk, talk::SCRIPT).map_err(Failure::io("write", &talk))?;
        let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&talk, runs).map_err(Failure::io("set the mode of", &talk))?;
        tool(std::process::Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(store.join("box.tar")).arg("."))?;
        let live = store.join("live");
        let dhow = Dhow {
            program: plan.dhow.clone(),
            run_root: live.join("run"),
            live,
            inputs: store.to_owned(),
            watchdog: Watchdog::new(),
            swallow: None,
        };
        if dhow.root().exists() {
            // Of a run that was cut off, with whatever container it had.
            dhow.run("rm -f cc")?;
        }
        empty(&dhow.live)?;
        dhow.run("import {in}/box.tar box")?.or_failed()?;
        for network in ["lan", "lan2"] {
            dhow.run(&format!("network create {network}"))?.or_failed()?;
        }
        let ids = names(&dhow.run_root)?;
        let store_id = ids.into_iter().next().ok_or_else(|| Failure::Usage("the run root is empty".into()))?;
        Ok(World { dhow, store_id })
    }

    /// How long the command takes when nobody kills it.
    fn duration(&self, case: &Case) -> Result<Duration, Failure> {
        self.set_up(case)?;
        let began = Instant::now();
        let done = self.dhow.run(case.command)?;
        if case.talks() {
            let more = if case.command.contains(" -d ") { talk::TAKES } else { 0 };
            let took = began.elapsed() + Duration::from_millis(more);
            if case.logs() {
                self.heard(Hit::Command, &done, "without a kill")?;
            }
            self.remove("without a kill")?;
            return Ok(took);
        }
        done.or_failed()?;
        let took = began.elapsed();
        self.remove("without a kill")?;
        Ok(took)
    }

    fn set_up(&self, case: &Case) -> Result<(), Failure> {
        for line in case.setup {
            let done = self.dhow.run(line)?;
            if !done.success {
                let seen = self.dhow.run("ps -a --no-trunc")?;
                let again = self.dhow.run("rm -f cc")?;
                let said = format!("{}; `rm -f`: {}{}", seen.output, again.output, again.errors);
                return violated(format!("set-up: `{line}`: {}\n{said}", done.errors));
            }
        }
        Ok(())
    }

    /// One trial; tells whether anything was killed before its own end.
    fn trial(&self, case: &Case, seed: u64, trial: u64, longest: Duration) -> Result<bool, Failure> {
        let mut random = Random::new(seed, case.name, trial);
        self.set_up(case)?;
        let after = Duration::from_micros(random.below(longest.as_micros() as u64 * 6 / 5));
        let hit = Hit::choose(&mut random);
        let when = format!("{hit:?} killed after {} us", after.as_micros());
        let (killed, done) = self.kill(case, hit, after)?;
        let state = self.state(&when)?;
        if case.logs() {
            self.heard(hit, &done, &when)?;
        }
        let repaired = random.chance(50);
        if repaired {
            self.dhow.run("system check --repair")?.or_violated(&when)?;
        }
        self.use_it(state.as_deref(), &when)?;
        self.remove(&when)?;
        self.check(repaired, &when)?;
        // The name is free.
        self.dhow.run("create --name cc box true")?.or_violated(&when)?;
        self.remove(&when)?;
        Ok(killed)
    }

    fn kill(&self, case: &Case, hit: Hit, after: Duration) -> Result<(bool, Done), Failure> {
        let child = self.dhow.spawn(case.command, Stdio::piped)?;
        thread::sleep(after);
        let mut hits: Vec<i32> = hit.watchers().iter().flat_map(|word| self.called(word)).collect();
        let watchers = !hits.is_empty();
        hits.extend(hit.is_command().then(|| child.id().cast_signed()));
        // Stopped first: then none of them sees another one die.
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for process in &hits {
                // An error means that it has just ended; the command is not reaped before it is waited for below.
                let _ = kill(Pid::from_raw(*process), signal);
            }
        }
        let done = self.dhow.finish(case.command, child)?;
        Ok((watchers || done.how.contains("signal: 9"), done))
    }

    /// The processes beside containers that were called with this word.
    fn called(&self, word: &str) -> Vec<i32> {
        let is_one = |process: &i32| {
            let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|other| other == word.as_bytes())
        };
        self.processes("supervisors").into_iter().filter(is_one).collect()
    }

    /// With the last container the keeper goes, and the groups.
    fn retire(&self) -> Result<(), Failure> {
        let began = Instant::now();
        while began.elapsed() < SETTLE {
            if self.processes("").is_empty() && self.parents().is_empty() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        violated(format!("left with no container there: {:?} {:?}", self.processes(""), self.parents()))
    }

    /// The state that the container's row tells; none when there is no container.
    fn state(&self, when: &str) -> Result<Option<String>, Failure> {
        let done = self.dhow.run("ps -a --format {{.Names}}={{.State}}")?.or_violated(when)?;
        let mut lines = done.output.lines();
        let state = lines.next().map(|line| line.trim_start_matches("cc=").to_owned());
        if let Some(other) = lines.next() {
            return violated(format!("{when}: there is a second container: {other}"));
        }
        Ok(state)
    }

    /// What runs can be used, whoever watches it or does not.
    fn use_it(&self, state: Option<&str>, when: &str) -> Result<(), Failure> {
        if state == Some("paused") {
            self.dhow.run("unpause cc")?.or_violated(when)?;
        }
        if !matches!(state, Some("running" | "paused")) {
            return Ok(());
        }
        // A short program ends between two looks, and its restart policy may begin it again. Was whoever is to do that
        // killed as well, others leave it to him for ten seconds.
        let began = Instant::now();
        while began.elapsed() < SETTLE {
            let done = self.dhow.run("exec cc true")?;
            if done.success && !self.called("supervise").is_empty() {
                return Ok(());
            }
            if self.state(when)?.as_deref() != Some("running") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.dhow.run("exec cc true")?.or_violated(when).map(|_| ())
    }

    /// The container goes, and with it all that it was.
    fn remove(&self, when: &str) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let done = self.dhow.run("rm -f cc")?;
            // One that removes itself may be doing that.
            if !done.success && !done.errors.contains("No such container") && !done.errors.contains("in progress") {
                return done.or_violated(when).map(|_| ());
            }
            self.dhow.run("network rm -f other")?.or_violated(when)?;
            let mut left = self.left()?;
            left.extend(self.left_of_networks()?);
            if left.is_empty() && self.state(when)?.is_none() {
                break;
            }
            if began.elapsed() > SETTLE {
                return violated(format!("{when}: left after the removal: {left:?}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Nothing is left to repair, but for the lock files of the dead where no repair was asked for: they hold nothing.
    fn check(&self, repaired: bool, when: &str) -> Result<(), Failure> {
        let done = self.dhow.run("system check")?;
        let mut findings = done.output.lines().filter(|line| line.starts_with("found:")).peekable();
        let locks = findings.peek().is_some() && findings.all(|line| line.starts_with("found: stale-lock:"));
        if done.success || repaired || !locks {
            return done.or_violated(when).map(|_| ());
        }
        self.dhow.run("system check --repair")?.or_violated(when)?;
        self.dhow.run("system check")?.or_violated(when).map(|_| ())
    }

    /// Whatever is still there of any container.
    fn left(&self) -> Result<BTreeSet<String>, Failure> {
        let mut left = BTreeSet::new();
        for directory in [
            self.dhow.root().join("containers"),
            self.dhow.root().join("work"),
            self.dhow.run_root.join(&self.store_id).join("containers"),
        ] {
            for name in names(&directory).unwrap_or_default() {
                left.insert(directory.join(name).display().to_string());
            }
        }
        // It waits a moment for the next container.
        let keepers = self.called("keep");
        for process in self.processes("").into_iter().filter(|process| !keepers.contains(process)) {
            let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            left.insert(format!("process {process}: {}", String::from_utf8_lossy(&words).replace('\0', " ")));
        }
        for group in self.groups() {
            left.insert(group.display().to_string());
        }
        Ok(left)
    }

    /// What the kernel still has of a container on a network, or of a network that has gone.
    fn left_of_networks(&self) -> Result<BTreeSet<String>, Failure> {
        let said = |program: &str, words: &[&str]| {
            let output = std::process::Command::new(program).args(words).output();
            let output = output.map_err(Failure::io("run", Path::new(program)))?;
            Ok::<_, Failure>(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let links = said("ip", &["-o", "link"])?;
        let names = links.lines().filter_map(|line| line.split([':', '@']).nth(1)).map(str::trim);
        let ours: Vec<&str> = names.filter(|name| name.starts_with("dv") || name.starts_with("dh-")).collect();
        let listed = self.dhow.run("network ls -q -f driver=bridge")?.output;
        let bridges: Vec<String> = listed.lines().map(|id| format!("dh-{id}")).collect();
        let mut left: BTreeSet<String> = ours
            .into_iter()
            .filter(|name| !bridges.iter().any(|one| one == name))
            .map(|name| format!("link {name}"))
            .collect();
        let table = said("nft", &["list", "ruleset"])?;
        left.extend(table.lines().filter(|line| line.contains("18080")).map(|line| format!("port {}", line.trim())));
        Ok(left)
    }

    /// The groups of the store, in any hierarchy.
    fn parents(&self) -> Vec<PathBuf> {
        let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let roots = mounted.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
        let ours = roots.map(|at| Path::new(at).join("dhow").join(&self.store_id));
        ours.filter(|group| group.is_dir()).collect()
    }

    /// The control groups of containers, in any hierarchy.
    fn groups(&self) -> Vec<PathBuf> {
        let mut groups = Vec::new();
        for ours in self.parents() {
            let names = names(&ours).unwrap_or_default();
            // Files of the group itself have names with a dot; ids have 64 digits.
            groups.extend(names.into_iter().filter(|name| name.len() == 64).map(|name| ours.join(name)));
        }
        groups
    }

    /// Processes in the groups of this store below `part`.
    fn processes(&self, part: &str) -> Vec<i32> {
        let group = format!("/dhow/{}/{part}", self.store_id);
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        all.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
            .filter(|process: &i32| {
                fs::read_to_string(format!("/proc/{process}/cgroup")).is_ok_and(|groups| groups.contains(&group))
            })
            .collect()
    }

    /// After a violation: whatever it takes to go on with the next trial.
    fn clear(&self) -> Result<(), Failure> {
        self.dhow.run("rm -f cc")?;
        self.dhow.run("system check --repair")?;
        for process in self.processes("") {
            // An error means that it has just ended.
            let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
        let began = Instant::now();
        while !self.left()?.is_empty() && began.elapsed() < SETTLE {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
