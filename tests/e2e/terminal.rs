//! Containers with a terminal: somebody types, resizes the window, interrupts, detaches, comes back.

use crate::harness::{Containers, Terminal, eventually};

#[test]
fn a_shell_on_a_terminal() {
    let box_ = Containers::new();
    let mut terminal = Terminal::new(&box_.command(&["run", "--rm", "-it", "box"]), (40, 111));
    terminal.expect("# ");
    terminal.send("tty; stty size; echo $TERM\n");
    let said = terminal.expect("xterm");
    assert!(said.contains("/dev/pts/0") && said.contains("40 111"), "{said}");
    terminal.expect("# ");
    terminal.resize(24, 80);
    eventually("the size has come through", || {
        // The change is a signal on its way.
        std::thread::sleep(std::time::Duration::from_millis(100));
        true
    });
    terminal.send("stty size\n");
    terminal.expect("24 80");
    terminal.send("exit 5\n");
    assert_eq!(terminal.wait(), Some(5));
    box_.assert_nothing_left();
}

#[test]
fn ctrl_c_interrupts_what_runs_in_it() {
    let box_ = Containers::new();
    let mut terminal = Terminal::new(&box_.command(&["run", "--rm", "-it", "box"]), (24, 80));
    terminal.expect("# ");
    terminal.send("sleep 1000\n");
    terminal.expect("sleep 1000");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.send("\x03");
    terminal.expect("# ");
    terminal.send("echo $?\n");
    terminal.expect("130");
    terminal.expect("# ");
    terminal.send("\x04");
    assert_eq!(terminal.wait(), Some(0));
}

#[test]
fn detach_and_attach_again() {
    let box_ = Containers::new();
    let mut terminal = Terminal::new(&box_.command(&["run", "-it", "--name", "dd", "box"]), (24, 80));
    terminal.expect("# ");
    terminal.send("X=kept\n");
    terminal.expect("# ");
    terminal.send("\x10\x11");
    assert_eq!(terminal.wait(), Some(0));
    assert_eq!(box_.shown("dd", "{{.State.Status}}"), "running");
    let mut terminal = Terminal::new(&box_.command(&["attach", "dd"]), (30, 90));
    terminal.send("\n");
    terminal.expect("# ");
    terminal.send("echo $X; stty size\n");
    terminal.expect("kept");
    terminal.expect("30 90");
    terminal.send("\x10\x11");
    terminal.expect("read escape sequence");
    assert_eq!(terminal.wait(), Some(1));
    let mut terminal = Terminal::new(&box_.command(&["attach", "--detach-keys", "ctrl-a,q", "dd"]), (24, 80));
    terminal.send("\n");
    terminal.expect("# ");
    terminal.send("exit 4\n");
    assert_eq!(terminal.wait(), Some(4));
    assert_eq!(box_.shown("dd", "{{.State.ExitCode}}"), "4");
    box_.dhow(&["attach", "dd"]).fails(&["cannot attach to a stopped container"]);
}

#[test]
fn a_client_that_is_killed_leaves_the_container_running() {
    let box_ = Containers::new();
    let mut terminal = Terminal::new(&box_.command(&["run", "-it", "--name", "kk", "box"]), (24, 80));
    terminal.expect("# ");
    let pid = nix::unistd::Pid::from_raw(terminal.pid().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    terminal.wait();
    assert_eq!(box_.shown("kk", "{{.State.Status}}"), "running");
    let mut terminal = Terminal::new(&box_.command(&["attach", "kk"]), (24, 80));
    terminal.send("exit 9\n");
    assert_eq!(terminal.wait(), Some(9));
}

#[test]
fn exec_on_a_terminal() {
    let box_ = Containers::new();
    box_.detached("cc", "sleep 1000");
    let mut terminal = Terminal::new(&box_.command(&["exec", "-it", "cc", "sh"]), (33, 77));
    terminal.expect("# ");
    terminal.send("stty size\n");
    terminal.expect("33 77");
    terminal.resize(20, 60);
    std::thread::sleep(std::time::Duration::from_millis(200));
    terminal.send("stty size\n");
    terminal.expect("20 60");
    terminal.send("exit 6\n");
    assert_eq!(terminal.wait(), Some(6));
    assert_eq!(box_.shown("cc", "{{.State.Status}}"), "running");
}

#[test]
fn a_terminal_without_one_on_this_side() {
    let box_ = Containers::new();
    box_.dhow(&["run", "--rm", "-it", "box", "true"]).fails(&["the input device is not a TTY"]);
    assert_eq!(box_.names(), Vec::<String>::new());
    // Without -i it is fine: lines end as on a terminal.
    assert_eq!(box_.dhow(&["run", "--rm", "-t", "box", "echo", "hi"]).ok().stdout, "hi\r\n");
    let mut terminal = Terminal::new(&box_.command(&["run", "--rm", "-it", "--init", "box"]), (24, 80));
    terminal.expect("# ");
    terminal.send("exit 3\n");
    assert_eq!(terminal.wait(), Some(3));
}
