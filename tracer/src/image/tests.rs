use std::{fs, io::Read, os::unix::fs::symlink, process::Command};

use object::{Object, ObjectSymbol, ReadRef};
use proptest::prelude::*;
use rustix::fs::CWD;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::*;
use crate::{
    maps,
    specimen::{PAUSE, Running, compile, is_root, wait_for},
};

/// Address of a symbol in an image.
fn symbol(image: &Image, name: &str) -> u64 {
    let data = image.data();
    let elf = object::File::parse(&data).unwrap();
    let symbols = || elf.symbols().chain(elf.dynamic_symbols());
    symbols().find(|symbol| symbol.name() == Ok(name)).unwrap().address()
}

/// Does something with no more rights than an agent in a pod has for files; capabilities are a thread's own.
fn as_agent<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let agent = scope.spawn(|| {
            let few = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
            let sets = CapabilitySets { effective: few, permitted: few, inheritable: CapabilitySet::empty() };
            set_capabilities(None, sets).unwrap();
            work()
        });
        agent.join().unwrap()
    })
}

#[test]
fn a_program_is_read_after_it_was_removed_and_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "gone", PAUSE, &["-Wl,--build-id=0x0123456789abcdef"]);
    let mut running = Running::start(&program, &[]);
    fs::remove_file(&program).unwrap();
    let mapping = running.mapping("/gone");
    assert!(matches!(mapping.path, MapPath::File { deleted: true, .. }));
    let image = Image::open(running.id(), &mapping).unwrap();
    running.end();
    assert_eq!(image.path, program.to_str().unwrap());
    assert_eq!(image.build_id.as_deref(), Some("0123456789abcdef"));
    assert_eq!(image.identity, Identity::Exact);
    assert!(symbol(&image, "main") > 0);
    assert!(fs::read(image.fd_path().unwrap()).unwrap().starts_with(b"\x7fELF"));
}

/// An upgrade under a running program: the path leads to the new library.
#[test]
fn a_replaced_library_is_not_taken_for_the_one_that_runs() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let build = |id: &str| {
        let id = format!("-Wl,--build-id=0x{id}");
        compile(folder.path(), "libupgrade.so", "int version;\n", &["-shared", "-fPIC", &id])
    };
    let library = build("0101");
    let source =
        "#include <unistd.h>\nextern int version;\nint main(void) { for (;;) { pause(); version++; } }\n";
    let library = library.to_str().unwrap();
    let program = compile(folder.path(), "user", source, &[library, "-Wl,-rpath,$ORIGIN"]);
    let running = Running::start(&program, &[]);
    let mapped = running.mapping("/libupgrade.so");
    fs::rename(library, folder.path().join("old")).unwrap();
    fs::remove_file(folder.path().join("old")).unwrap();
    build("0202");

    let id = running.id();
    let now = running.mapping("/old (deleted)".trim_end_matches(" (deleted)"));
    assert_eq!(Image::open(id, &now).unwrap().build_id.as_deref(), Some("0101"));
    // by the line as it was before: the new file is there, and is not it
    assert_eq!(Image::open(id, &mapped).unwrap().build_id.as_deref(), Some("0101"));
    let refused = as_agent(|| Image::open(id, &mapped)).unwrap_err();
    assert!(matches!(refused, ImageError::Replaced { .. }), "{refused}");
    assert!(refused.to_string().contains("CAP_CHECKPOINT_RESTORE"), "{refused}");
}

