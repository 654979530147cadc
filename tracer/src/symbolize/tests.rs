//! On real programs, compiled here.

mod damage;
mod debug_files;
mod programs;

use leakhound_report::recording::Frame;

use super::*;
use programs::{Folder, INLINED, LEAKY, address, range};

fn functions(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.function.as_deref().unwrap_or("?")).collect()
}

#[test]
fn function_file_and_line_are_found_also_after_the_file_is_gone() {
    let folder = Folder::new();
    let program = folder.compile("cc", "leaky.c", LEAKY, &["-g", "-O1"]);
    let image = Image::open_path(&program).unwrap();
    let address = address(&program, "leak");
    std::fs::remove_file(&program).unwrap();
    let mut symbolizer = Symbolizer::default();
    let frames = symbolizer.frames(&image, None, &[address, 1]);
    assert_eq!(functions(&frames[0]), ["leak"]);
    assert!(frames[0][0].file.as_deref().unwrap().ends_with("/leaky.c"));
    assert!((5..=6).contains(&frames[0][0].line.unwrap()));
    assert!(frames[1].is_empty());
    assert_eq!(
        symbolizer.stats,
        SymbolStats { named: 1, with_line: 1, unnamed: 1, ..SymbolStats::default() }
    );
}

#[test]
fn every_format_of_debug_information_is_read() {
    let folder = Folder::new();
    for flags in [
        &["-gdwarf-3"][..],
        &["-gdwarf-4"],
        &["-gdwarf-5"],
        &["-g", "-gz=zlib"],
        &["-g", "-Wl,--compress-debug-sections=zstd"],
        &["-g1"],
        &["-g", "-static"],
    ] {
        let program = folder.compile("cc", "leaky.c", LEAKY, &[&["-O1"], flags].concat());
        let image = Image::open_path(&program).unwrap();
        let mut symbolizer = Symbolizer::default();
        let frames = symbolizer.frames(&image, None, &[address(&program, "leak")]);
        assert_eq!(functions(&frames[0]), ["leak"], "{flags:?}");
        assert!(frames[0][0].line.is_some(), "{flags:?}");
        assert_eq!(symbolizer.stats.files_damaged, 0, "{flags:?}");
    }
}

#[test]
fn split_debug_information_leaves_function_and_line() {
    let folder = Folder::new();
    let program = folder.compile("cc", "leaky.c", LEAKY, &["-g", "-O1", "-gsplit-dwarf"]);
    let image = Image::open_path(&program).unwrap();
    let frames = Symbolizer::default().frames(&image, None, &[address(&program, "leak")]);
    assert_eq!(functions(&frames[0]), ["leak"]);
    assert!((5..=6).contains(&frames[0][0].line.unwrap()));
}

#[test]
fn inlined_calls_come_before_the_function_they_are_in() {
    let folder = Folder::new();
    let flags = ["-g", "-O2", "-fno-optimize-sibling-calls"];
    let program = folder.compile("c++", "inlined.cpp", INLINED, &flags);
    let image = Image::open_path(&program).unwrap();
    let addresses: Vec<u64> = range(&program, "_ZN4shop4fillEi").collect();
    let frames = Symbolizer::default().frames(&image, None, &addresses);
    let inlined =
        frames.iter().find(|frames| frames.len() == 2).expect("some instruction is of the inlined call");
    assert_eq!(functions(inlined), ["take", "shop::fill(int)"]);
    assert_eq!((inlined[0].inlined, inlined[1].inlined), (true, false));
    assert_eq!((inlined[0].line, inlined[1].line), (Some(6), Some(10)));
}

