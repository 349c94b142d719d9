//! The host that a test's dhow sees: a network namespace of the test's own. And other hosts beside it.
//!
//! dhow's networks live in the network namespace that its commands run in. A test's thread goes into a new one before its
//! first store is made, and all that it starts stays there: no test meets the bridges, ports and rules of another one or of
//! the machine. (Where tests run one after the other in the main thread they share one.)

use nix::sched::{CloneFlags, setns, unshare};
use std::cell::Cell;
use std::fs::File;
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc::channel;

use super::command::run;

thread_local! {
    static PRIVATE: Cell<bool> = const { Cell::new(false) };
}

/// Takes the calling thread, and whoever it starts from now on, into a network namespace with nothing but a loopback.
pub(crate) fn private() {
    if !PRIVATE.replace(true) {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests run as root: cargo xtask test");
        ip(&["link", "set", "lo", "up"]);
    }
}

/// Runs iproute2 in the calling thread's namespace; what it prints.
#[track_caller]
pub(crate) fn ip(args: &[&str]) -> String {
    run(Command::new("ip").args(args)).ok().stdout
}

/// Another host, on one wire with the test's, which is its way to everywhere else.
pub(crate) struct Neighbour(File);

impl Neighbour {
    /// On `out0`: the test's host is 192.0.2.1 and 2001:db8::1 there, this one .2 and ::2. One for each test.
    pub(crate) fn new() -> Neighbour {
        Neighbour::on("out0", "192.0.2.", "2001:db8::")
    }

    /// A second one, on `out1`: 198.51.100.1 and .2, 2001:db8:1::1 and ::2.
    pub(crate) fn second() -> Neighbour {
        Neighbour::on("out1", "198.51.100.", "2001:db8:1::")
    }

    fn on(link: &str, v4: &str, v6: &str) -> Neighbour {
        private();
        let lines = |lines: &[&str]| {
            let filled = lines.iter().map(|line| line.replace("LINK", link).replace("V4.", v4).replace("V6::", v6));
            filled.collect::<Vec<_>>()
        };
        let there = lines(&[
            "link set lo up",
            "addr add V4.2/24 dev eth0",
            "addr add V6::2/64 dev eth0 nodad",
            "link set eth0 up",
            "route add default via V4.1",
            "-6 route add default via V6::1",
        ]);
        let here = lines(&["addr add V4.1/24 dev LINK", "addr add V6::1/64 dev LINK nodad", "link set LINK up"]);
        let each = |lines: Vec<String>| lines.iter().for_each(|line| drop(ip(&line.split(' ').collect::<Vec<_>>())));
        let (say, hear) = channel();
        let (go, wait) = channel::<()>();
        let thread = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let own = File::open("/proc/thread-self/ns/net").unwrap();
            say.send((nix::unistd::gettid(), own)).unwrap();
            wait.recv().unwrap();
            each(there);
        });
        let (tid, namespace) = hear.recv().unwrap();
        ip(&["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", &tid.to_string()]);
        each(here);
        go.send(()).unwrap();
        thread.join().unwrap();
        Neighbour(namespace)
    }

    /// Not another host, but where a process is.
    pub(crate) fn of_process(pid: &str) -> Neighbour {
        Neighbour(File::open(format!("/proc/{pid}/ns/net")).unwrap())
    }

    /// Does something there, in a thread of its own; programs that it starts and sockets that it opens stay there.
    #[track_caller]
    pub(crate) fn with<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                PRIVATE.set(true);
                work()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A connection from there.
    pub(crate) fn connect(&self, address: &str) -> std::io::Result<TcpStream> {
        let address = address.parse().unwrap();
        self.with(|| TcpStream::connect_timeout(&address, std::time::Duration::from_secs(5)))
    }
}
