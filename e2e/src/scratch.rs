//! A folder that goes when it is no longer needed, also when the tests are killed or the value is never dropped.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// A new, empty folder. A shell waits at a pipe for the end of this process, however it comes, and removes the folder then.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    janitor: Child,
}

/// Others may still write while they die, so once is not enough.
const JANITOR: &str = r#"trap "" INT TERM HUP; cat; until rm -rf "$0"; do sleep 0.1; done"#;

impl Scratch {
    /// Makes a folder of which the name begins with `prefix`.
    pub fn new(prefix: &str) -> Result<Self> {
        let path = tempfile::Builder::new().prefix(prefix).tempdir().context("make a folder")?.keep();
        let janitor = Command::new("sh")
            .args(["-c", JANITOR])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run sh")?;
        Ok(Self { path, janitor })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path within.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        if let Err(error) = self.janitor.wait() {
            tracing::warn!("{} may stay behind: {error}", self.path.display());
        }
    }
}
