//! Recordings on this node's disk until the operator has them: written while they happen, kept over a restart.
//!
//! ```text
//! SPOOL/<probe uid>/ticket.json   what became of the probe
//! SPOOL/<probe uid>/<epoch>.lhr   the recording of one stretch of watching
//! ```

mod tape;
mod ticket;

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

pub(crate) use tape::{Tape, TapeLoss};
pub(crate) use ticket::{Epoch, Ticket};

/// The spool cannot be used.
#[derive(Debug, Error)]
#[error("cannot use the spool at {path}: give --spool a directory that can be written")]
pub(crate) struct SpoolError {
    /// What could not be read or written.
    path: PathBuf,
    /// Why.
    #[source]
    source: io::Error,
}

/// The directory of all recordings that this agent keeps.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    folder: Arc<Path>,
    most_bytes: u64,
}

/// What is kept of one probe.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    folder: PathBuf,
}

impl Spool {
    /// Opens a spool that may hold `most_bytes` in all.
    pub(crate) fn open(folder: &Path, most_bytes: u64) -> Result<Self, SpoolError> {
        let open = || {
            fs::create_dir_all(folder)?;
            // on a directory of the node others could look in
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        };
        open().map_err(|source| SpoolError { path: folder.to_owned(), source })?;
        Ok(Self { folder: folder.into(), most_bytes })
    }

    /// The place of one probe.
    pub(crate) fn entry(&self, uid: &str) -> Entry {
        // the API server made the uid; still, nothing but its own folder may be reached by it
        let name: String = uid.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        Entry { folder: self.folder.join(name) }
    }

    /// Bytes that may still be written.
    pub(crate) fn room(&self) -> u64 {
        self.most_bytes.saturating_sub(self.used())
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        let files = self.entries().into_iter().flat_map(|entry| fs::read_dir(entry).into_iter().flatten());
        files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    /// Removes what belongs to none of the probes that exist, and says how many that were.
    pub(crate) fn sweep(&self, existing: &BTreeSet<String>) -> Result<usize, SpoolError> {
        let strange = |folder: &PathBuf| {
            folder.file_name().is_some_and(|name| !existing.contains(name.to_string_lossy().as_ref()))
        };
        let mut removed = 0;
        for folder in self.entries().into_iter().filter(strange) {
            Entry { folder }.remove()?;
            removed += 1;
        }
        Ok(removed)
    }

    fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}

impl Entry {
    /// What became of the probe; `None` when this spool knows nothing of it.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        let text = fs::read(self.ticket_path()).ok()?;
        match serde_json::from_slice(&text) {
            Ok(ticket) => Some(ticket),
            Err(error) => {
                tracing::warn!(path = %self.ticket_path().display(), %error, "an unreadable ticket is ignored");
                None
            }
        }
    }

    /// Keeps what became of the probe, so that it is whole or not there at any moment.
    pub(crate) fn save(&self, ticket: &Ticket) -> Result<(), SpoolError> {
        let next = self.folder.join("ticket.next");
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            fs::write(&next, serde_json::to_vec(ticket)?)?;
            fs::rename(&next, self.ticket_path())
        };
        write().map_err(|source| SpoolError { path: self.folder.clone(), source })
    }

    /// Where the recording of an epoch is.
    pub(crate) fn recording(&self, epoch: u32) -> PathBuf {
        self.folder.join(format!("{epoch}.lhr"))
    }

    /// Forgets the probe.
    pub(crate) fn remove(&self) -> Result<(), SpoolError> {
        match fs::remove_dir_all(&self.folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SpoolError { path: self.folder.clone(), source })
            }
            _ => Ok(()),
        }
    }

    fn ticket_path(&self) -> PathBuf {
        self.folder.join("ticket.json")
    }
}

#[cfg(test)]
mod tests;
