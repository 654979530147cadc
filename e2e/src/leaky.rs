//! Pods to investigate: leaks as they occur in the field, and innocent programs that look like one. Each has an image of its own
//! with nothing in it but the program and its libraries.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::command::run;
use crate::examples::Examples;
use crate::image::Image;
use crate::testbed::Testbed;
use crate::tools::target_dir;

/// A pod, what runs in it, and the truth about it.
#[derive(Debug, Clone, Copy)]
pub struct Leaky {
    /// Name of the pod; its image is `localhost/NAME:e2e`.
    pub name: &'static str,
    /// The container with the program.
    pub container: &'static str,
    /// How the program is called: rounds a second, seconds (0 is for ever), variant.
    arguments: &'static [&'static str],
    /// Right verdicts, best first.
    pub verdicts: &'static [&'static str],
    /// Functions that must be found to leak.
    pub leaks: &'static [&'static str],
    pack: fn(Image, &Examples) -> Result<Image>,
}

const LEAKS: &[&str] = &["LeakLikely"];
const INNOCENT: &[&str] = &["NoLeakObserved"];

/// All of them.
pub const ALL: &[Leaky] = &[
    // C, glibc, no frame pointers: the program of the README.
    Leaky {
        name: "seed",
        container: "app",
        arguments: &["50", "0"],
        verdicts: LEAKS,
        leaks: &["greet_client", "open_session", "write_journal"],
        pack: |image, examples| plain(image, &examples.program("seed")),
    },
    Leaky {
        name: "rust",
        container: "app",
        arguments: &["50", "0"],
        verdicts: LEAKS,
        leaks: &["leak_rc_cycle", "leak_forgotten"],
        pack: |image, examples| plain(image, &examples.program("rust-leaks")),
    },
    Leaky {
        name: "rust-jemalloc",
        container: "app",
        arguments: &["300", "0"],
        verdicts: LEAKS,
        leaks: &["submit_job"],
        pack: |image, examples| plain(image, &examples.program("corpus/rust-jemalloc/backlog")),
    },
    Leaky {
        name: "musl",
        container: "app",
        arguments: &["50", "0"],
        verdicts: LEAKS,
        leaks: &["open_session"],
        pack: musl,
    },
    Leaky {
        name: "cpp",
        container: "app",
        arguments: &["50", "0"],
        verdicts: LEAKS,
        leaks: &["subscribe", "remember_request"],
        pack: |image, examples| plain(image, &examples.program("cpp-leaks")),
    },
    Leaky {
        name: "stripped",
        container: "app",
        arguments: &["50", "0"],
        verdicts: LEAKS,
        leaks: &["greet_client", "open_session"],
        pack: stripped,
    },
    Leaky {
        name: "fork-server",
        container: "app",
        arguments: &["50", "0"],
        verdicts: LEAKS,
        leaks: &["record_visit"],
        pack: |image, examples| plain(image, &examples.program("fork-server")),
    },
    // Two containers, of which one leaks and the other must not be taken for it.
    Leaky {
        name: "sidecar",
        container: "app",
        arguments: &["50", "0"],
        verdicts: LEAKS,
        leaks: &["open_session"],
        pack: |image, examples| {
            image
                .program("/app/steady", &examples.program("steady"))?
                .program("/app/main", &examples.program("seed"))
        },
    },
    // Its program lies in a folder that only its own user may enter.
    Leaky {
        name: "private",
        container: "app",
        arguments: &["50", "0"],
        verdicts: LEAKS,
        leaks: &["open_session"],
        pack: private,
    },
    Leaky {
        name: "steady",
        container: "app",
        arguments: &["200", "0"],
        verdicts: INNOCENT,
        leaks: &[],
        pack: |image, examples| plain(image, &examples.program("steady")),
    },
    Leaky {
        name: "cache",
        container: "app",
        arguments: &["800", "0"],
        verdicts: INNOCENT,
        leaks: &[],
        pack: |image, examples| plain(image, &examples.program("corpus/glibc/cache")),
    },
    // The program gives everything back, and its allocator does not.
    Leaky {
        name: "retention",
        container: "app",
        arguments: &["20", "0", "bursts"],
        verdicts: &["AllocatorRetention", "NoLeakObserved"],
        leaks: &[],
        pack: |image, examples| plain(image, &examples.program("corpus/glibc/fragment")),
    },
    // Its own memory stays as it is; what the kernel holds for it grows.
    Leaky {
        name: "pipes",
        container: "app",
        arguments: &["60000", "20"],
        verdicts: LEAKS,
        leaks: &["pipe2"],
        pack: |image, examples| plain(image, &examples.program("pipes")),
    },
    // Grows by 4 MiB a second until its limit kills it.
    Leaky {
        name: "oom",
        container: "app",
        arguments: &["8000", "0", "unbounded"],
        verdicts: LEAKS,
        leaks: &["remember"],
        pack: |image, examples| plain(image, &examples.program("corpus/glibc/cache")),
    },
];

