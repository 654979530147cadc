//! Programs that nobody prepared for us, from Debian, under load: they go on answering, and their stacks are whole.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use leakhound_report::recording::Recording;
use leakhound_tracer::{investigation::Subject, locate::Target, process::ProcessId};

use crate::support::{Running, can_probe, end, installed, ledger, short, wait_for, watch};

/// How long each is watched; 20 s for a closer look.
fn length() -> Duration {
    let seconds = std::env::var("LEAKHOUND_SERVER_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

/// Something that keeps a server busy and counts its answers.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Calls `ask` until it is dropped; every `true` is an answer.
    fn start(mut ask: impl FnMut() -> bool + Send + 'static) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (Arc::clone(&stop), Arc::clone(&answers));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                if ask() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { stop, answers, thread: Some(thread) }
    }

    fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Watches a server and its children while it is asked, and checks that it did not notice.
fn assert_undisturbed(name: &str, server: &mut Running, load: &Load) -> Recording {
    wait_for(&format!("{name} to answer"), || load.answers() > 10);
    let before = load.answers();
    let id = ProcessId::find(server.0.id()).unwrap();
    let recording = watch(Subject::Running(Target::Tree(id)), &short(length())).unwrap();
    assert_eq!(end(&recording).reason, "duration", "{name}");
    assert!(server.is_alive(), "{name} is dead");
    let during = load.answers();
    assert!(during > before, "{name} did not answer while it was watched");
    wait_for(&format!("{name} to answer afterwards"), || load.answers() > during + 10);
    print_walks(name, &recording, during - before);
    recording
}

/// Walks that reached the outermost function, in percent.
fn complete_walks(recording: &Recording) -> f64 {
    let complete = ledger(recording, "walksComplete");
    let all: u64 = ["NoMapping", "NoRows", "Unsupported", "Unreadable", "Truncated"]
        .iter()
        .map(|why| ledger(recording, &format!("walks{why}")))
        .sum::<u64>()
        + complete;
    100.0 * complete as f64 / all.max(1) as f64
}

fn print_walks(name: &str, recording: &Recording, answers: u64) {
    let families: Vec<&str> = recording.header.allocators.iter().map(|one| one.family.as_str()).collect();
    eprintln!(
        "{name:<12} {:>9} allocations  {:>7.3} % of walks complete  {answers} answers  {families:?}",
        ledger(recording, "allocations"),
        complete_walks(recording),
    );
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One question over a new connection each time.
fn ask_over_tcp(
    port: u16,
    question: &'static str,
    answer: &'static str,
) -> impl FnMut() -> bool + Send + 'static {
    move || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            std::thread::sleep(Duration::from_millis(10));
            return false;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut line = String::new();
        stream.write_all(question.as_bytes()).is_ok()
            && BufReader::new(stream).read_line(&mut line).is_ok()
            && line.starts_with(answer)
    }
}

fn start(program: &str, arguments: &[&str]) -> Running {
    Running(Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

#[test]
fn redis() {
    if !can_probe() || !installed("/usr/bin/redis-server") {
        return;
    }
    let port = free_port();
    let mut server =
        start("redis-server", &["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1"]);
    let load = Load::start(ask_over_tcp(port, "SET key value\r\n", "+OK"));
    let recording = assert_undisturbed("redis", &mut server, &load);
    assert!(recording.header.allocators.iter().any(|one| one.family == "jemalloc"));
    assert!(complete_walks(&recording) >= 99.0);
}

#[test]
fn memcached() {
    if !can_probe() || !installed("/usr/bin/memcached") {
        return;
    }
    let port = free_port();
    let mut server = start("memcached", &["-u", "nobody", "-l", "127.0.0.1", "-p", &port.to_string()]);
    let load = Load::start(ask_over_tcp(port, "stats settings\r\n", "STAT "));
    let recording = assert_undisturbed("memcached", &mut server, &load);
    assert!(complete_walks(&recording) >= 99.0);
}

#[test]
fn nginx() {
    if !can_probe() || !installed("/usr/sbin/nginx") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let at = folder.path().display();
    let configuration = format!(
        "daemon off; worker_processes 1; user nobody nogroup; pid {at}/pid; error_log {at}/error; events {{}}
         http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;
         uwsgi_temp_path {at}/d; scgi_temp_path {at}/e; server {{ listen 127.0.0.1:{port}; return 200 hello; }} }}"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let mut server =
        start("/usr/sbin/nginx", &["-c", file.to_str().unwrap(), "-p", folder.path().to_str().unwrap()]);
    let question = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let load = Load::start(ask_over_tcp(port, question, "HTTP/1.1 200"));
    let recording = assert_undisturbed("nginx", &mut server, &load);
    drop(load);
    // asked to end, it ends its worker as well
    let _ = Command::new("kill").arg(server.0.id().to_string()).status();
    wait_for("nginx to end", || !server.is_alive());
    assert!(recording.header.target.pids.len() >= 2, "master and worker");
    assert!(complete_walks(&recording) >= 99.0);
}

#[test]
fn postgresql() {
    let Some(bin) = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().next() else {
        installed("/usr/lib/postgresql");
        return;
    };
    if !can_probe() {
        return;
    }
    let bin = bin.path().join("bin");
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (data, sockets) = (folder.path().join("data"), folder.path().to_str().unwrap().to_owned());
    let as_postgres = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        command
    };
    let data = data.to_str().unwrap();
    assert!(as_postgres(&bin.join("initdb"), &["-D", data, "-A", "trust", "-N"]).status().unwrap().success());
    let options = ["-D", data, "-k", &sockets, "-c", "listen_addresses=", "-c", "fsync=off"];
    let mut server = Running(as_postgres(&bin.join("postgres"), &options).spawn().unwrap());
    let client = format!("host={sockets} user=postgres dbname=postgres");
    let held = client.clone();
    let load = Load::start(move || {
        let sql = "create temp table t as select g, md5(g::text) from generate_series(1, 2000) g; select count(*) from t";
        Command::new("psql")
            .args([client.as_str(), "-qAtc", sql])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .is_ok_and(|output| output.stdout.starts_with(b"2000"))
    });
    // twenty sessions beside those that come and go
    let id = ProcessId::find(server.0.id()).unwrap();
    wait_for("postgresql to answer its first", || load.answers() > 0);
    let session = || {
        let mut psql = Command::new("psql");
        psql.args([held.as_str(), "-qAtc", "select pg_sleep(600)"]).stdin(Stdio::null());
        Running(psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let sessions: Vec<Running> = (0..20).map(|_| session()).collect();
    let backends = || Target::Tree(id).processes().map_or(0, |(processes, _)| processes.len());
    wait_for("twenty sessions", || backends() > 20);
    let recording = assert_undisturbed("postgresql", &mut server, &load);
    assert!(recording.header.target.pids.len() > 20, "{:?}", recording.header.target);
    assert_eq!(ledger(&recording, "processesLeftOut"), 0);
    drop((load, sessions));
    let _ = Command::new("kill").args(["-INT", &server.0.id().to_string()]).status();
    wait_for("postgresql to end", || !server.is_alive());
    assert!(complete_walks(&recording) >= 99.0);
}

/// Interpreters are watched for their native part; how many of their walks are whole is printed, not judged.
#[test]
fn interpreters() {
    if !can_probe() {
        return;
    }
    let python = "import json\nwhile True:\n  d = json.loads(json.dumps({'a': ['x' * 2000] * 50}))\n  print(len(d), flush=True)";
    let node = "const z = require('zlib'); const b = Buffer.alloc(50000, 'a'); for (;;) { z.inflateSync(z.deflateSync(b)); require('fs').writeSync(1, 'x\\n') }";
    for (name, arguments) in [("python3", ["-c", python]), ("node", ["-e", node])] {
        let Ok(mut child) = Command::new(name).args(arguments).stdout(Stdio::piped()).spawn() else {
            assert!(std::env::var_os("CI").is_none(), "CI must have {name}");
            eprintln!("SKIPPED: {name} is not installed");
            continue;
        };
        let mut output = child.stdout.take().unwrap();
        let mut interpreter = Running(child);
        let load = Load::start(move || output.read(&mut [0; 2]).is_ok_and(|count| count > 0));
        let recording = assert_undisturbed(name, &mut interpreter, &load);
        assert!(ledger(&recording, "allocations") > 0, "{name}");
        drop(interpreter);
    }
}
