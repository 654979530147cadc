//! Where a result goes: a file, or standard output.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::usage::misuse;

/// Where a result goes. A file is opened before the work begins, so that a wrong path is found out then, and replaced
/// only when there is something to put in.
#[derive(Debug)]
pub(crate) enum Destination {
    Stdout,
    File { path: PathBuf, file: File },
}

impl Destination {
    /// Opens a destination; `-` is standard output. What the file holds already stays until the result is written.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot write {}: choose another path", path.display()))?;
        Ok(Self::File { path: path.to_owned(), file })
    }

    /// Whether this takes standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Writes the whole result.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(bytes).context("cannot write to standard output"),
            Self::File { path, mut file } => (|| {
                empty(&file)?;
                file.write_all(bytes)
            })()
            .with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// For a result that is written while it comes in.
    pub(crate) fn into_stream(self) -> Stream {
        Stream { destination: self, is_begun: false }
    }

    /// Takes back a file that was made for a result which never came.
    pub(crate) fn abandon(self) {
        self.take_back();
    }

    fn take_back(&self) {
        if let Self::File { path, file } = self
            && file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes room for a result; a device such as /dev/full or a pipe cannot be cut.
fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

/// A result that is written while it comes in. What the file held before stays until the first of it, and a file that was
/// made for one which never came is taken back.
#[derive(Debug)]
pub(crate) struct Stream {
    destination: Destination,
    is_begun: bool,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        match &mut self.destination {
            Destination::Stdout => io::stdout().write(bytes),
            Destination::File { file, .. } => {
                if is_first {
                    empty(file)?;
                }
                file.write(bytes)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.destination {
            Destination::Stdout => io::stdout().flush(),
            Destination::File { file, .. } => file.flush(),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_begun {
            self.destination.take_back();
        }
    }
}

/// Refuses two results on one standard output.
pub(crate) fn require_one_stdout<'a>(destinations: impl Iterator<Item = &'a Destination>) {
    if destinations.filter(|one| one.is_stdout()).count() > 1 {
        misuse("only one result can go to standard output: give the others a file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_result_stays_until_there_is_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        fs::write(&path, "an earlier, longer result").unwrap();
        let destination = Destination::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "an earlier, longer result");
        destination.write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_file_for_a_result_that_never_came_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let [new, old] = ["new", "old"].map(|name| folder.path().join(name));
        fs::write(&old, "x").unwrap();
        for path in [&new, &old] {
            Destination::open(path).unwrap().abandon();
            drop(Destination::open(path).unwrap().into_stream());
        }
        assert!(!new.exists() && fs::read(&old).unwrap() == b"x");
    }

    #[test]
    fn a_stream_takes_the_place_of_an_earlier_result_with_its_first_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.lhr");
        fs::write(&path, "an earlier, longer result").unwrap();
        let mut stream = Destination::open(&path).unwrap().into_stream();
        for part in ["ne", "w"] {
            stream.write_all(part.as_bytes()).unwrap();
        }
        drop(stream);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_found_out_at_once() {
        let error = Destination::open(Path::new("/does/not/exist/out.json")).unwrap_err();
        assert!(format!("{error:#}").contains("/does/not/exist/out.json"));
    }
}
