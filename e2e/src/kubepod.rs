//! A container as the kubelet and a runtime leave it on a node: processes in a cgroup named after pod and container.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

/// A pod's group under the kubelet's, in the hierarchy that accounts memory. Dropping it ends its containers and removes it.
#[derive(Debug)]
pub struct Pod {
    /// The pod's uid.
    pub uid: String,
    /// The pod's own group and those above it that were made for it, innermost first.
    groups: Vec<PathBuf>,
    containers: Vec<Container>,
}

#[derive(Debug)]
struct Container {
    folder: PathBuf,
    program: Child,
}

impl Pod {
    /// Makes the group of a pod that no API server knows.
    ///
    /// # Errors
    /// As of [`Pod::of`].
    pub fn create() -> Result<Self> {
        Self::of(&Uuid::new_v4().to_string())
    }

    /// Makes the group of a pod, as the kubelet does with the cgroupfs driver.
    ///
    /// # Errors
    /// When there is no cgroup hierarchy, or it must not be written: run as root.
    pub fn of(uid: &str) -> Result<Self> {
        let uid = uid.to_owned();
        // under a root of its own, as a kubelet with --cgroup-root: real pods of this machine are not to be touched
        let root = memory_hierarchy()?.join(format!("leakhound-test-{uid}"));
        let folder = root.join("kubepods/besteffort").join(format!("pod{uid}"));
        fs::create_dir_all(&folder).with_context(|| format!("make {}: run as root", folder.display()))?;
        let groups =
            folder.ancestors().take_while(|group| group.starts_with(&root)).map(Path::to_owned).collect();
        Ok(Self { uid, groups, containers: Vec::new() })
    }

    /// Starts a program in a container of its own; gives the container's id.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn run(&mut self, program: &Path, arguments: &[&str]) -> Result<String> {
        self.run_limited(program, arguments, None)
    }

    /// The same with a limit of memory in bytes.
    ///
    /// # Errors
    /// When the program cannot be started, or the limit cannot be set.
    pub fn run_limited(&mut self, program: &Path, arguments: &[&str], limit: Option<u64>) -> Result<String> {
        self.run_with(program, arguments, &[], limit)
    }

    /// The same with a library loaded before all others.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn run_preloading(&mut self, library: &Path, program: &Path, arguments: &[&str]) -> Result<String> {
        self.run_with(program, arguments, &[("LD_PRELOAD", library)], None)
    }

    fn run_with(
        &mut self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &Path)],
        limit: Option<u64>,
    ) -> Result<String> {
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let folder = self.groups.first().context("a pod has a group")?.join(&id);
        fs::create_dir(&folder)?;
        if let Some(limit) = limit {
            fs::write(folder.join(limit_file(&folder)), limit.to_string())?;
        }
        // it enters the group before its first instruction
        let script = r#"echo $$ > "$1/cgroup.procs" && shift && exec "$@""#;
        let program = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&folder)
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let container = Container { folder, program };
        container.wait_until_in()?;
        self.containers.push(container);
        Ok(format!("containerd://{id}"))
    }

    /// Process number of the last program that was started.
    ///
    /// # Errors
    /// When none was started.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.containers.last().context("no container was started")?.program.id())
    }

    /// Whether the last program that was started still runs.
    ///
    /// # Errors
    /// When none was started.
    pub fn is_alive(&mut self) -> Result<bool> {
        let last = self.containers.last_mut().context("no container was started")?;
        Ok(last.program.try_wait()?.is_none())
    }

    /// Ends the last container and removes its group, as a runtime does.
    ///
    /// # Errors
    /// When none was started, or the group stays busy.
    pub fn end_container(&mut self) -> Result<()> {
        self.containers.pop().context("no container was started")?.end()
    }
}

impl Container {
    fn wait_until_in(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let pid = self.program.id().to_string();
        while !fs::read_to_string(self.folder.join("cgroup.procs"))?.lines().any(|line| line == pid) {
            ensure!(Instant::now() < deadline, "process {pid} never came into {}", self.folder.display());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        self.program.kill()?; // an error only when it was collected already
        self.program.wait()?;
        remove(&self.folder)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for container in self.containers.drain(..) {
            if let Err(error) = container.end() {
                tracing::warn!("a container stays behind: {error:#}");
            }
        }
        for group in &self.groups {
            if let Err(error) = remove(group) {
                tracing::warn!("{} stays behind: {error:#}", group.display());
            }
        }
    }
}

/// A group can be removed a moment after its last process was collected.
fn remove(folder: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("remove {}", folder.display()));
            }
            Err(_busy) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Where groups are made: version 2 alone, or version 1's memory controller.
fn memory_hierarchy() -> Result<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let all = [root.to_owned(), root.join("memory")];
    let found = all.into_iter().find(|folder| folder.join("cgroup.procs").exists());
    found.context("no cgroup hierarchy is mounted at /sys/fs/cgroup")
}

fn limit_file(folder: &Path) -> &'static str {
    let one = "memory.limit_in_bytes";
    if folder.join(one).exists() { one } else { "memory.max" }
}

/// `examples/seed`, which loses memory at lines 13, 20 and 30 and nowhere else.
///
/// # Errors
/// When it does not build.
pub fn seed() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || -> Result<PathBuf> {
        let out = crate::tools::target_dir().join("examples");
        let root = crate::tools::workspace();
        let status = Command::new("make")
            .args(["--silent", "--no-print-directory", "-C"])
            .arg(root.join("examples"))
            .arg(format!("OUT={}", out.display()))
            .arg("c")
            // the rules of the calling make are not meant for this one
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .status()
            .context("run make")?;
        ensure!(status.success(), "the examples do not build");
        Ok(out.join("seed"))
    };
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}
