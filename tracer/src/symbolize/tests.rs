use std::process::Command;

use object::{Object, ObjectSymbol};

use super::*;

/// Compiles a C program and returns its image and the virtual address of a function in it.
fn compile(folder: &Path, arguments: &[&str]) -> PathBuf {
    let source = folder.join("leaky.c");
    std::fs::write(&source, "#include <stdlib.h>\n\n__attribute__((noinline))\nvoid *leak(int n)\n{\n\treturn malloc(n);\n}\nint main(void) { return leak(3) == 0; }\n").unwrap();
    let program = folder.join("leaky");
    let status = Command::new("cc").args(arguments).arg("-o").arg(&program).arg(&source).status().unwrap();
    assert!(status.success());
    program
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) {
    assert!(Command::new(program).args(arguments).status().unwrap().success(), "{program} {arguments:?}");
}

fn address_of(image: &Image, name: &str) -> u64 {
    let cache = image.data();
    let elf = object::File::parse(&cache).unwrap();
    elf.symbols().find(|symbol| symbol.name() == Ok(name)).unwrap().address() + 1
}

#[test]
fn function_file_and_line_are_found_also_after_the_file_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), &["-g", "-O1"]);
    let image = Image::open_path(&program).unwrap();
    let address = address_of(&image, "leak");
    std::fs::remove_file(&program).unwrap();
    let mut symbolizer = Symbolizer::default();
    let frames = symbolizer.frames(&image, None, &[address, 1]);
    assert_eq!(frames[0][0].function.as_deref(), Some("leak"));
    assert!(frames[0][0].file.as_deref().unwrap().ends_with("/leaky.c"));
    assert!((5..=6).contains(&frames[0][0].line.unwrap()));
    assert!(frames[1].is_empty());
    assert_eq!(symbolizer.stats, SymbolStats { named: 1, with_line: 1, unnamed: 1 });
}

#[test]
fn a_stripped_program_is_named_by_its_debug_file() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), &["-g", "-O1", "-gz"]);
    let address = address_of(&Image::open_path(&program).unwrap(), "leak");
    let debug = folder.path().join("leaky.debug");
    run("objcopy", &["--only-keep-debug".as_ref(), program.as_os_str(), debug.as_os_str()]);
    run("strip", &[program.as_os_str()]);
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    run("objcopy", &[&link, program.as_os_str()]);

    let apart = folder.path().join("apart");
    std::fs::rename(&debug, &apart).unwrap();
    let image = Image::open_path(&program).unwrap();
    let mut symbolizer = Symbolizer::default();
    let bare = symbolizer.frames(&image, None, &[address]);
    assert_eq!(bare, [Vec::<Frame>::new()]);
    std::fs::rename(&apart, &debug).unwrap();
    // beside the program, as its link says; the process is our own, whose root is ours
    let own = crate::process::ProcessId { pid: std::process::id(), start_ticks: 0 };
    let found = debug_file::find(&image, Some(own), &[]).expect("found by link");
    let frames = symbolizer.frames(&image, Some(&found), &[address]);
    assert_eq!(frames[0][0].function.as_deref(), Some("leak"));
    assert!(frames[0][0].line.is_some());

    // by build id, in a folder of its own
    let id = image.build_id.clone().unwrap();
    let store = folder.path().join("store");
    let place = store.join(".build-id").join(&id[..2]);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::rename(&debug, place.join(format!("{}.debug", &id[2..]))).unwrap();
    assert!(debug_file::find(&image, Some(own), std::slice::from_ref(&store)).is_some());

    // another program's debug file under that name is refused
    let other = compile(folder.path(), &["-g", "-O2", "-DOTHER"]);
    std::fs::copy(other, place.join(format!("{}.debug", &id[2..]))).unwrap();
    assert!(debug_file::find(&image, Some(own), &[store]).is_none());
}

#[test]
fn inlined_calls_come_before_the_function_they_are_in() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("inlined.cpp");
    std::fs::write(
        &source,
        "#include <cstdlib>\nnamespace shop {\nstruct Cart { void *item; };\nstatic inline __attribute__((always_inline)) void *take(int n)\n{\n\treturn malloc(n);\n}\n__attribute__((noinline)) Cart *fill(int n)\n{\n\treturn (Cart *)take(n);\n}\n}\nint main() { return shop::fill(3) == nullptr; }\n",
    )
    .unwrap();
    let program = folder.path().join("inlined");
    run(
        "c++",
        &[
            "-g".as_ref(),
            "-O2".as_ref(),
            "-fno-optimize-sibling-calls".as_ref(),
            "-o".as_ref(),
            program.as_os_str(),
            source.as_os_str(),
        ],
    );
    let image = Image::open_path(&program).unwrap();
    let cache = image.data();
    let elf = object::File::parse(&cache).unwrap();
    let fill = elf.symbols().find(|symbol| symbol.name() == Ok("_ZN4shop4fillEi")).unwrap();
    let addresses: Vec<u64> = (fill.address()..fill.address() + fill.size()).collect();
    let frames = Symbolizer::default().frames(&image, None, &addresses);
    let inlined =
        frames.iter().find(|frames| frames.len() == 2).expect("some instruction is of the inlined call");
    assert!(inlined[0].function.as_deref().unwrap().contains("take") && inlined[0].inlined, "{inlined:?}");
    assert_eq!((inlined[1].function.as_deref().unwrap(), inlined[1].inlined), ("shop::fill(int)", false));
    assert_eq!((inlined[0].line, inlined[1].line), (Some(6), Some(10)));
}

#[test]
fn names_and_paths_are_made_readable() {
    assert_eq!(without_hash("app::main::h0123456789abcdef"), "app::main");
    assert_eq!(without_hash("app::main::house"), "app::main::house");
    assert_eq!(normalize(Some(Path::new("/a/b/../c/.")), OsStr::new("./d.c")), "/a/c/d.c");
    assert_eq!(normalize(None, OsStr::new("../d.c")), "../d.c");
}
