//! What networks add to a container of one small program, from the command line to the prompt.
//!
//! All in a network namespace of its own, which `nsenter` of util-linux leads into; that is in every figure.

use std::process::{Child, Command, Stdio};

use super::Options;
use super::disk::Disk;
use super::measure::{Case, interleave, time};
use super::report::{Figure, Report};
use super::run::{IMAGE, import};
use super::unpack::dhow;
use crate::failure::Failure;
use crate::project::output;

/// A network namespace, held by a process that sleeps in it.
struct Host(Child);

impl Host {
    fn new() -> Result<Host, Failure> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 100000"]);
        let mut child =
            command.stdout(Stdio::piped()).spawn().map_err(|e| Failure::new(format!("cannot start unshare: {e}")))?;
        let mut said = [0; 3];
        let heard = child.stdout.take().map(|mut stdout| std::io::Read::read_exact(&mut stdout, &mut said));
        let host = Host(child);
        match heard {
            Some(Ok(())) => Ok(host),
            _ => Err(Failure::new("cannot make a network namespace: unshare and ip (iproute2) are needed")),
        }
    }

    /// That command, in there.
    fn inside(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.arg(format!("--net=/proc/{}/ns/net", self.0.id())).arg(command.get_program()).args(command.get_args());
        entered
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let disk = Disk::fresh(options, 4)?;
    import(options, &disk)?;
    let host = Host::new()?;
    let command = |words: &[&str]| host.inside(dhow(options, &disk).args(words));
    output(&mut command(&["network", "create", "lan"]))?;
    output(&mut command(&["run", "--detach", "--name", "held", "--network", "lan", IMAGE, "sleep", "100000"]))?;
    let case = |name: &str, network: &'static [&'static str]| {
        let words = [&["run", "--rm"], network, &[IMAGE, "true"]].concat();
        let command = &command;
        Case::new(name, move || time(&mut command(&words)))
    };
    let mut cases = vec![
        case("none", &["--network", "none"]),
        case("host", &["--network", "host"]),
        case("bridge", &["--network", "bridge"]),
        case("bridge, a port", &["--network", "bridge", "--publish", "8080:80"]),
        case("of one's own, with names", &["--network", "lan"]),
    ];
    let cases = interleave(&mut cases, options.rounds(50));
    output(&mut command(&["rm", "--force", "held"]))?;
    let about = "a container of busybox `true` on networks, removed at its end".to_owned();
    Report { name: "network", about, cases: cases?, figures: &[Figure::WallMillis, Figure::CpuMillis] }.publish(options)
}
