//! What docker 28.5 said when the same was typed, word for word: `Error response from daemon:` is `Error:` here, and the
//! id of the container stands as ID.

use crate::harness::Containers;

/// The first line on stderr, and the exit code.
fn said(box_: &Containers, id: &str, words: &str) -> (String, i32) {
    let ran = box_.dhow(&words.split(' ').collect::<Vec<_>>());
    (ran.stderr.lines().next().unwrap_or_default().replace(id, "ID"), ran.code.unwrap())
}

#[test]
fn of_a_container_that_runs_is_paused_and_has_ended() {
    let box_ = Containers::new();
    let id = box_.detached("cc", "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    let check =
        |words: &str, code: i32, line: &str| assert_eq!(said(&box_, &id, words), (line.to_owned(), code), "{words}");
    check(
        "rm cc",
        1,
        "Error: cannot remove container \"cc\": container is running: stop the container before removing or force remove",
    );
    check("unpause cc", 1, "Error: Container ID is not paused");
    check("kill -s FOO cc", 1, "Error: cannot kill container: cc: invalid signal: FOO");
    check("exec -it cc true", 1, "the input device is not a TTY");
    check("rename cc cc", 1, "Error: Renaming a container with the same name as its current name");
    check("stop -s FOO cc", 1, "Error: cannot stop container: cc: invalid signal: FOO");
    check("exec cc absent", 127, "Error: exec: \"absent\": executable file not found in $PATH");
    check("exec cc /bin/data", 126, "Error: exec: \"/bin/data\": permission denied");
    check("exec -u nobody cc true", 1, "Error: unable to find user nobody: no matching entries in passwd file");
    assert_eq!(said(&box_, &id, "exec -w /nowhere cc pwd").1, 127);
    box_.dhow(&["pause", "cc"]).ok();
    check("pause cc", 1, "Error: Container ID is already paused");
    check("exec cc true", 1, "Error: Container cc is paused, unpause the container before exec");
    check("attach cc", 1, "You cannot attach to a paused container, unpause it first");
    box_.dhow(&["unpause", "cc"]).ok();
    box_.dhow(&["stop", "cc"]).ok();
    check("attach cc", 1, "You cannot attach to a stopped container, start it first");
    check("kill cc", 1, "Error: cannot kill container: cc: container ID is not running");
    check("exec cc true", 1, "Error: container ID is not running");
    check("top cc", 1, "Error: container ID is not running");
    check("pause cc", 1, "Error: container ID is not running");
    check(
        "logs --since yesterday cc",
        1,
        "invalid value for \"since\": failed to parse value as time or duration: \"yesterday\"",
    );
}

#[test]
fn of_what_is_not_there_or_makes_no_sense() {
    let box_ = Containers::new();
    let check = |words: &str, code: i32, line: &str| {
        assert_eq!(said(&box_, "no id", words), (line.to_owned(), code), "{words}")
    };
    for verb in
        ["stop", "kill", "wait", "rm", "logs", "attach", "start", "pause", "top", "container inspect", "restart"]
    {
        let line = match verb {
            "kill" => "Error: cannot kill container: absent: No such container: absent",
            _ => "Error: No such container: absent",
        };
        check(&format!("{verb} absent"), 1, line);
    }
    check("rm -f absent", 0, "Error: No such container: absent");
    check("inspect absent", 1, "Error: No such object: absent");
    check("ps -f foo=bar", 1, "Error: invalid filter 'foo'");
    check(
        "ps -f status=foo",
        1,
        "Error: invalid filter 'status=foo': invalid value for state (foo): must be one of created, running, paused, \
         restarting, removing, exited, dead",
    );
    check("ps -f exited=x", 1, "Error: invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax");
    check(
        "ps -f foo",
        125,
        "invalid argument \"foo\" for \"-f, --filter\" flag: bad format of filter (expected name=value)",
    );
    check("events --since foo --until 0s", 1, "failed to parse value as time or duration: \"foo\"");
    check("run -d -a stdout box", 1, "conflicting options: cannot specify both --attach and --detach");
    check("run -it box true", 1, "the input device is not a TTY");
    check("run absent", 125, "Unable to find image 'absent:latest' locally");
    check("create absent", 1, "Unable to find image 'absent:latest' locally");
    check("run -m lots box true", 125, "invalid argument \"lots\" for \"-m, --memory\" flag: invalid size: 'lots'");
    check(
        "run -a foo box true",
        125,
        "invalid argument \"foo\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR",
    );
    check(
        "run --restart always --rm box true",
        125,
        "dhow: conflicting options: cannot specify both --restart and --rm",
    );
    check("run -u nobody box true", 125, "dhow: Error: unable to find user nobody: no matching entries in passwd file");
    check(
        "run -w rel box true",
        125,
        "dhow: Error: the working directory 'rel' is invalid, it needs to be an absolute path",
    );
    check(
        "run --name p box true",
        125,
        "dhow: Error: Invalid container name (p), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    );
    check("run box absent", 127, "dhow: Error: exec: \"absent\": executable file not found in $PATH");
    check(
        "run box /bin/absent",
        127,
        "dhow: Error: exec: \"/bin/absent\": stat /bin/absent: no such file or directory",
    );
    check("run box /bin/data", 126, "dhow: Error: exec: \"/bin/data\": permission denied");
    check("start -a cc dd", 1, "you cannot start and attach multiple containers at once");
}