#[test]
fn links_and_dots_stay_inside_the_targets_root() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    compile(root.path(), "pause", PAUSE, &["-static"]);
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/hostname"), "inside").unwrap();
    symlink("/etc/hostname", root.path().join("absolute")).unwrap();
    symlink("../../../../etc/hostname", root.path().join("relative")).unwrap();
    symlink("/etc/passwd", root.path().join("outside")).unwrap();
    rustix::fs::mknodat(CWD, root.path().join("pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    rustix::fs::mknodat(
        CWD,
        root.path().join("device"),
        rustix::fs::FileType::CharacterDevice,
        0o644.into(),
        rustix::fs::makedev(1, 5),
    )
    .unwrap();
    let running = Running::start("chroot", &[root.path().to_str().unwrap(), "/pause"]);
    for path in ["/etc/hostname", "/absolute", "/relative", "/../../etc/hostname"] {
        let mut text = String::new();
        open_in_root(running.pid(), Path::new(path)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside", "{path}");
    }
    let error = |path| open_in_root(running.pid(), Path::new(path)).unwrap_err().kind();
    assert_eq!(error("/outside"), io::ErrorKind::NotFound);
    for odd in ["/pipe", "/device", "/etc"] {
        assert_eq!(error(odd), io::ErrorKind::InvalidInput, "{odd}");
    }
    let image = as_agent(|| Image::open(running.id(), &running.mapping("/pause")).unwrap());
    assert_eq!((image.path.as_str(), image.identity), ("/pause", Identity::Exact));
}

/// As servers do that drop their rights: libraries first, then an empty root.
#[test]
fn libraries_loaded_before_a_change_of_root_are_found() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let source = "#include <unistd.h>\n\
        int main(int n, char **v) { if (chroot(v[1]) || chdir(\"/\")) return 1; for (;;) pause(); }\n";
    let program = compile(folder.path(), "server", source, &[]);
    let running = Running::start(&program, &[empty.path().to_str().unwrap()]);
    let libc = running.mapping("/libc.so.6");
    let image = as_agent(|| Image::open(running.id(), &libc).unwrap());
    assert_eq!(image.identity, Identity::Exact);
    assert!(symbol(&image, "malloc") > 0);
}

#[test]
fn odd_names_are_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["upgrade (deleted)", "two\nlines", "b\u{e9}b\u{e9} \\012"] {
        let program = compile(folder.path(), name, PAUSE, &[]);
        let running = Running::start(&program, &[]);
        let own = running.id().program();
        let mappings = maps::executable(running.id()).unwrap();
        let mapping =
            mappings.iter().find(|mapping| own.is_some_and(|own| own.inode == mapping.inode)).unwrap();
        let image = Image::open(running.id(), mapping).unwrap();
        assert!(symbol(&image, "main") > 0, "{name}");
    }
}

