//! Real servers of Debian packages that find each other by name, are reached from another host under load, in crowds, and
//! after everything was killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::networks::wires;
use crate::harness::{Containers, Neighbour, Store, eventually, ip, made, path, run};

/// Brings one of the made images into a store; its name.
fn image(store: &Store, name: &str) -> String {
    store.dhow(&["load", "-q", "-i", path(&made(&format!("{name}.docker.tar")))]).ok();
    format!("example.org/{name}:made")
}

/// `run -d`.
#[track_caller]
fn start(store: &Store, name: &str, flags: &[&str], image: &str, command: &[&str]) {
    store.dhow(&[&["run", "-d", "--name", name], flags, &[image], command].concat()).ok();
}

/// GET over a connection of its own, from the calling thread's host; the whole answer, or none.
fn get(address: &str, file: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(10)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {file} HTTP/1.0\r\nHost: test\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A web application of the standard library alone: counts visits in Redis, and keeps them in PostgreSQL.
const APPLICATION: &str = r#"
import http.server, socket, struct

def redis(*words):
    with socket.create_connection(("kv", 6379)) as s:
        s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        return s.makefile("rb").readline().strip().decode().lstrip(":")

def sql(text):
    with socket.create_connection(("db.lan", 5432)) as s:
        f = s.makefile("rwb")
        def message():
            kind, size = struct.unpack("!cI", f.read(5))
            return kind, f.read(size - 4)
        start = struct.pack("!I", 196608) + b"user\0me\0database\0postgres\0\0"
        f.write(struct.pack("!I", len(start) + 4) + start); f.flush()
        while message()[0] != b"Z": pass
        f.write(b"Q" + struct.pack("!I", len(text) + 5) + text.encode() + b"\0"); f.flush()
        rows = []
        while True:
            kind, body = message()
            if kind == b"E": raise RuntimeError(body)
            if kind == b"D": rows.append(body[6:].decode())
            if kind == b"Z": return rows

class Visit(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        count = redis("INCR", "visits")
        sql("create table if not exists visits (path text)")
        sql("insert into visits values ('%s')" % self.path)
        text = "%s %s %s" % (count, sql("select count(*) from visits")[0], self.client_address[0])
        self.send_response(200); self.end_headers(); self.wfile.write(text.encode())

http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Visit).serve_forever()
"#;

#[test]
fn a_web_application_its_database_and_its_cache_find_each_other_by_name() {
    let neighbour = Neighbour::new();
    let store = Store::new();
    let [python, postgres, redis] = ["python", "postgres", "redis"].map(|name| image(&store, name));
    store.dhow(&["network", "create", "lan"]).ok();
    // The application is there first: names are asked for when they are needed.
    start(&store, "web", &["--network", "lan", "-p", "8000:8000"], &python, &["python3", "-c", APPLICATION]);
    let server = "cd /usr/lib/postgresql/*/bin && ./initdb -D /tmp/data -U me -A trust --no-sync >/dev/null && \
                  echo 'host all all all trust' >> /tmp/data/pg_hba.conf && \
                  exec ./postgres -D /tmp/data -k /tmp -c 'listen_addresses=*'";
    start(
        &store,
        "postgres",
        &["--network", "lan", "--network-alias", "db", "-u", "postgres"],
        &postgres,
        &["sh", "-c", server],
    );
    let server = ["redis-server", "--bind", "0.0.0.0", "::", "--protected-mode", "no", "--dir", "/tmp", "--save", ""];
    start(&store, "kv", &["--network", "lan"], &redis, &server);
    let visit = || neighbour.with(|| get("192.0.2.1:8000", "/from-outside"));
    eventually("the application answers", || visit().is_some_and(|answer| answer.contains(" 200 ")));
    let answer = visit().unwrap();
    let words: Vec<_> = answer.lines().last().unwrap().split(' ').collect();
    let (visits, rows): (u32, u32) = (words[0].parse().unwrap(), words[1].parse().unwrap());
    assert!(visits >= rows && rows >= 2, "{answer}");
    assert_eq!(words[2], "192.0.2.2", "the client's real address");
    // The cache comes back under another address, and is found at once.
    let ip = |name: &str| {
        store.dhow(&["inspect", "-f", "{{(index .NetworkSettings.Networks \"lan\").IPAddress}}", name]).text()
    };
    let before = ip("kv");
    store.dhow(&["restart", "-t", "1", "kv"]).ok();
    assert_ne!(ip("kv"), before, "round robin");
    eventually("the cache is found again", || visit().is_some_and(|answer| answer.contains(" 200 ")));
    let answer = visit().unwrap();
    assert!(answer.lines().last().unwrap().split(' ').next().unwrap().parse::<u32>().unwrap() < visits, "{answer}");
}

/// Whether all of these requests over one connection were answered in full.
fn load(address: &str, requests: usize, size: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(30))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut body = vec![0; size];
    for _ in 0..requests {
        stream.write_all(b"GET /file HTTP/1.1\r\nHost: test\r\n\r\n")?;
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(std::io::Error::other(line));
        }
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        reader.read_exact(&mut body)?;
    }
    Ok(())
}

