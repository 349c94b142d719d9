//! Many containers at once: how long a hundred take to start, what each costs while it idles, how long they take to go,
//! and that nothing is left of two hundred.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use super::Options;
use super::disk::Disk;
use super::measure::{Case, Sample, in_order, time};
use super::report::{Figure, Report};
use super::run::{IMAGE, import};
use super::unpack::dhow;
use crate::failure::Failure;
use crate::project::output;

const MANY: usize = 100;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let disk = Disk::fresh(options, 4)?;
    import(options, &disk)?;
    let mut cases = vec![
        Case::new("start 100", || {
            many(MANY, |n| time(dhow(options, &disk).args(["run", "--detach", "--name", &name(n)]).args(SLEEP)))
        }),
        Case::new("supervisor, each (PSS)", || settled().and_then(|()| supervisors(&options.dhow))),
        Case::new("remove 100", || {
            let names: Vec<String> = (0..MANY).map(name).collect();
            time(dhow(options, &disk).args(["rm", "--force"]).args(names))
        }),
    ];
    let samples = in_order(&mut cases, options.rounds(3))?;
    drop(cases);
    let about = format!("{MANY} idle containers of busybox `sleep`, started one after the other, removed together");
    let figures = &[Figure::WallMillis, Figure::CpuMillis, Figure::PeakMebibytes];
    Report { name: "density", about, cases: samples, figures }.publish(options)?;
    leaves_nothing(options, &disk)
}

const SLEEP: [&str; 5] = ["--network", "none", IMAGE, "sleep", "100000"];

fn name(n: usize) -> String {
    format!("idle-{n}")
}

fn many(count: usize, mut one: impl FnMut(usize) -> Result<Sample, Failure>) -> Result<Sample, Failure> {
    let mut sum = Sample { wall: 0.0, cpu: 0.0, peak: 0 };
    for n in 0..count {
        let sample = one(n)?;
        sum = Sample { wall: sum.wall + sample.wall, cpu: sum.cpu + sample.cpu, peak: 0 };
    }
    Ok(sum)
}

/// A supervisor gives up the memory of the start after half a second.
fn settled() -> Result<(), Failure> {
    std::thread::sleep(std::time::Duration::from_secs(2));
    Ok(())
}

/// The proportional set size of a supervisor on the average, as the peak of a sample.
fn supervisors(dhow: &Path) -> Result<Sample, Failure> {
    let mut sizes = Vec::new();
    for pid in processes()? {
        let place = Path::new("/proc").join(pid.to_string());
        let words = std::fs::read(place.join("cmdline")).unwrap_or_default();
        let ours = same_file(&place.join("exe"), dhow);
        if !ours || !words.split(|b| *b == 0).any(|word| word == b"supervise") {
            continue;
        }
        let rollup = std::fs::read_to_string(place.join("smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok());
        sizes.extend(pss.map(|kib: i64| kib));
    }
    if sizes.len() < MANY {
        return Err(Failure::new(format!("{} supervisors run, and not {MANY}", sizes.len())));
    }
    let each = sizes.iter().sum::<i64>() / i64::try_from(sizes.len()).expect("some hundreds");
    println!("xtask: PSS of each of {} supervisors: {each} KiB", sizes.len());
    Ok(Sample { wall: 0.0, cpu: 0.0, peak: each })
}

fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    id(a).is_some_and(|a| Some(a) == id(b))
}

fn processes() -> Result<Vec<u32>, Failure> {
    let entries = std::fs::read_dir("/proc").map_err(Failure::at(Path::new("/proc")))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Starts and removes two hundred, and looks for what is left of them: processes, mounts, control groups, files.
fn leaves_nothing(options: &Options, disk: &Disk) -> Result<(), Failure> {
    let before = picture(options, disk)?;
    for n in 0..2 * MANY {
        output(dhow(options, disk).args(["run", "--detach", "--name", &name(n)]).args(SLEEP))?;
    }
    for n in 0..2 * MANY {
        output(dhow(options, disk).args(["rm", "--force", &name(n)]))?;
    }
    // Whoever watched for all of them waits a while before it ends.
    let mut left = Vec::new();
    for _ in 0..50 {
        left = picture(options, disk)?.difference(&before).cloned().collect();
        if left.is_empty() {
            println!("{} containers were started and removed, and nothing is left of them", 2 * MANY);
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    left.sort();
    Err(Failure::new(format!("of {} containers there is left: {}", 2 * MANY, left.join(", "))))
}

fn picture(options: &Options, disk: &Disk) -> Result<HashSet<String>, Failure> {
    let mut all = HashSet::new();
    for pid in processes()? {
        if same_file(&Path::new("/proc").join(pid.to_string()).join("exe"), &options.dhow) {
            all.insert(format!("process {pid}"));
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(Failure::at(Path::new("mountinfo")))?;
    all.extend(mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(|place| format!("mount {place}")));
    let store = output(dhow(options, disk).args(["system", "info", "--format", "{{json .}}"])).unwrap_or_default();
    let id = serde_json::from_str::<serde_json::Value>(&store)
        .ok()
        .and_then(|info| Some(info["StoreID"].as_str()?.to_owned()));
    let groups =
        output(Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-path", "*/dhow/*"])).unwrap_or_default();
    let of_store = |group: &&str| id.as_ref().is_none_or(|id| group.contains(id.as_str()));
    all.extend(groups.lines().filter(of_store).map(|group| format!("group {group}")));
    for place in ["root/containers", "root/work", "run"] {
        let files =
            output(Command::new("find").arg(disk.path().join(place)).args(["-mindepth", "1"])).unwrap_or_default();
        all.extend(files.lines().map(|file| format!("file {file}")));
    }
    Ok(all)
}
