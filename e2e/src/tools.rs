//! The programs that a test needs and no distribution ships together: built from the Go modules in `e2e/go`, once per folder.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A Go module of `e2e/go` that builds tools. They are modules of their own because their dependencies do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tools {
    /// API server, controller manager, scheduler, kubelet, proxy, kubectl.
    Kubernetes,
    /// Helm.
    Helm,
    /// containerd, its shim and `ctr`.
    Containerd,
    /// The cluster's DNS.
    CoreDns,
    /// A server that speaks S3, for reports in a bucket.
    S3,
}

impl Tools {
    /// Everything that a cluster needs.
    pub const ALL: [Self; 4] = [Self::Kubernetes, Self::Helm, Self::Containerd, Self::CoreDns];

    fn module(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Helm => "helm",
            Self::Containerd => "containerd",
            Self::CoreDns => "coredns",
            Self::S3 => "s3",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Kubernetes => &[
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubectl",
                "kubelet",
            ],
            Self::Helm => &["helm"],
            Self::Containerd => &["containerd", "containerd-shim-runc-v2", "ctr"],
            Self::CoreDns => &["coredns"],
            Self::S3 => &["versitygw"],
        }
    }

    /// Builds what is missing or older than its `go.mod`, and gives the folder of the programs. The first build of all takes about ten
    /// minutes on two cores; after that Go's own cache makes it seconds.
    ///
    /// # Errors
    /// When Go is missing or the build fails; its output has gone to standard error.
    pub fn build(wanted: &[Self]) -> Result<PathBuf> {
        let bin = bin_dir();
        fs::create_dir_all(&bin)?;
        let lock = File::create(bin.with_extension("lock"))?;
        lock.lock().context("cannot lock the folder of tools")?; // several tests may want the same tool
        for tools in wanted {
            if !tools.current(&bin)? {
                tools.build_into(&bin)?;
            }
        }
        Ok(bin)
    }

    fn folder(self) -> PathBuf {
        workspace().join("e2e/go").join(self.module())
    }

    fn stamp(self, bin: &Path) -> PathBuf {
        bin.join(format!(".{}", self.module()))
    }

    /// Whether the programs were built from the `go.mod` that lies there now.
    fn current(self, bin: &Path) -> Result<bool> {
        if !self.programs().iter().all(|program| bin.join(program).exists()) {
            return Ok(false);
        }
        match fs::read(self.stamp(bin)) {
            Ok(built) => Ok(built == fs::read(self.folder().join("go.mod"))?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn build_into(self, bin: &Path) -> Result<()> {
        let folder = self.folder();
        tracing::info!(module = self.module(), "building tools, some minutes at the first time");
        let mut go = Command::new("go");
        go.args(["build", "-ldflags", &self.linker_flags()?, "-o"]).arg(bin).arg("tool");
        go.current_dir(&folder).env("CGO_ENABLED", "0").stdin(Stdio::null());
        let status = go.status().context("cannot run go: install Go 1.26 or newer from https://go.dev/dl")?;
        ensure!(status.success(), "go build of the tools in {} failed: see above", folder.display());
        fs::copy(folder.join("go.mod"), self.stamp(bin))?;
        Ok(())
    }

    /// Without the version in the programs, Helm cannot read the server's.
    fn linker_flags(self) -> Result<String> {
        let flags = "-s -w".to_owned();
        if self == Self::Kubernetes {
            let text = fs::read_to_string(self.folder().join("go.mod"))?;
            let version = text
                .lines()
                .find_map(|line| {
                    line.trim().trim_start_matches("require ").strip_prefix("k8s.io/kubernetes v")
                })
                .and_then(|rest| rest.split_whitespace().next())
                .context("e2e/go/kubernetes/go.mod names no version of k8s.io/kubernetes")?;
            let mut numbers = version.split('.');
            let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
            let at = "-X k8s.io/component-base/version";
            return Ok(format!(
                "{flags} {at}.gitVersion=v{version} {at}.gitMajor={major} {at}.gitMinor={minor}"
            ));
        }
        Ok(flags)
    }
}

/// The root of the sources.
pub fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Cargo's target folder.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

fn bin_dir() -> PathBuf {
    target_dir().join("e2e/bin")
}