/// Others come and go meanwhile: containers with ports, and networks, with which the whole table is made anew.
#[test]
fn no_request_fails_while_others_come_and_go() {
    let neighbour = Neighbour::new();
    let store = Containers::new();
    let nginx = image(&store, "nginx");
    let www = store.folder().join("www");
    std::fs::create_dir(&www).unwrap();
    const SIZE: usize = 4096;
    std::fs::write(www.join("file"), vec![b'x'; SIZE]).unwrap();
    let configuration = store.folder().file(
        "nginx.conf",
        "pid /tmp/nginx.pid; error_log /dev/stderr; worker_processes 1; events {}\n\
         http { access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c;\n\
         uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e; keepalive_requests 100000;\n\
         server { listen 8080; listen [::]:8080; root /srv/www; } }\n",
    );
    let www = format!("{}:/srv/www:ro", path(&www));
    let configuration = format!("{}:/etc/nginx/nginx.conf:ro", path(&configuration));
    let flags = ["-p", "80:8080", "-v", &www, "-v", &configuration];
    start(&store, "web", &flags, &nginx, &["nginx", "-g", "daemon off;"]);
    let there = |address: &'static str| move || get(address, "/file").is_some_and(|answer| answer.len() > SIZE);
    eventually("nginx answers", || neighbour.with(there("192.0.2.1:80")));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut rounds = 0;
            while !over.load(Relaxed) {
                store.dhow(&["run", "--rm", "-p", "8081:81", "-p", "8082:82/udp", "box", "true"]).ok();
                store.dhow(&["network", "create", "other"]).ok();
                store.dhow(&["network", "rm", "other"]).ok();
                rounds += 1;
            }
            rounds
        });
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let neighbour = &neighbour;
                scope.spawn(move || {
                    let work = move || {
                        (0..5).try_for_each(|_| load("192.0.2.1:80", 600, SIZE))?;
                        (0..200).try_for_each(|_| load("192.0.2.1:80", 1, SIZE))
                    };
                    // One of them is the host itself.
                    let local = || (0..1000).try_for_each(|_| load("127.0.0.1:80", 1, SIZE));
                    if client == 0 { local() } else { neighbour.with(work) }
                })
            })
            .collect();
        let done: Vec<std::io::Result<()>> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        over.store(true, Relaxed);
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        assert!(others.join().unwrap() > 2, "somebody else has done something meanwhile");
    });
    let table = run(Command::new("nft").args(["list", "ruleset"])).ok().stdout;
    assert!(table.contains("tcp . 80 :"), "{table}");
}

#[test]
fn fifty_on_one_network() {
    const MANY: usize = 50;
    let store = Containers::new();
    store.dhow(&["network", "create", "lan"]).ok();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(n) = Some(next.fetch_add(1, Relaxed)).filter(|n| *n < MANY) {
                    let (name, alias) = (format!("c{n}"), ["--network-alias", "all"]);
                    start(&store, &name, &[&["--network", "lan"], &alias[..]].concat(), "box", &["sleep", "1000"]);
                }
            });
        }
    });
    let members = store.dhow(&["network", "inspect", "lan"]).json()[0]["Containers"].take();
    let mut addresses: Vec<_> =
        members.as_object().unwrap().values().map(|one| one["IPv4Address"].to_string()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), wires()), (MANY, MANY));
    // By name, from the first to each.
    let script = "for n in $(seq 0 49); do busybox ping -c 1 -W 5 c$n >/dev/null || busybox ping -c 1 -W 5 c$n >/dev/null || \
                  echo c$n; done";
    assert_eq!(store.dhow(&["exec", "c0", "sh", "-c", script]).text(), "");
    let all: Vec<_> = (0..MANY).map(|n| format!("c{n}")).collect();
    let words: Vec<&str> = ["rm", "-f"].into_iter().chain(all.iter().map(String::as_str)).collect();
    store.dhow(&words).ok();
    eventually("all wires are gone", || wires() == 0);
    store.dhow(&["network", "rm", "lan"]).ok();
    store.assert_nothing_left();
}

