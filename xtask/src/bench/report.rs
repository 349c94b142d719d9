//! Figures for people (a table with ratios) and for later (raw samples as JSON in bench/runs/).

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::Options;
use super::measure::Sample;
use crate::failure::Failure;
use crate::project;

/// Which figure of a sample a table is about.
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    WallSeconds,
    WallMillis,
    CpuMillis,
    CpuMicros,
    PeakMebibytes,
}

impl Figure {
    fn of(self, sample: &Sample) -> f64 {
        match self {
            Figure::WallSeconds => sample.wall,
            Figure::WallMillis => sample.wall * 1e3,
            Figure::CpuMillis => sample.cpu * 1e3,
            Figure::CpuMicros => sample.cpu * 1e6,
            Figure::PeakMebibytes => sample.peak as f64 / 1024.0,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Figure::WallSeconds => "wall s",
            Figure::WallMillis => "wall ms",
            Figure::CpuMillis => "CPU ms",
            Figure::CpuMicros => "CPU us",
            Figure::PeakMebibytes => "peak MiB",
        }
    }
}

/// A benchmark's result: its cases, the first of which the ratios are to.
pub(crate) struct Report<'a> {
    pub(crate) name: &'a str,
    /// What was run on what, in a line.
    pub(crate) about: String,
    pub(crate) cases: Vec<(String, Vec<Sample>)>,
    pub(crate) figures: &'a [Figure],
}

impl Report<'_> {
    /// Prints the tables and keeps the samples.
    pub(crate) fn publish(&self, options: &Options) -> Result<(), Failure> {
        println!("\n{}: {}", self.name, self.about);
        for figure in self.figures {
            self.table(*figure);
        }
        let folder = project::root().join("bench/runs");
        fs::create_dir_all(&folder).map_err(Failure::at(&folder))?;
        let date = project::output(Command::new("date").args(["-u", "+%Y-%m-%d-%H%M"]))?;
        let path = folder.join(format!("{}-{}.json", date.trim(), self.name));
        let mut text = format!("{:#}", self.json(options));
        text.push('\n');
        fs::write(&path, text).map_err(Failure::at(&path))?;
        println!("raw samples: {}", path.strip_prefix(project::root()).unwrap_or(&path).display());
        Ok(())
    }

    fn table(&self, figure: Figure) {
        let width = self.cases.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        println!("\n  {:width$}  {:>10} {:>10} {:>4} {:>8}", figure.unit(), "median", "min", "n", "ratio");
        let mut first = None;
        for (name, samples) in &self.cases {
            let mut values: Vec<f64> = samples.iter().map(|sample| figure.of(sample)).collect();
            values.sort_by(f64::total_cmp);
            let (Some(median), Some(min)) = (values.get(values.len() / 2), values.first()) else { continue };
            // A case need not have every figure.
            if *median == 0.0 {
                continue;
            }
            let first = *first.get_or_insert(*median);
            println!("  {name:width$}  {median:>10.3} {min:>10.3} {:>4} {:>7.2}x", values.len(), median / first);
        }
    }

    fn json(&self, options: &Options) -> Value {
        let cases: Vec<Value> = self
            .cases
            .iter()
            .map(|(name, samples)| {
                let samples: Vec<Value> = samples
                    .iter()
                    .map(|sample| json!({ "wall_s": sample.wall, "cpu_s": sample.cpu, "peak_kib": sample.peak }))
                    .collect();
                json!({ "name": name, "samples": samples })
            })
            .collect();
        json!({ "bench": self.name, "about": self.about, "machine": machine(options), "cases": cases })
    }
}

/// What a reader of old figures wants to know about where they were taken.
fn machine(options: &Options) -> Value {
    let said = |program: &str, args: &[&str]| {
        project::output(Command::new(program).args(args).current_dir(project::root()))
            .ok()
            .map(|said| said.trim().to_owned())
    };
    let line = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start_matches([':', ' ', '\t']).to_owned()))
    };
    json!({
        "kernel": said("uname", &["-r"]),
        "processor": line("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map(usize::from).unwrap_or(0),
        "memory": line("/proc/meminfo", "MemTotal"),
        "load_after": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "commit": said("git", &["describe", "--always", "--dirty"]),
        "dhow": said(options.dhow.to_str().unwrap_or_default(), &["--version"]),
        "file_systems": if options.ram { "ext4 in memory" } else { "ext4 on disk" },
    })
}
