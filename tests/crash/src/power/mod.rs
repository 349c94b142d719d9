//! A power cut, at the block level: a disk that writes down each write and each flush (server.rs, recorder.rs), the disks that a cut
//! at one moment may leave (disk.rs), dhow's commands on it and what they promised (workload.rs), and the look at
//! what is there when the power is back (aftermath.rs).

mod aftermath;
mod disk;
mod recorder;
mod server;
mod workload;

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::arguments::PowerPlan;
use crate::campaign::now;
use crate::failure::Failure;
use crate::images;
use crate::mounts;
use crate::picture::Lens;
use crate::prepared::{copy, empty};
use crate::process::{Dhow, Watchdog, tool};
use crate::random::Random;
use crate::report;
use aftermath::Aftermath;
use disk::Cut;
pub(crate) use server::serve;
use workload::{Recording, Stage};

/// More findings of the same kind only cost time.
const ENOUGH_VIOLATIONS: u64 = 10;

/// Runs the plan; true when no promise was broken.
pub(crate) fn run(plan: &PowerPlan) -> Result<bool, Failure> {
    let began = Instant::now();
    let place = plan.work.join("disks");
    fs::create_dir_all(&place).map_err(Failure::io("create", &place))?;
    // Before any thread: they inherit the namespace, and all mounts and loop devices end with it.
    if !mounts::private()? {
        return Err(Failure::Usage("a power cut needs the right to mount".into()));
    }
    mounts::in_memory(&place)?;
    let inputs = images::write(&place.join("in"))?;
    let mount = place.join("mnt");
    let dhow = Dhow {
        program: plan.dhow.clone(),
        live: mount.join("live"),
        run_root: place.join("run"),
        inputs: inputs.directory.clone(),
        watchdog: Watchdog::new(),
        swallow: plan.swallow.clone(),
    };
    let lens = Lens { known: inputs.ids(), began: now() - 60 };
    let stage = Stage { place: &place, file_system: &plan.file_system, dhow: &dhow, lens: &lens };
    workload::make_base(&stage)?;
    let between = workload::between(&stage)?;
    // With a bystander that flushes all the time, the disk gets ahead of what dhow itself has flushed.
    let recordings = [workload::record(&stage, false)?, workload::record(&stage, true)?];
    let mut lines: Vec<String> = recordings.iter().map(Recording::describe).collect();
    let mut aftermath = Aftermath::new(&stage, between)?;
    let mut violations = 0;
    let mut tried = 0;
    for index in plan.only.map_or(0..plan.cuts, |only| only..only + 1) {
        if violations == ENOUGH_VIOLATIONS {
            break;
        }
        let mut random = Random::new(plan.seed, "power-cut", index);
        let recording = &recordings[(index % 2) as usize];
        let cut = Cut::choose(&recording.events, recording.began, &mut random);
        let image = place.join("cut.img");
        cut.build(&recording.events, &stage.base(), &image, &mut random)?;
        tried += 1;
        match aftermath.look(recording, &cut, &image, &mut random) {
            Ok(()) => {}
            Err(Failure::Violated(text)) => {
                violations += 1;
                keep(plan, index, &cut, &image, &text)?;
            }
            Err(failure) => return Err(failure),
        }
    }
    lines.push(aftermath.describe());
    lines.push(format!("{tried} cuts, {violations} violations, {:.1} s", began.elapsed().as_secs_f64()));
    report::power(&lines);
    Ok(violations == 0)
}

/// Takes the disk and, as far as it can be mounted, the store out of the memory that ends with this process.
fn keep(plan: &PowerPlan, index: u64, cut: &Cut, image: &Path, text: &str) -> Result<(), Failure> {
    let kept = plan.work.join("kept").join(format!("cut-{index}"));
    empty(&kept)?;
    // Recovery has written to the image meanwhile; the directory shows what it left.
    tool(std::process::Command::new("cp").arg("--sparse=always").arg(image).arg(kept.join("disk.img")))?;
    let mount = image.with_file_name("mnt");
    if workload::mount_image(&plan.file_system, image, &mount).is_ok() {
        let copied = copy(&mount, &kept);
        workload::unmount(&mount)?;
        copied?;
    }
    let again = format!(
        "dhow-crash power-cut --dhow {} --work {} --fs {} --seed {} --cut {index}   (the moment of the cut moves a little)",
        plan.dhow.display(),
        plan.work.display(),
        plan.file_system,
        plan.seed
    );
    report::violation(&format!("{cut}"), text, &again, &kept);
    Ok(())
}