impl Leaky {
    /// The one with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<&'static Self> {
        ALL.iter().find(|leaky| leaky.name == name).with_context(|| {
            format!(
                "no pod {name}: there are {}",
                ALL.iter().map(|leaky| leaky.name).collect::<Vec<_>>().join(", ")
            )
        })
    }

    /// Name of its image.
    pub fn image_name(&self) -> String {
        format!("localhost/{}:e2e", self.name)
    }

    /// Its image.
    ///
    /// # Errors
    /// When a file is missing.
    pub fn image(&self, examples: &Examples) -> Result<Image> {
        (self.pack)(Image::named(&self.image_name()), examples)
    }

    /// The pod as it is applied.
    pub fn pod(&self, namespace: &str) -> Value {
        let container = |name: &str, command: &str, arguments: &[&str]| {
            json!({
                "name": name, "image": self.image_name(), "imagePullPolicy": "Never",
                "command": [command], "args": arguments,
            })
        };
        let program = if self.name == "private" { "/home/app/bin/main" } else { "/app/main" };
        let mut containers = vec![container(self.container, program, self.arguments)];
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.name, "namespace": namespace, "labels": {"app": self.name}},
            // The programs are the first process of their container and so ignore SIGTERM.
            "spec": {"terminationGracePeriodSeconds": 1},
        });
        match self.name {
            "sidecar" => containers.push(container("sidecar", "/app/steady", &["200", "0"])),
            "private" => {
                pod["spec"]["securityContext"] =
                    json!({"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true});
            }
            "oom" => containers[0]["resources"] = json!({"limits": {"memory": "192Mi"}}),
            _ => {}
        }
        pod["spec"]["containers"] = json!(containers);
        pod
    }
}

/// Starts the pod, whose image the node must have; one that runs already stays.
///
/// # Errors
/// When the API server refuses it.
pub fn start(testbed: &Testbed, leaky: &Leaky, namespace: &str) -> Result<()> {
    let file = target_dir().join("e2e").join(format!("{namespace}-{}.json", leaky.name));
    std::fs::write(&file, leaky.pod(namespace).to_string())?;
    run(testbed.kubectl(&["apply", "-f"]).arg(&file))
}

fn plain(image: Image, program: &Path) -> Result<Image> {
    image.program("/app/main", program)
}

/// musl's loader is its libc, and glibc's `ldd` knows nothing of it.
fn musl(image: Image, examples: &Examples) -> Result<Image> {
    let loader = format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH);
    let image = image.copy("/app/main", &examples.program("corpus/musl/list"), 0o755)?;
    image.copy(&loader, Path::new(&loader), 0o755)
}

/// As distributions ship programs: the debug information is a file beside.
fn stripped(image: Image, examples: &Examples) -> Result<Image> {
    let (program, debug) = examples.stripped("seed")?;
    image.program("/app/main", &program)?.copy("/usr/lib/debug/app/seed.debug", &debug, 0o644)
}

fn private(image: Image, examples: &Examples) -> Result<Image> {
    let image = image.folder("/home/app", 0o700).program("/home/app/bin/main", &examples.program("seed"))?;
    Ok(["/home/app", "/home/app/bin", "/home/app/bin/main"]
        .iter()
        .fold(image, |image, at| image.owned(at, 1000)))
}
