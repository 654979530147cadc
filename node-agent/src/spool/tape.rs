//! One recording being written, up to a size; what is too large to be uploaded is not kept.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use leakhound_report::recording::{Record, Writer};
use thiserror::Error;

use super::Spool;

/// Why there is no recording of something that was watched.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum TapeLoss {
    /// Larger than the operator takes.
    #[error("the recording grew beyond {0} bytes: use a longer snapshotInterval, or a shorter duration")]
    TooLarge(u64),
    /// Recordings of other probes take the room.
    #[error(
        "the spool of the node is full: wait until the operator has taken the recordings, or set --spool-mib higher"
    )]
    SpoolFull,
    /// The disk said no.
    #[error("the recording could not be kept on the node: {0}")]
    Disk(String),
}

/// One recording being written. It never fails: a lost recording must not end the watching.
pub(crate) struct Tape {
    path: PathBuf,
    most_bytes: u64,
    state: Result<Writer<Counted>, TapeLoss>,
}

impl Tape {
    /// Starts a file of at most `most_bytes`, in a spool that others fill as well.
    pub(crate) fn start(path: &Path, most_bytes: u64, spool: &Spool) -> Self {
        let open = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(path)
        };
        let state = match open() {
            Ok(file) => Ok(Writer::new(Counted { file, left: most_bytes, spool: spool.clone() })),
            Err(error) => Err(TapeLoss::Disk(error.to_string())),
        };
        Self { path: path.to_owned(), most_bytes, state }
    }

    /// Adds a record; after a snapshot everything so far is on disk.
    pub(crate) fn write(&mut self, record: &Record) {
        if let Ok(writer) = &mut self.state
            && let Err(error) = writer.write(record)
        {
            self.lose(&error);
        }
    }

    /// Ends the file, and says what became of it.
    pub(crate) fn finish(mut self) -> Result<(), TapeLoss> {
        let over = Err(TapeLoss::Disk("it was ended already".to_owned()));
        let writer = std::mem::replace(&mut self.state, over)?;
        match writer.finish() {
            Ok(_) => Ok(()),
            Err(error) => {
                self.lose(&error);
                self.state.map(drop)
            }
        }
    }

    fn lose(&mut self, error: &io::Error) {
        let loss = match error.kind() {
            io::ErrorKind::FileTooLarge => TapeLoss::TooLarge(self.most_bytes),
            io::ErrorKind::QuotaExceeded => TapeLoss::SpoolFull,
            _ => TapeLoss::Disk(error.to_string()),
        };
        self.state = Err(loss);
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a recording that is of no use stays on disk");
        }
    }
}

/// A file that takes only so many bytes more, and no more than its spool does: others are being written beside it.
struct Counted {
    file: File,
    left: u64,
    spool: Spool,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        if length > self.left {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if length > self.spool.room() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let written = self.file.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
