//! `dhow exec` and `dhow top`.

use std::path::Path;

use crate::harness::{Containers, Terminal, eventually};

fn running() -> Containers {
    let box_ = Containers::new();
    box_.dhow(&["run", "-d", "--name", "cc", "-e", "A=container", "-w", "/tmp", "box", "sleep", "1000"]).ok();
    box_
}

#[test]
fn exit_codes_output_and_input() {
    let box_ = running();
    let exec = |words: &[&str]| box_.dhow(&[&["exec", "cc"], words].concat());
    assert_eq!(exec(&["sh", "-c", "exit 3"]).code, Some(3));
    let ran = exec(&["sh", "-c", "echo out; echo err >&2"]).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
    let input = "line\n".repeat(100_000);
    assert_eq!(box_.dhow_with_input(&["exec", "-i", "cc", "cat"], input.as_bytes()).ok().stdout, input);
    assert_eq!(box_.dhow_with_input(&["exec", "cc", "cat"], b"unheard").ok().stdout, "");
    assert_eq!(exec(&["sh", "-c", "kill -9 $$"]).code, Some(137));
    exec(&["absent"]).fails_with(127, &["absent", "executable file not found in $path"]);
    exec(&["/bin/data"]).fails_with(126, &["/bin/data", "permission denied"]);
}

#[test]
fn it_is_in_the_container_s_world() {
    let box_ = running();
    let exec =
        |flags: &[&str], script: &str| box_.dhow(&[&["exec"], flags, &["cc", "sh", "-c", script]].concat()).text();
    assert_eq!(exec(&[], "pwd; echo $A $FROM"), "/tmp\ncontainer image");
    assert_eq!(exec(&["-e", "A=exec", "-e", "B=2"], "echo $A $B"), "exec 2");
    assert_eq!(exec(&["-w", "/etc"], "pwd"), "/etc");
    assert_eq!(exec(&["-u", "alice"], "id -u; id -G; echo $HOME"), "1000\n1000 29\n/home/alice");
    assert_eq!(exec(&[], "cat /proc/1/cmdline | tr '\\0' ' '").trim_end(), "sleep 1000");
    for namespace in ["pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let same = format!(
            "test \"$(readlink /proc/1/ns/{namespace})\" = \"$(readlink /proc/self/ns/{namespace})\" && echo same"
        );
        assert_eq!(exec(&[], &same), "same", "{namespace}");
    }
    let caps = "grep -e CapEff -e Seccomp: /proc/self/status | tr -d '\\t'";
    assert_eq!(exec(&[], caps), "CapEff:00000000a80425fb\nSeccomp:2");
    assert_ne!(exec(&["--privileged"], caps).lines().next(), Some("CapEff:00000000a80425fb"));
    assert_eq!(exec(&[], "ls /proc/self/fd").split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn detached_it_goes_on_alone() {
    let box_ = running();
    let ran = box_.dhow(&["exec", "-d", "cc", "sh", "-c", "sleep 0.2; echo there > /tmp/done"]).ok();
    assert_eq!(ran.stdout, "");
    crate::harness::eventually("it has run", || box_.dhow(&["exec", "cc", "cat", "/tmp/done"]).stdout == "there\n");
}

#[test]
fn what_does_not_run_is_not_entered() {
    let box_ = running();
    box_.dhow(&["exec", "absent", "true"]).fails(&["no such container: absent"]);
    box_.dhow(&["kill", "cc"]).ok();
    box_.dhow(&["wait", "cc"]).ok();
    box_.dhow(&["exec", "cc", "true"]).fails(&["is not running"]);
    box_.dhow(&["top", "cc"]).fails(&["is not running"]);
    box_.dhow(&["exec", "-u", "nobody-here", "cc", "true"]).fails(&[]);
    box_.dhow(&["exec", "cc"]).fails(&["requires at least 2 arguments"]);
    box_.dhow(&["exec", "--nonsense", "cc", "true"]).fails_with(125, &["unknown flag: --nonsense"]);
    box_.dhow(&["exec", "-it", "cc", "true"]).fails(&["the input device is not a TTY"]);
}

#[test]
fn twenty_at_once() {
    let box_ = running();
    std::thread::scope(|scope| {
        let box_ = &box_;
        let runs: Vec<_> =
            (0..20).map(|n| scope.spawn(move || box_.dhow(&["exec", "cc", "echo", &n.to_string()]).text())).collect();
        for (n, run) in runs.into_iter().enumerate() {
            assert_eq!(run.join().unwrap(), n.to_string());
        }
    });
}

#[test]
fn top_shows_its_processes() {
    let box_ = running();
    let lines = box_.dhow(&["top", "cc"]).lines();
    let titles: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert_eq!(lines.len(), 2);
    assert!(lines[1].ends_with("sleep 1000"), "{lines:#?}");
    assert!(lines[1].split_whitespace().any(|w| w == box_.shown("cc", "{{.State.Pid}}")), "{lines:#?}");
    let lines = box_.dhow(&["top", "cc", "-o", "pid,args"]).lines();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["PID", "COMMAND"]);
}

