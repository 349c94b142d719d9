//! Real servers and programs of Debian packages in containers, used by real clients.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::{Store, made, path};

/// How long a server may take until it answers, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store with one of the made images in it, and the image's name.
fn with_image(name: &str) -> (Store, String) {
    let store = Store::new();
    store.dhow(&["load", "-q", "-i", path(&made(&format!("{name}.docker.tar")))]).ok();
    (store, format!("example.org/{name}:made"))
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks again until it is so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// GET over a connection of its own; none when nobody answers.
fn get(port: u16, file: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {file} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn nginx_serves_files_as_an_ordinary_user() {
    let (store, image) = with_image("nginx");
    let port = free_port();
    let www = store.folder().join("www");
    std::fs::create_dir(&www).unwrap();
    std::fs::write(www.join("index.html"), "served from a container\n").unwrap();
    let big = "0123456789abcdef".repeat(1 << 16);
    std::fs::write(www.join("big"), &big).unwrap();
    let configuration = format!(
        "pid /tmp/nginx.pid; error_log /dev/stderr; events {{}}\n\
         http {{ access_log /dev/stdout; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c;\n\
         uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;\n\
         server {{ listen 127.0.0.1:{port}; root /srv/www; }} }}\n"
    );
    let configuration = store.folder().file("nginx.conf", configuration);
    let (www, configuration) =
        (format!("{}:/srv/www:ro", path(&www)), format!("{}:/etc/nginx/nginx.conf:ro", path(&configuration)));
    let arguments = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "host",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "-v",
        &www,
        "-v",
        &configuration,
        &image,
        "nginx",
        "-g",
        "daemon off;",
    ];
    store.dhow(&arguments).ok();

    until("nginx answers", || get(port, "/").is_some_and(|answer| answer.contains("served from a container")));
    assert!(get(port, "/big").unwrap().ends_with(&big));
    assert!(get(port, "/none").unwrap().contains("404"));
    let workers = store.dhow(&["top", "web"]).ok();
    assert!(workers.stdout.contains("nginx: worker process"), "{workers}");
    store.dhow(&["exec", "web", "cat", "/srv/www/index.html"]).ok();

    store.dhow(&["stop", "web"]).ok();
    assert_eq!(store.dhow(&["inspect", "-f", "{{.State.ExitCode}}", "web"]).text(), "0");
    let logs = store.dhow(&["logs", "web"]).ok();
    assert!(logs.stdout.contains("GET /big HTTP/1.0\" 200"), "{logs}");
    assert!(logs.stderr.contains("/none"), "{logs}");
    assert!(get(port, "/").is_none());
    store.dhow(&["rm", "web"]).ok();
}

#[test]
fn postgres_keeps_its_data_over_stop_and_kill() {
    let (store, image) = with_image("postgres");
    let data = store.folder().join("data");
    std::fs::create_dir(&data).unwrap();
    let volume = format!("{}:/data", path(&data));
    let port = free_port().to_string();
    store.dhow(&["run", "--rm", "-u", "root", "-v", &volume, &image, "chown", "postgres:postgres", "/data"]).ok();
    // The version is part of Debian's path.
    let find = "set -- /usr/lib/postgresql/*/bin; echo $1";
    let bin = store.dhow(&["run", "--rm", &image, "sh", "-c", find]).text();
    let initdb = format!("{bin}/initdb");
    let initialize =
        ["run", "--rm", "-u", "postgres", "-v", &volume, &image, &initdb, "-D", "/data", "-U", "me", "--no-sync"];
    store.dhow(&initialize).ok();

    let server = format!("{bin}/postgres");
    let listen = "listen_addresses=127.0.0.1";
    let arguments = [
        "run",
        "-d",
        "--name",
        "db",
        "-u",
        "postgres",
        "--network",
        "host",
        "--stop-signal",
        "SIGINT",
        "--shm-size",
        "128m",
        "-v",
        &volume,
        &image,
        &server,
        "-D",
        "/data",
        "-k",
        "/tmp",
        "-p",
        &port,
        "-c",
        listen,
    ];
    store.dhow(&arguments).ok();
    let ready = || store.dhow(&["exec", "db", "pg_isready", "-h", "/tmp", "-p", &port]).code == Some(0);
    until("postgres is ready", ready);
    let pgbench = format!("{bin}/pgbench");
    let bench = |options: &[&str]| {
        let mut words = vec!["exec", "db", &pgbench, "-h", "/tmp", "-p", &port, "-U", "me"];
        words.extend_from_slice(options);
        words.push("postgres");
        store.dhow(&words).ok()
    };
    bench(&["-i", "-q"]);
    let said = bench(&["-t", "50", "-c", "4"]);
    assert!(said.stdout.contains("200/200"), "{said}");
    let count = || {
        let sql = "select count(*) from pgbench_accounts";
        store.dhow(&["exec", "db", "psql", "-h", "/tmp", "-p", &port, "-U", "me", "-Atc", sql, "postgres"]).text()
    };
    assert_eq!(count(), "100000");

    store.dhow(&["stop", "db"]).ok();
    assert_eq!(store.dhow(&["inspect", "-f", "{{.State.ExitCode}}", "db"]).text(), "0");
    store.dhow(&["start", "db"]).ok();
    until("postgres is ready again", ready);
    assert_eq!(count(), "100000");

    store.dhow(&["kill", "db"]).ok();
    store.dhow(&["wait", "db"]).ok();
    store.dhow(&["start", "db"]).ok();
    until("postgres has recovered", ready);
    assert_eq!(count(), "100000");
    store.dhow(&["rm", "-f", "db"]).ok();
}

#[test]
fn python_reads_what_is_piped_in() {
    let (store, image) = with_image("python");
    let program = "import sys; text = sys.stdin.read(); print(len(text), text.count('\\n')); sys.exit(len(text) % 7)";
    let input = "a line of input\n".repeat(20_000);
    let ran = store.dhow_with_input(&["run", "-i", "--rm", &image, "python3", "-c", program], input.as_bytes());
    assert_eq!(ran.stdout, "320000 20000\n", "{ran}");
    assert_eq!(ran.code, Some(320_000 % 7), "{ran}");
}

#[test]
fn node_runs_a_server_and_a_client_in_one_network() {
    let (store, image) = with_image("node");
    let program = "const http = require('http'); const s = http.createServer((q, r) => r.end('hello ' + q.url));\
         s.listen(8080, '127.0.0.1', () => http.get('http://127.0.0.1:8080/you', r => { r.on('data', d => \
         console.log(String(d))); r.on('end', () => s.close()); }));";
    let ran = store.dhow(&["run", "--rm", &image, "node", "-e", program]).ok();
    assert_eq!(ran.stdout, "hello /you\n", "{ran}");
}

#[test]
fn who_wants_more_memory_than_it_may_have_is_killed_and_that_is_told() {
    let (store, image) = with_image("python");
    let program = "held = [bytearray(1 << 20) for _ in range(4096)]";
    let ran = store.dhow(&[
        "run",
        "--name",
        "greedy",
        "--memory",
        "64m",
        "--memory-swap",
        "64m",
        &image,
        "python3",
        "-c",
        program,
    ]);
    assert_eq!(ran.code, Some(137), "{ran}");
    assert_eq!(store.dhow(&["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "greedy"]).text(), "true 137");
    let events = store.dhow(&["events", "--since", "10m", "--until", "0s", "--format", "{{.Action}}"]).lines();
    let at = |action: &str| events.iter().position(|e| e == action).unwrap_or_else(|| panic!("{action}: {events:?}"));
    assert!(at("create") < at("start") && at("start") < at("oom") && at("oom") < at("die"), "{events:?}");
}

#[test]
fn a_part_of_a_cpu_is_what_it_gets() {
    let (store, image) = with_image("python");
    let program = "import time\nstart = time.monotonic()\nwhile time.monotonic() - start < 3: pass\n\
         print(time.process_time() / (time.monotonic() - start))";
    let share: f64 =
        store.dhow(&["run", "--rm", "--cpus", "0.25", &image, "python3", "-c", program]).text().parse().unwrap();
    // Less on a busy machine; more only by what a period of 100 ms may overrun at the end.
    assert!(share > 0.02 && share < 0.32, "{share}");
}

#[test]
fn a_fork_bomb_stays_in_its_container() {
    let (store, image) = with_image("python");
    let program = "import os, time\nn = 0\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(600)\n    n += 1\n\
         except OSError as e: print(n, e.errno)";
    let ran = store.dhow(&["run", "--rm", "--pids-limit", "20", &image, "python3", "-c", program]).ok();
    assert_eq!(ran.stdout, "19 11\n", "{ran}");
}

/// What Redis answers to a command, over a connection of its own; none when nobody answers.
fn redis(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "{command}\r\nQUIT\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.strip_suffix("+OK\r\n").map(str::to_owned)
}

#[test]
fn redis_keeps_its_data_over_save_and_restart() {
    let (store, image) = with_image("redis");
    let data = store.folder().join("data");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(1000), Some(1000)).unwrap();
    let volume = format!("{}:/data", path(&data));
    let port = free_port();
    let number = port.to_string();
    let server = ["redis-server", "--bind", "127.0.0.1", "--port", &number, "--dir", "/data", "--save", ""];
    let run = ["run", "-d", "--name", "kv", "--network", "host", "--read-only", "-v", &volume, &image];
    store.dhow(&[&run[..], &server].concat()).ok();
    until("redis answers", || redis(port, "PING").as_deref() == Some("+PONG\r\n"));
    assert_eq!(redis(port, "SET harbour dhow").as_deref(), Some("+OK\r\n"));
    for n in 0..100 {
        redis(port, &format!("RPUSH list {n}")).unwrap();
    }
    assert_eq!(redis(port, "GET harbour").as_deref(), Some("$4\r\ndhow\r\n"));
    assert_eq!(redis(port, "SAVE").as_deref(), Some("+OK\r\n"));
    assert!(data.join("dump.rdb").is_file());
    store.dhow(&["restart", "kv"]).ok();
    until("redis answers again", || redis(port, "PING").is_some());
    assert_eq!(redis(port, "GET harbour").as_deref(), Some("$4\r\ndhow\r\n"));
    assert_eq!(redis(port, "LLEN list").as_deref(), Some(":100\r\n"));
    // What was saved is there even after SIGKILL.
    store.dhow(&["kill", "kv"]).ok();
    store.dhow(&["start", "kv"]).ok();
    until("redis answers once more", || redis(port, "PING").is_some());
    assert_eq!(redis(port, "LLEN list").as_deref(), Some(":100\r\n"));
    store.dhow(&["stop", "kv"]).ok();
    assert_eq!(store.dhow(&["inspect", "-f", "{{.State.ExitCode}}", "kv"]).text(), "0");
    assert!(store.dhow(&["logs", "kv"]).ok().stdout.contains("Ready to accept connections"));
    store.dhow(&["rm", "kv"]).ok();
}
