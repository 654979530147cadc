//! What a writer that was killed leaves in a directory: a file that was never renamed to what it was to be, and folders with
//! nothing in them. The store neither lists nor removes either, so it would fill up, and a folder of an investigation that
//! was deleted would be found again at each sweep.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

/// Removes what nobody has touched for `age`, and says how many files that were.
pub(super) fn remove(folder: &Path, age: Duration) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            removed += remove(&entry.path(), age)?;
            if is_old(&entry, age) {
                // refused as long as there is something in it
                let _ = fs::remove_dir(entry.path());
            }
        } else if is_unfinished(&entry.file_name().to_string_lossy()) && is_old(&entry, age) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The store writes `NAME` as `NAME#1` first, or as `NAME#2` when that is there.
fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| number.parse::<u32>().is_ok())
}

/// Whether nobody has touched it for so long. One that vanished meanwhile is somebody's.
fn is_old(entry: &fs::DirEntry, age: Duration) -> bool {
    let touched = entry.metadata().and_then(|metadata| metadata.modified());
    touched.is_ok_and(|touched| SystemTime::now().duration_since(touched).is_ok_and(|since| since >= age))
}
