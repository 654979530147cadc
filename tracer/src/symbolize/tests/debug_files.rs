//! Programs whose debug information lies elsewhere.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{
    super::*,
    functions,
    programs::{Folder, LEAKY, address},
};
use crate::process::ProcessId;

/// A program without symbols, its debug file apart, and an address in `leak`.
struct Split {
    folder: Folder,
    program: PathBuf,
    debug: PathBuf,
    address: u64,
}

impl Split {
    fn new(flags: &[&str]) -> Self {
        let folder = Folder::new();
        let program = folder.compile("cc", "leaky.c", LEAKY, &[&["-g", "-O1"], flags].concat());
        let address = address(&program, "leak");
        let debug = folder.path("leaky.debug");
        folder.run("objcopy", &["--only-keep-debug".as_ref(), program.as_os_str(), debug.as_os_str()]);
        folder.run("strip", &[program.as_os_str()]);
        Self { folder, program, debug, address }
    }

    /// Writes the name and checksum of the debug file into the program.
    fn link(&self) {
        let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
        link.push(&self.debug);
        self.folder.run("objcopy", &[&link, self.program.as_os_str()]);
    }

    fn image(&self) -> Image {
        Image::open_path(&self.program).unwrap()
    }

    /// Where the debug file belongs below a folder like `/usr/lib/debug`, and that folder.
    fn store(&self, name: &str) -> (PathBuf, PathBuf) {
        let id = self.image().build_id.unwrap();
        let store = self.folder.path(name);
        let place = store.join(".build-id").join(&id[..2]);
        std::fs::create_dir_all(&place).unwrap();
        (store, place.join(format!("{}.debug", &id[2..])))
    }

    fn assert_named(&self, debug: Option<&DebugFile>) {
        let frames = Symbolizer::default().frames(&self.image(), debug, &[self.address]);
        assert_eq!(functions(&frames[0]), ["leak"]);
        assert!(frames[0][0].line.is_some());
    }
}

/// Ourselves: our root is the one of the test's programs.
fn own() -> ProcessId {
    ProcessId { pid: std::process::id(), start_ticks: 0 }
}

#[test]
fn a_debug_link_is_followed_beside_the_program_and_below_it() {
    let split = Split::new(&["-gz"]);
    split.link();
    let image = split.image();
    assert_eq!(Symbolizer::default().frames(&image, None, &[split.address]), [Vec::<Frame>::new()]);
    split.assert_named(debug_file::find(&image, Some(own()), &[]).as_ref());
    let below = split.folder.path(".debug");
    std::fs::create_dir(&below).unwrap();
    std::fs::rename(&split.debug, below.join("leaky.debug")).unwrap();
    split.assert_named(debug_file::find(&image, Some(own()), &[]).as_ref());
}

#[test]
fn a_debug_file_that_is_gone_after_it_was_opened_still_names() {
    let split = Split::new(&[]);
    split.link();
    let found = debug_file::find(&split.image(), Some(own()), &[]);
    std::fs::remove_file(&split.debug).unwrap();
    split.assert_named(found.as_ref());
    assert!(debug_file::find(&split.image(), Some(own()), &[]).is_none());
}

#[test]
fn without_a_build_id_the_checksum_decides() {
    let split = Split::new(&["-Wl,--build-id=none"]);
    split.link();
    let image = split.image();
    assert_eq!(image.build_id, None);
    split.assert_named(debug_file::find(&image, Some(own()), &[]).as_ref());
    let mut bytes = std::fs::read(&split.debug).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&split.debug, bytes).unwrap();
    assert!(debug_file::find(&image, Some(own()), &[]).is_none(), "another checksum");
}

#[test]
fn a_build_id_finds_its_debug_file_and_no_other() {
    let split = Split::new(&[]);
    let (store, place) = split.store("store");
    std::fs::rename(&split.debug, &place).unwrap();
    let find = || debug_file::find(&split.image(), None, std::slice::from_ref(&store));
    split.assert_named(find().as_ref());
    let other = Split::new(&["-DOTHER", "-O2"]);
    std::fs::copy(&other.debug, &place).unwrap();
    assert!(find().is_none(), "another build id");
    std::fs::write(&place, "no ELF file").unwrap();
    assert!(find().is_none());
    std::fs::remove_file(&place).unwrap();
    split.folder.run("mkfifo", &[place.as_os_str()]);
    assert!(find().is_none(), "a pipe, which must not be waited for");
}

