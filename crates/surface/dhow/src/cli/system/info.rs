//! `info`, `system info`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
use crate::output::inspect::render_one;
use crate::output::units;
use dhow_engine::container::{self, view::Container};
use dhow_engine::system::info::Info;
use dhow_runtime::status::Status;
use serde_json::{Value, json};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Information {
    /// Format output using a custom template: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS]",
    about: "Display system-wide information",
    aliases: "dhow system info, dhow info",
    count: Count::None,
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Information>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let engine = globals.engine_or_reader()?;
    let (info, counts) = (engine.info()?, Counts::of(&container::list(&engine)?));
    match args.format.as_deref().filter(|f| !f.is_empty()) {
        Some(format) => parse::print(&render_one(format, &document(&info, &counts), "system.dockerInfo")?),
        None => parse::print(&text(&info, &counts)),
    }
}

/// How many containers there are.
struct Counts {
    all: usize,
    running: usize,
    paused: usize,
}

impl Counts {
    fn of(containers: &[Container]) -> Counts {
        let count = |status: Status| containers.iter().filter(|c| c.status == status).count();
        Counts { all: containers.len(), running: count(Status::Running), paused: count(Status::Paused) }
    }

    fn stopped(&self) -> usize {
        self.all - self.running - self.paused
    }
}

fn document(info: &Info, counts: &Counts) -> Value {
    json!({
        "ID": info.store_id,
        "Containers": counts.all,
        "ContainersRunning": counts.running,
        "ContainersPaused": counts.paused,
        "ContainersStopped": counts.stopped(),
        "Images": info.usage.images,
        "Driver": info.snapshots.driver(),
        "DriverStatus": driver_status(info),
        "DockerRootDir": info.root.display().to_string(),
        "RunRoot": info.run_root.display().to_string(),
        "ReadOnly": info.read_only,
        "KernelVersion": info.machine.kernel,
        "OperatingSystem": info.machine.operating_system,
        "OSType": "linux",
        "Architecture": info.machine.architecture,
        "NCPU": info.machine.cpus,
        "MemTotal": info.machine.memory,
        "Name": info.machine.host_name,
        "CgroupVersion": info.machine.cgroup_version,
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Layers": {"Count": info.usage.layers.0, "Size": info.usage.layers.1},
        "Blobs": {"Count": info.usage.blobs.0, "Size": info.usage.blobs.1},
        "Warnings": info.warnings,
    })
}

/// Pairs of words, as docker's drivers tell about themselves.
fn driver_status(info: &Info) -> Value {
    json!([["Backing Filesystem", info.file_system], ["Mount Method", info.snapshots.method()],])
}

fn text(info: &Info, counts: &Counts) -> String {
    let machine = &info.machine;
    let mut text = format!("Client: dhow\n Version:    {}\n\nStore:\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: String| text.push_str(&format!(" {name}: {value}\n"));
    line("ID", info.store_id.clone());
    line("Data Root", info.root.display().to_string());
    line("Run Root", info.run_root.display().to_string());
    line("Read Only", info.read_only.to_string());
    line("Containers", counts.all.to_string());
    line(" Running", counts.running.to_string());
    line(" Paused", counts.paused.to_string());
    line(" Stopped", counts.stopped().to_string());
    line("Images", info.usage.images.to_string());
    line("Layers", format!("{} ({})", info.usage.layers.0, units::human_size(info.usage.layers.1)));
    line("Blobs", format!("{} ({})", info.usage.blobs.0, units::human_size(info.usage.blobs.1)));
    line("Snapshots", info.snapshots.driver().to_owned());
    line(" Backing Filesystem", info.file_system.clone());
    line(" Mount Method", info.snapshots.method().to_owned());
    line("Cgroup Version", machine.cgroup_version.clone());
    line("Kernel Version", machine.kernel.clone());
    line("Operating System", machine.operating_system.clone());
    line("Architecture", machine.architecture.clone());
    line("CPUs", machine.cpus.to_string());
    line("Total Memory", units::binary_size(machine.memory));
    line("Name", machine.host_name.clone());
    for warning in &info.warnings {
        text.push_str(&format!("WARNING: {warning}\n"));
    }
    text
}