#[test]
fn detached_with_a_terminal_it_tells_its_end() {
    let box_ = running();
    let script = "test -t 0 && test -t 1 && tty > /tmp/tty; echo printed; sleep 0.3; exit 5";
    let ran = box_.dhow(&["exec", "-dt", "cc", "sh", "-c", script]).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    eventually("it has a terminal", || box_.dhow(&["exec", "cc", "cat", "/tmp/tty"]).stdout.starts_with("/dev/pts/"));
    let died = |code: &str| {
        let words =
            ["events", "--since", "1h", "--until", "0s", "--filter", "event=exec_die", "--format", "{{json .}}"];
        box_.dhow(&words).ok().stdout.contains(&format!("\"exitCode\":\"{code}\""))
    };
    eventually("its end is told", || died("5"));
    // What cannot be run says so, and is told as begun only, as in docker.
    box_.dhow(&["exec", "-d", "cc", "absent"]).fails_with(127, &["absent", "executable file not found in $path"]);
    box_.dhow(&["exec", "-d", "-u", "nobody-here", "cc", "true"]).fails(&["nobody-here"]);
    let words = ["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"];
    let actions = box_.dhow(&words).lines();
    assert!(actions.iter().any(|action| action == "exec_start: absent"), "{actions:#?}");
    assert!(!died("127"));
    // A container that ends takes what was detached along.
    box_.dhow(&["exec", "-d", "cc", "sleep", "1000"]).ok();
    box_.dhow(&["rm", "-f", "cc"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn the_detach_keys_leave_it_alone() {
    let box_ = running();
    let mut terminal = Terminal::new(&box_.command(&["exec", "-it", "cc", "sh"]), (24, 80));
    terminal.expect("# ");
    terminal.send("trap 'touch /tmp/hung-up' HUP; while :; do touch /tmp/on; sleep 0.1; done\n");
    eventually("it works", || box_.dhow(&["exec", "cc", "ls", "/tmp/on"]).code == Some(0));
    terminal.send("\x10\x11");
    terminal.expect("read escape sequence");
    assert_eq!(terminal.wait(), Some(1));
    box_.dhow(&["exec", "cc", "rm", "/tmp/on"]).ok();
    eventually("it goes on", || box_.dhow(&["exec", "cc", "ls", "/tmp/on"]).code == Some(0));
    assert_ne!(box_.dhow(&["exec", "cc", "ls", "/tmp/hung-up"]).code, Some(0));
    let mut terminal =
        Terminal::new(&box_.command(&["exec", "-it", "--detach-keys", "ctrl-a,q", "cc", "sh"]), (24, 80));
    terminal.expect("# ");
    terminal.send("echo typed-$((6*7))\n");
    terminal.expect("typed-42");
    terminal.send("\x01q");
    assert_eq!(terminal.wait(), Some(1));
}

/// Whatever process of the container looks at the right moment, it sees none of the caller's words.
#[test]
fn the_command_line_of_the_caller_does_not_show_in_the_container() {
    let box_ = running();
    let watch = "while [ ! -e /tmp/stop ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; done > /tmp/seen";
    box_.dhow(&["exec", "-d", "-u", "alice", "-w", "/", "cc", "sh", "-c", watch]).ok();
    for n in 0..25 {
        box_.dhow(&["exec", "-e", "PASSWORD=hunter2", "cc", "echo", &n.to_string()]).ok();
    }
    box_.dhow(&["exec", "cc", "touch", "/tmp/stop"]).ok();
    let seen = box_.dhow(&["exec", "cc", "cat", "/tmp/seen"]).ok().stdout;
    assert!(seen.contains("sleep 1000"), "it has looked");
    for secret in ["hunter2", "--root", box_.root().to_str().unwrap()] {
        assert!(!seen.contains(secret), "{secret} was seen");
    }
}

#[test]
fn top_needs_no_program_of_the_host() {
    let box_ = running();
    let mut command = box_.command(&["top", "cc"]);
    command.env("PATH", "/nonexistent");
    let lines = crate::harness::run(&mut command).lines();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    );
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!((words[0], words[1]), ("root", box_.shown("cc", "{{.State.Pid}}").as_str()), "{lines:#?}");
    assert_eq!((words[3], words[5], words[6]), ("0", "?", "00:00:00"), "{lines:#?}");
    assert!(words[4].len() == 5 && words[4].as_bytes()[2] == b':' && lines[1].ends_with(" sleep 1000"), "{lines:#?}");
    let mut command = box_.command(&["top", "cc", "-o", "pid"]);
    crate::harness::run(command.env("PATH", "/nonexistent")).fails(&["cannot run ps"]);
    // As the host's own shows it, where there is one.
    if Path::new("/usr/bin/ps").exists() {
        let by_ps = box_.dhow(&["top", "cc", "-ef"]).lines();
        // But for the minute of its start, which ps reckons from another rounding of the time of boot.
        let words = |line: &str| {
            let all = line.split_whitespace().enumerate();
            all.filter(|(n, _)| *n != 4).map(|(_, word)| word.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(words(&by_ps[1]), words(&lines[1]));
        // Whatever these options would show by themselves.
        let of_these = box_.dhow(&["top", "cc", "-o", "pid,args"]).lines();
        assert_eq!(words(&of_these[1]), [box_.shown("cc", "{{.State.Pid}}").as_str(), "sleep", "1000"]);
        // And some go with no list of processes.
        assert_eq!(box_.dhow(&["top", "cc", "aux"]).lines().len(), 2);
    }
}

#[test]
fn into_what_just_ended() {
    let box_ = Containers::new();
    for n in 0..20 {
        box_.dhow(&["run", "-d", "--name", "cc", "box", "sleep", &format!("0.{n:02}")]).ok();
        let ran = box_.dhow(&["exec", "cc", "true"]);
        // It got in, it was killed along with the container, or it is told that there is nothing to get into.
        assert!(ran.code == Some(0) || ran.code == Some(137) || ran.stderr.contains("is not running"), "{ran}");
        box_.dhow(&["rm", "-f", "cc"]).ok();
    }
    box_.assert_nothing_left();
}
