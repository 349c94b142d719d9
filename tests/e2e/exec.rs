//! `dhow exec` and `dhow top`.

use crate::harness::Containers;

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
