//! Many at once: containers that come and go, removals of the same, a name that is used again.

use crate::harness::Containers;

#[test]
fn a_hundred_run_at_once() {
    let box_ = Containers::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..100)
            .map(|n| {
                let box_ = &box_;
                scope.spawn(move || box_.script(&format!("echo {n}; exit {}", n % 7)))
            })
            .collect();
        for (n, run) in runs.into_iter().enumerate() {
            let ran = run.join().unwrap();
            assert_eq!((ran.stdout.trim(), ran.code), (n.to_string().as_str(), Some((n % 7) as i32)), "{ran}");
        }
    });
    box_.assert_nothing_left();
}

#[test]
fn fifty_remove_the_same_ones() {
    let box_ = Containers::new();
    let ids: Vec<String> = (0..8).map(|n| box_.detached(&format!("one-{n}"), "sleep 1000")).collect();
    let words: Vec<&str> = ["rm", "-f"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    std::thread::scope(|scope| {
        let removals: Vec<_> = (0..50).map(|_| scope.spawn(|| box_.dhow(&words))).collect();
        let mut removed = 0;
        for removal in removals {
            let ran = removal.join().unwrap();
            removed += ran.stdout.lines().count();
            // Docker's words, and its exit status: with -f, one that is gone is no failure.
            let known = |line: &str| {
                ["No such container", "is already in progress", "Hint: "].iter().any(|words| line.contains(words))
            };
            assert!(ran.stderr.lines().all(known), "{ran}");
        }
        assert!(removed >= ids.len(), "each was removed by somebody");
    });
    box_.assert_nothing_left();
}

#[test]
fn a_name_is_used_again_and_again() {
    let box_ = Containers::new();
    std::thread::scope(|scope| {
        for shell in 0..4 {
            let box_ = &box_;
            scope.spawn(move || {
                for _ in 0..12 {
                    // One's own name is free as soon as the command has returned.
                    let own = format!("own-{shell}");
                    box_.dhow(&["run", "--rm", "--name", &own, "box", "true"]).ok();
                    // One that all of them want is somebody's, or free.
                    let ran = box_.dhow(&["run", "--rm", "--name", "shared", "box", "true"]);
                    let taken = ran.code == Some(125) && ran.stderr.contains("is already in use by container");
                    assert!(ran.code == Some(0) || taken, "{ran}");
                }
            });
        }
    });
    box_.dhow(&["run", "--rm", "--name", "shared", "box", "true"]).ok();
    box_.assert_nothing_left();
}
