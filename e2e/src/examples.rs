//! The example programs, built as a distribution would build them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::tools::{target_dir, workspace};

/// Where the built examples lie.
#[derive(Debug, Clone)]
pub struct Examples {
    folder: PathBuf,
}

impl Examples {
    /// Builds everything that [`crate::leaky`] needs; what is current is left alone.
    ///
    /// # Errors
    /// When a compiler fails or is missing; its output has gone to standard error.
    pub fn build() -> Result<Self> {
        let folder = target_dir().join("examples");
        let corpus = folder.join("corpus");
        let planted = ["glibc/cache", "glibc/fragment", "musl/list", "rust-jemalloc/backlog"];
        make("examples", &folder, &["c".into(), "rust".into()])?;
        make("examples/corpus", &corpus, &planted.map(|name| corpus.join(name)))?;
        let pipes = workspace().join("tracer/tests/live/programs/pipes.c");
        run(Command::new("cc").args(["-g", "-O2", "-o"]).arg(folder.join("pipes")).arg(pipes))?;
        Ok(Self { folder })
    }

    /// A program by its path below the folder: `seed`, `corpus/musl/list`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program without symbols and debug information, and the file to which they went, for `/usr/lib/debug`.
    ///
    /// # Errors
    /// When binutils fail.
    pub fn stripped(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let program = self.program(name);
        let (stripped, debug) = (program.with_extension("stripped"), program.with_extension("debug"));
        let objcopy = || Command::new("objcopy");
        run(objcopy().arg("--only-keep-debug").arg(&program).arg(&debug))?;
        let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
        link.push(&debug);
        run(objcopy().arg("--strip-all").arg(link).arg(&program).arg(&stripped))?;
        Ok((stripped, debug))
    }
}

fn make(source: &str, into: &Path, targets: &[PathBuf]) -> Result<()> {
    let mut out = std::ffi::OsString::from("OUT=");
    out.push(into);
    let mut make = Command::new("make");
    make.args(["--silent", "--no-print-directory", "-C"])
        .arg(workspace().join(source))
        .arg(out)
        .args(targets);
    // The rules of the calling make are not meant for this one.
    run(make.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL"))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: see above");
    Ok(())
}