#[test]
fn connecting_and_disconnecting_leaks_nothing() {
    let store = Containers::new();
    // Internal: what nobody is called is then asked of nobody else, who would take his time.
    for name in ["one", "two"] {
        store.dhow(&["network", "create", "--internal", name]).ok();
    }
    start(&store, "web", &["--network", "one"], "box", &["sleep", "1000"]);
    start(&store, "witness", &["--network", "two"], "box", &["sleep", "1000"]);
    let found = || {
        let ask = ["exec", "witness", "busybox", "nslookup", "web.", "127.0.0.11"];
        store.dhow(&ask).code == Some(0)
    };
    let links = || ip(&["-br", "link"]).lines().count();
    let table = || run(Command::new("nft").args(["list", "ruleset"])).ok().stdout;
    let before = (links(), table());
    for _ in 0..20 {
        store.dhow(&["network", "connect", "two", "web"]).ok();
        assert!(found(), "at once");
        store.dhow(&["network", "disconnect", "two", "web"]).ok();
        assert!(!found(), "at once");
    }
    eventually("nothing is left of it", || (links(), table()) == before);
    let inside = store.dhow(&["exec", "web", "ip", "-o", "link"]).lines();
    assert_eq!(inside.iter().filter(|line| line.contains("eth")).count(), 1, "{inside:?}");
    store.dhow(&["rm", "-f", "web", "witness"]).ok();
    store.dhow(&["network", "rm", "one", "two"]).ok();
    store.assert_nothing_left();
}

/// Its supervisor, the keeper and the container itself, all at once: nobody is left to tell.
#[test]
fn an_end_that_nobody_saw_lets_its_ports_go() {
    let neighbour = Neighbour::new();
    for somebody_looks in [true, false] {
        let store = Containers::new();
        start(&store, "web", &["-p", "8080:80"], "box", &["sleep", "1000"]);
        let pid: i32 = store.shown("web", "{{.State.Pid}}").parse().unwrap();
        store.kill_watchers(&["supervise", "keep"]);
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        if somebody_looks {
            eventually("its end is seen", || store.shown("web", "{{.State.Status}}") == "exited");
        } else {
            // Whoever lets go of ports of his own does it for all.
            store.dhow(&["run", "--rm", "-p", "8081:81", "box", "true"]).ok();
        }
        // Whoever listens there in its place is reached.
        let listener = TcpListener::bind("0.0.0.0:8080").unwrap();
        listener.set_nonblocking(true).unwrap();
        eventually("the port is the host's own again", || {
            let client = neighbour
                .with(|| TcpStream::connect_timeout(&"192.0.2.1:8080".parse().unwrap(), Duration::from_millis(500)));
            client.is_ok() && listener.accept().is_ok()
        });
        drop(listener);
        store.dhow(&["start", "web"]).ok();
        assert_eq!(store.dhow(&["port", "web", "80"]).lines()[0], "0.0.0.0:8080");
        store.dhow(&["rm", "-f", "web"]).ok();
    }
}

/// A connection that the kernel has not seen the end of must not lead to whoever has the address next.
#[test]
fn an_old_connection_does_not_reach_the_next_owner_of_an_address() {
    let neighbour = Neighbour::new();
    let store = Containers::new();
    store.dhow(&["network", "create", "--subnet", "10.7.0.0/24", "lan"]).ok();
    let serve = "mkdir /www; echo from $HOSTNAME > /www/index.html; exec busybox httpd -f -p 80 -h /www";
    let at = ["--network", "lan", "--ip", "10.7.0.10"];
    start(&store, "first", &[&at[..], &["-h", "first", "-p", "8080:80"]].concat(), "box", &["sh", "-c", serve]);
    // From one port of its own, and what would end the connection never leaves it.
    let quiet = "add table ip quiet; add chain ip quiet out { type filter hook output priority 0; }; \
                 add rule ip quiet out tcp flags & (rst | fin) != 0 drop";
    neighbour.with(|| run(Command::new("nft").arg(quiet))).ok();
    let ask = || {
        let request = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 2";
        let script = format!("({request}) | busybox timeout 4 busybox nc -p 5555 192.0.2.1 8080");
        neighbour.with(|| run(Command::new("sh").args(["-c", &script]))).stdout
    };
    eventually("the first answers", || ask().contains("from first"));
    store.dhow(&["rm", "-f", "first"]).ok();
    let table = || run(Command::new("nft").args(["list", "ruleset"])).ok().stdout;
    eventually("the port is let go", || !table().contains("8080"));
    let flows = || run(Command::new("conntrack").args(["-L", "-p", "tcp"])).ok().stdout;
    eventually("the kernel has forgotten", || !flows().contains("10.7.0.10"));
    start(&store, "second", &[&at[..], &["-h", "second"]].concat(), "box", &["sh", "-c", serve]);
    let own = ["exec", "second", "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1/"];
    eventually("the second answers itself", || store.dhow(&own).stdout.contains("from second"));
    assert_eq!(ask(), "");
}
