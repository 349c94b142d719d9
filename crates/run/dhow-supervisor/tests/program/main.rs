//! A supervisor, and those who start and use it, as processes of their own for the tests of this crate.
//!
//! ```text
//!     supervisor                        in place of `dhow internal supervise`
//!     supervisor keep                   in place of `dhow internal keep`
//!     supervisor adopt ADOPTION         adopts as that file says
//!     supervisor upgrade DIRECTORY      has the supervisor of that run directory, or the keeper in it, go on as this program
//!     supervisor launch PLAN ROOT       starts the plan in that file on the directory ROOT; prints `waiting PID`
//!                                       and goes on after a line on stdin
//!     supervisor attach DIRECTORY       attaches with its standard streams; a terminal becomes raw
//!     supervisor read LOG               copies the text of a log to its standard output
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of tests")]

use dhow_supervisor::client::{Connection, Streams, Terminal, adopt, launch};
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => std::process::exit(dhow_supervisor::supervise::supervise().into()),
        ["keep"] => std::process::exit(dhow_supervisor::keeper::keep().into()),
        ["adopt", adoption] => {
            let adoption = serde_json::from_slice(&std::fs::read(adoption).unwrap()).unwrap();
            println!("{:?}", adopt(&std::env::current_exe().unwrap(), &[], &adoption, &[]));
        }
        ["upgrade", directory] => {
            let program = dhow_sys::mount::clone_tree(Path::new("/proc/self/exe")).unwrap();
            let directory = Path::new(directory);
            let outcome = match directory.join("keeper.sock").exists() {
                true => dhow_supervisor::keeper::upgrade(directory, program.as_fd()),
                false => dhow_supervisor::client::upgrade(directory, program.as_fd()),
            };
            println!("{outcome:?}");
        }
        ["launch", plan, root] => {
            let plan = serde_json::from_slice(&std::fs::read(plan).unwrap()).unwrap();
            let root = dhow_sys::mount::clone_tree(Path::new(root)).unwrap();
            let own = std::env::current_exe().unwrap();
            let waiting = launch(&own, &[], &plan, vec![root], Streams::default()).unwrap();
            println!("waiting {}", waiting.pid);
            std::io::stdin().read_line(&mut String::new()).unwrap();
            let connection = waiting.open().unwrap();
            println!("started");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            drop(connection);
        }
        ["attach", directory] => {
            let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
            let terminal = Terminal {
                stdin: Some(stdin.as_fd()),
                stdout: stdout.as_fd(),
                stderr: stderr.as_fd(),
                tty: stdin.is_terminal(),
                detach_keys: Vec::new(),
                on_signal: None,
            };
            let connection = Connection::open(Path::new(directory), ALL).unwrap();
            println!("attached");
            println!("{:?}", connection.stream(terminal, false));
        }
        ["read", log] => {
            let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
            dhow_supervisor::log::read(Path::new(log), &Default::default(), &mut || true, &mut |entry| {
                out.write_all(entry.bytes)?;
                Ok(true)
            })
            .unwrap();
        }
        _ => std::process::exit(2),
    }
}
