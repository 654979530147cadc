//! Container images assembled from files, without Docker: the same bytes each time, as an OCI archive that `ctr` and `kind` load.

mod archive;
mod libraries;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What an image holds, and how its program is started.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    entries: BTreeMap<String, Entry>,
    entrypoint: Vec<String>,
    user: Option<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    kind: Kind,
    mode: u32,
    owner: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Folder,
    File(Vec<u8>),
    Link(String),
}

impl Image {
    /// An empty image. The name has a tag: `localhost/seed:e2e`.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), entries: BTreeMap::new(), entrypoint: Vec::new(), user: None }
            .folder("/tmp", 0o1777)
    }

    /// The name with its tag.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a folder; those above it come by themselves.
    #[must_use]
    pub fn folder(self, at: &str, mode: u32) -> Self {
        self.entry(at, Kind::Folder, mode)
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, at: &str, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.entry(at, Kind::File(content.into()), mode)
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, at: &str, target: &str) -> Self {
        self.entry(at, Kind::Link(target.to_owned()), 0o777)
    }

    /// Gives an entry to a user, by number.
    #[must_use]
    pub fn owned(mut self, at: &str, owner: u64) -> Self {
        if let Some(entry) = self.entries.get_mut(at.trim_matches('/')) {
            entry.owner = owner;
        }
        self
    }

    /// Copies a file of this machine.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn copy(self, at: &str, from: &Path, mode: u32) -> Result<Self> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        Ok(self.file(at, content, mode))
    }

    /// Copies a program of this machine, and the libraries that it is linked with.
    ///
    /// # Errors
    /// When a file cannot be read, or a library is not found.
    pub fn program(self, at: &str, from: &Path) -> Result<Self> {
        let mut image = self.copy(at, from, 0o755)?;
        for library in libraries::of(from)? {
            let path = library.to_str().context("a library's path is no UTF-8")?.to_owned();
            image = image.copy(&path, &library, 0o755)?;
        }
        Ok(image)
    }

    /// What runs when the pod does not say otherwise.
    #[must_use]
    pub fn entrypoint(mut self, arguments: &[&str]) -> Self {
        self.entrypoint = arguments.iter().map(ToString::to_string).collect();
        self
    }

    /// Who it runs as: a number, or `number:number` with the group.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Writes the OCI archive.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = archive::of(self)?;
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    fn entry(mut self, at: &str, kind: Kind, mode: u32) -> Self {
        let at = at.trim_matches('/').to_owned();
        for (end, _) in at.match_indices('/') {
            let above = at[..end].to_owned();
            self.entries.entry(above).or_insert(Entry { kind: Kind::Folder, mode: 0o755, owner: 0 });
        }
        self.entries.insert(at, Entry { kind, mode, owner: 0 });
        self
    }
}

#[cfg(test)]
mod tests;
