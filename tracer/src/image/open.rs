//! Ways to the file behind a mapping, and the proof that it is that file.

use std::{
    fs::File,
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use super::{Identity, ImageError};
use crate::{maps::Mapping, process::ProcessId};

/// Opens the file of a mapping on the first way that leads to it. Its path comes as maps has it and as the target sees it.
///
/// A path is only a hint: the target can move another file there, and where its links lead depends on the root they are
/// followed in. So the file opened is compared with the kernel's own word in the mapping.
pub(super) fn open_mapped(
    process: ProcessId,
    mapping: &Mapping,
    path: &Path,
    in_target: &Path,
    deleted: bool,
) -> Result<(File, Identity), ImageError> {
    let pid = process.pid;
    let mut with_suffix = in_target.as_os_str().to_owned();
    with_suffix.push(" (deleted)");
    let ways: [&dyn Fn() -> io::Result<File>; 5] = [
        &|| open_in_root(pid, in_target),
        // a name may really end like this
        &|| {
            if deleted {
                open_in_root(pid, Path::new(&with_suffix))
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        },
        // the program's own file can be reached even when it was removed
        &|| open_regular(CWD, Path::new(&format!("/proc/{pid}/exe")), ResolveFlags::empty()),
        // a server that changed its root after it had loaded its libraries
        &|| open_under(Path::new("/"), path),
        // anything mapped, removed or not, but only with CAP_CHECKPOINT_RESTORE
        &|| {
            let file = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
            open_regular(CWD, Path::new(&file), ResolveFlags::empty())
        },
    ];
    let (mut by_inode, mut another, mut refusal) = (None, deleted, None);
    for way in ways {
        match way().and_then(|file| Ok((compare(&file, mapping)?, file))) {
            Ok((Some(Identity::Exact), file)) => return Ok((file, Identity::Exact)),
            Ok((Some(Identity::Inode), file)) => by_inode = by_inode.or(Some(file)),
            Ok((None, _)) => another = true,
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    let name = in_target.display().to_string();
    match (by_inode, refusal) {
        (Some(file), _) => Ok((file, Identity::Inode)),
        (None, Some(source)) if !another => Err(ImageError::Open { path: name, pid, source }),
        _ => Err(ImageError::Replaced { path: name, pid }),
    }
}

/// A process that was only chrooted shows paths from our own root in its maps.
pub(super) fn as_target_sees(pid: u32, path: &Path) -> PathBuf {
    let root = std::fs::read_link(format!("/proc/{pid}/root")).unwrap_or_default();
    match path.strip_prefix(&root) {
        Ok(below) if root != Path::new("/") => Path::new("/").join(below),
        _ => path.to_owned(),
    }
}

/// Opens a regular file of the target by its path in the target's root. A plain open of `/proc/PID/root/LINK` would follow
/// an absolute link into our own root.
pub(crate) fn open_in_root(pid: u32, path: &Path) -> io::Result<File> {
    open_under(Path::new(&format!("/proc/{pid}/root")), path)
}

fn open_under(root: &Path, path: &Path) -> io::Result<File> {
    let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let relative = path.strip_prefix("/").unwrap_or(path);
    open_regular(root, relative, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// Looks before it opens: opening a device that somebody has put there could have effects.
fn open_regular(folder: impl std::os::fd::AsFd, path: &Path, resolve: ResolveFlags) -> io::Result<File> {
    let place = File::from(openat2(folder, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?);
    if !place.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

fn compare(file: &File, mapping: &Mapping) -> io::Result<Option<Identity>> {
    let metadata = file.metadata()?;
    let device = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    Ok(identify(device, metadata.ino(), mapping))
}

/// Whether what stat says of a file is what maps says of a mapping. On btrfs, and on overlayfs before Linux 6.8, the two
/// name different devices for one file; stat then names one without a driver (major number 0).
fn identify(device: (u32, u32), inode: u64, mapping: &Mapping) -> Option<Identity> {
    match (inode == mapping.inode, device == mapping.device, device.0) {
        (true, true, _) => Some(Identity::Exact),
        (true, false, 0) => Some(Identity::Inode),
        _ => None,
    }
}

/// The bytes of a mapping in the target's memory, at most 1 MiB: the vDSO has a few pages.
pub(super) fn read_memory(process: ProcessId, mapping: &Mapping) -> io::Result<Vec<u8>> {
    const MOST: u64 = 1 << 20;
    let length = mapping.end.saturating_sub(mapping.start).min(MOST);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    File::open(format!("/proc/{}/mem", process.pid))?.read_exact_at(&mut bytes, mapping.start)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::MapPath;

    #[test]
    fn another_inode_or_a_real_other_device_is_another_file() {
        let mapping = |device| Mapping {
            start: 0,
            end: 1,
            file_offset: 0,
            device,
            inode: 7,
            executable: true,
            path: MapPath::Anonymous,
        };
        assert_eq!(identify((8, 1), 7, &mapping((8, 1))), Some(Identity::Exact));
        assert_eq!(identify((0, 44), 7, &mapping((0, 44))), Some(Identity::Exact));
        // an overlay over a disk, a subvolume of btrfs
        assert_eq!(identify((0, 44), 7, &mapping((8, 1))), Some(Identity::Inode));
        assert_eq!(identify((0, 44), 7, &mapping((0, 43))), Some(Identity::Inode));
        for (device, inode) in [((8, 1), 8), ((8, 2), 7), ((0, 44), 8)] {
            assert_eq!(identify(device, inode, &mapping((8, 1))), None);
        }
        assert_eq!(identify((8, 1), 7, &mapping((0, 44))), None, "a disk's file under an overlay's name");
    }
}