/// Every way that linkers lay out segments must give the address that the program itself sees.
#[test]
fn bias_is_right_for_every_layout() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdio.h>\n#include <unistd.h>\n\
        int main(int n, char **v) { FILE *f = fopen(v[1], \"w\"); fprintf(f, \"%p\\n\", (void *)main); fclose(f);\n\
        for (;;) pause(); }\n";
    let layouts: [&[&str]; 7] = [
        &["-pie", "-fPIE"],
        &["-no-pie"],
        &["-static"],
        &["-static-pie"],
        &["-no-pie", "-Wl,-Ttext-segment=0x10000000"],
        &["-pie", "-fPIE", "-Wl,-z,noseparate-code"],
        &["-pie", "-fPIE", "-Wl,-z,max-page-size=0x200000"],
    ];
    for layout in layouts {
        let program = compile(folder.path(), "layout", source, layout);
        let says = folder.path().join("says");
        let _ = fs::remove_file(&says);
        let running = Running::start(&program, &[says.to_str().unwrap()]);
        let address = fs::read_to_string(&says).unwrap();
        let address = u64::from_str_radix(address.trim().trim_start_matches("0x"), 16).unwrap();
        let mapping = running.mapping("/layout");
        assert!((mapping.start..mapping.end).contains(&address), "{layout:?}");
        let image = Image::open(running.id(), &mapping).unwrap();
        assert_eq!(image.bias(&mapping).wrapping_add(symbol(&image, "main")), address, "{layout:?}");
    }
}

#[test]
fn segments_that_share_a_page_are_told_apart() {
    let segment = |offset, size, address| Segment { address, offset, size, executable: true };
    let at = |file_offset| Mapping {
        start: 0x7000_0000 + file_offset,
        end: 0x7000_2000 + file_offset,
        file_offset,
        device: (8, 1),
        inode: 1,
        executable: true,
        path: MapPath::Anonymous,
    };
    let data = Segment { executable: false, ..segment(0x1000, 0x1000, 0x99_0000) };
    let segments = [data, segment(0x1000, 0x1800, 0x40_1000), segment(0x2800, 0x1000, 0x60_2800)];
    let of = |file_offset, page| bias(&segments, &at(file_offset), page);
    assert_eq!(of(0x1000, 4096), 0x7000_0000u64.wrapping_sub(0x40_0000));
    assert_eq!(of(0x2000, 4096), 0x7000_0000u64.wrapping_sub(0x60_0000), "its own first page");
    assert_eq!(of(0x3000, 4096), 0x7000_0000u64.wrapping_sub(0x60_0000), "split by mprotect");
    assert_eq!(of(0x9000, 4096), 0x7000_0000);
    assert_eq!(of(0, 1 << 16), 0x7000_0000u64.wrapping_sub(0x40_0000), "pages of 64 KiB");
    assert_eq!(bias(&[segment(u64::MAX, u64::MAX, 0)], &at(0), 4096), 0x7000_0000);
}

#[test]
fn the_vdso_is_read_from_memory() {
    let running = Running::start("sleep", &["60"]);
    let mappings = maps::executable(running.id()).unwrap();
    let mapping = mappings.iter().find(|mapping| mapping.path == MapPath::Vdso).expect("a vDSO");
    let image = Image::open(running.id(), mapping).unwrap();
    assert!(image.fd_path().is_none());
    assert_eq!(image.path, "[vdso]");
    assert_eq!(image.bias(mapping), mapping.start);
    let offset = symbol(&image, "__vdso_clock_gettime");
    assert!(mapping.start + offset < mapping.end);
}

#[test]
fn what_is_no_program_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "no program").unwrap();
    assert!(matches!(Image::open_path(&text), Err(ImageError::Elf { .. })));
    fs::write(&text, "").unwrap();
    assert!(matches!(Image::open_path(&text), Err(ImageError::Elf { .. })));
    let program = compile(folder.path(), "small", PAUSE, &["-m32"]);
    assert!(matches!(Image::open_path(&program), Err(ImageError::Elf { .. })));
    assert!(matches!(Image::open_path(&folder.path().join("none")), Err(ImageError::Open { .. })));
    let mut running = Running::start("sleep", &["60"]);
    let (id, libc) = (running.id(), running.mapping("/libc.so.6"));
    let nothing = Mapping { path: MapPath::Anonymous, ..libc.clone() };
    assert!(matches!(Image::open(id, &nothing), Err(ImageError::NotAFile(_))));
    running.end();
    wait_for("its end", || !id.is_alive());
    // its path still leads to the same file here; what was never in our root does not
    let path = MapPath::File { path: "/nowhere/at/all.so".into(), deleted: false };
    assert!(matches!(Image::open(id, &Mapping { path, ..libc }), Err(ImageError::Open { .. })));
}

#[test]
fn a_file_cut_short_under_us_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "cut", PAUSE, &[]);
    let image = Image::open_path(&program).unwrap();
    let data = image.data();
    let length = (&data).len().unwrap();
    assert!((&data).read_bytes_at(length - 8, 8).is_ok());
    fs::OpenOptions::new().write(true).open(&program).unwrap().set_len(64).unwrap();
    assert!((&data).read_bytes_at(length - 16, 16).is_err());
    assert!(object::File::parse(&image.data()).is_err());
}

fn small_program() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::read(compile(folder.path(), "small", PAUSE, &["-Wl,--build-id=sha1"])).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Headers are where a parser can be led astray.
    #[test]
    fn damaged_files_never_panic(
        damage in prop::collection::vec((0usize..0x400, any::<u8>()), 0..16),
        cut in 0usize..20_000,
        at in any::<u64>(),
    ) {
        static PROGRAM: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(small_program);
        let mut bytes = PROGRAM.clone();
        for (position, value) in damage {
            bytes[position] = value;
        }
        bytes.truncate(cut.max(64));
        if let Ok(image) = Image::parse("damaged".into(), Content::Bytes(bytes), Identity::Exact) {
            let path = MapPath::Anonymous;
            image.bias(&Mapping { start: at, end: at, file_offset: at, device: (0, 0), inode: 0, executable: true, path });
            let _ = (&image.data()).read_bytes_at(at, at);
        }
    }
}

#[test]
fn a_real_command_names_the_same_build() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "named", PAUSE, &["-Wl,--build-id=sha1"]);
    let notes = Command::new("readelf").arg("-n").arg(&program).output().unwrap();
    let id = Image::open_path(&program).unwrap().build_id.unwrap();
    assert_eq!(id.len(), 40);
    assert!(String::from_utf8_lossy(&notes.stdout).contains(&id));
}