#[test]
fn a_program_with_its_own_debug_information_needs_no_file() {
    let folder = Folder::new();
    let program = folder.compile("cc", "leaky.c", LEAKY, &["-g"]);
    assert!(
        debug_file::find(&Image::open_path(&program).unwrap(), Some(own()), &[folder.path("")]).is_none()
    );
}

#[test]
fn what_debug_files_share_is_found_too() {
    if !installed("dwz") {
        return;
    }
    let split = Split::new(&[]);
    let (store, place) = split.store("store");
    std::fs::rename(&split.debug, &place).unwrap();
    let twin = split.folder.path("twin.debug");
    std::fs::copy(&place, &twin).unwrap();
    let shared = store.join(".dwz/leaky");
    std::fs::create_dir_all(shared.parent().unwrap()).unwrap();
    let path = format!("-M{}", shared.display());
    split
        .folder
        .run("dwz", &["-m".as_ref(), shared.as_os_str(), path.as_ref(), place.as_os_str(), twin.as_os_str()]);
    let found = debug_file::find(&split.image(), None, std::slice::from_ref(&store)).unwrap();
    assert!(found.supplementary.is_some());
    split.assert_named(Some(&found));
}

/// A process whose root is a folder of ours.
struct Inside {
    child: Child,
}

impl Inside {
    /// `program` must be static. Returns once it runs there.
    fn start(root: &Path, program: &Path) -> Self {
        let within = Path::new("/").join(program.strip_prefix(root).unwrap());
        let mut child = Command::new("chroot")
            .arg(root)
            .arg(within)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "here\n");
        Self { child }
    }

    fn id(&self) -> ProcessId {
        ProcessId { pid: self.child.id(), start_ticks: 0 }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_containers_debug_files_are_its_own() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "CI must run this as root");
        eprintln!("SKIPPED: a process with another root needs root");
        return;
    }
    let split = Split::new(&[]);
    let waiting =
        "#include <stdio.h>\nint main(void) { puts(\"here\"); fflush(stdout); return getchar() == 'x'; }\n";
    let root = split.folder.path("root");
    std::fs::create_dir_all(root.join("usr/lib")).unwrap();
    let compiled = split.folder.compile("cc", "waiting.c", waiting, &["-static"]);
    let waiting = root.join("waiting");
    std::fs::rename(compiled, &waiting).unwrap();
    let inside = Inside::start(&root, &waiting);

    let (store, place) = split.store("root/usr/lib/debug");
    let find = || debug_file::find(&split.image(), Some(inside.id()), &[]);
    assert!(find().is_none());
    // an absolute link inside the container means a file inside the container
    std::fs::create_dir(root.join("elsewhere")).unwrap();
    std::fs::copy(&split.debug, root.join("elsewhere/real.debug")).unwrap();
    symlink("/elsewhere/real.debug", &place).unwrap();
    let found = find();
    split.assert_named(found.as_ref());
    drop(inside);
    split.assert_named(found.as_ref());

    // and never one of ours
    let inside = Inside::start(&root, &waiting);
    let find = || debug_file::find(&split.image(), Some(inside.id()), &[]);
    std::fs::remove_file(&place).unwrap();
    symlink(&split.debug, &place).unwrap();
    assert!(split.debug.exists() && find().is_none(), "{}", store.display());
    let up = "../".repeat(20) + split.debug.strip_prefix("/").unwrap().to_str().unwrap();
    std::fs::remove_file(&place).unwrap();
    symlink(up, &place).unwrap();
    assert!(find().is_none());
}

fn installed(program: &str) -> bool {
    let there =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "CI must have {program}");
        eprintln!("SKIPPED: {program} is not installed");
    }
    there
}