#[test]
fn rust_names_are_whole_even_where_debug_information_has_only_their_ends() {
    let folder = Folder::new();
    let source = "mod shop {\n    #[inline(never)]\n    pub fn fill(n: usize) -> Vec<u8> {\n        vec![1; n]\n    }\n}\nfn main() {\n    std::hint::black_box(shop::fill(std::hint::black_box(7)));\n}\n";
    for level in ["debuginfo=2", "debuginfo=line-tables-only", "debuginfo=0"] {
        let program = folder.compile("rustc", "app.rs", source, &["-C", "opt-level=3", "-C", level]);
        let image = Image::open_path(&program).unwrap();
        let addresses: Vec<u64> = range(&program, "4shop4fill").collect();
        let frames = Symbolizer::default().frames(&image, None, &addresses);
        let outermost = frames.iter().map(|frames| frames.last().unwrap());
        for frame in outermost {
            assert_eq!(frame.function.as_deref(), Some("app::shop::fill"), "{level}");
        }
        if level != "debuginfo=0" {
            let library =
                |frame: &Frame| frame.file.as_deref().is_some_and(|file| file.starts_with("/rustc/"));
            assert!(frames.iter().any(|frames| frames.len() > 1 && library(&frames[0])), "{level}");
            let own = frames.iter().filter_map(|frames| frames.last()).find(|frame| frame.line == Some(4));
            assert!(own.is_some_and(|frame| frame.file.as_deref().unwrap().ends_with("app.rs")), "{level}");
        }
    }
}

#[test]
fn a_stripped_library_tells_its_exported_functions_only() {
    let folder = Folder::new();
    let source = "int hidden(int n);\n__attribute__((noinline)) static int inner(int n)\n{\n\treturn hidden(n) * 2;\n}\nint outer(int n)\n{\n\treturn inner(n) + 1;\n}\n";
    let library = folder.compile("cc", "library.c", source, &["-g", "-O1", "-shared", "-fPIC"]);
    let addresses = [address(&library, "outer"), address(&library, "inner")];
    folder.run("strip", &[library.as_os_str()]);
    let mut symbolizer = Symbolizer::default();
    let frames = symbolizer.frames(&Image::open_path(&library).unwrap(), None, &addresses);
    assert_eq!(functions(&frames[0]), ["outer"]);
    assert!(frames[1].is_empty(), "{frames:?}");
    assert_eq!(symbolizer.stats, SymbolStats { named: 1, unnamed: 1, ..SymbolStats::default() });
}

#[test]
fn a_stripped_program_has_no_symbols_and_says_so() {
    let folder = Folder::new();
    let program = folder.compile("cc", "leaky.c", LEAKY, &["-O1", "-static", "-s"]);
    let mut symbolizer = Symbolizer::default();
    let image = Image::open_path(&program).unwrap();
    for _ in 0..2 {
        assert!(symbolizer.frames(&image, None, &[0x40_1000])[0].is_empty());
    }
    let expected = SymbolStats { unnamed: 2, files_without_symbols: 1, ..SymbolStats::default() };
    assert_eq!(symbolizer.stats, expected);
}

#[test]
fn a_packed_symbol_table_names_functions() {
    let folder = Folder::new();
    let program = folder.compile("cc", "leaky.c", LEAKY, &["-O1"]);
    let address = address(&program, "leak");
    let mini = folder.path("mini");
    folder.run(
        "objcopy",
        &["-S".as_ref(), "--keep-symbol=leak".as_ref(), program.as_os_str(), mini.as_os_str()],
    );
    folder.run("xz", &["--keep".as_ref(), mini.as_os_str()]);
    folder.run("strip", &[program.as_os_str()]);
    let section = format!(".gnu_debugdata={}", folder.path("mini.xz").display());
    folder.run("objcopy", &["--add-section".as_ref(), section.as_ref(), program.as_os_str()]);
    let frames = Symbolizer::default().frames(&Image::open_path(&program).unwrap(), None, &[address]);
    assert_eq!(functions(&frames[0]), ["leak"]);
}

#[test]
fn what_does_not_fit_into_memory_reads_the_same_from_disk() {
    let folder = Folder::new();
    let program = folder.compile("c++", "inlined.cpp", INLINED, &["-g", "-O2"]);
    let image = Image::open_path(&program).unwrap();
    let addresses: Vec<u64> = range(&program, "_ZN4shop4fillEi").collect();
    let in_memory = Symbolizer::default().frames(&image, None, &addresses);
    let allowance = Allowance { memory: 0, ..Allowance::default() };
    let on_disk = Symbolizer { allowance, ..Symbolizer::default() }.frames(&image, None, &addresses);
    assert_eq!(in_memory, on_disk);
    assert!(in_memory.iter().all(|frames| !frames.is_empty()));
}
