use std::{collections::BTreeMap, path::Path, process::Command};

use leakhound_ebpf::abi::Operation;

use super::*;
use crate::image::Image;

/// The allocators of a library of this machine; `None`, loudly, when it is not installed and this is not CI.
fn library(path: &str) -> Option<Vec<AllocatorSites>> {
    if !Path::new(path).exists() {
        assert!(std::env::var_os("CI").is_none(), "CI must have {path}");
        eprintln!("SKIPPED: {path} is not installed");
        return None;
    }
    let image = Image::open_path(Path::new(path)).unwrap();
    Some(find(path, &image.data(), None, None).unwrap())
}

fn sites(found: &[AllocatorSites]) -> BTreeMap<String, HookSite> {
    found.iter().flat_map(|one| one.functions.iter().cloned().zip(one.sites.iter().copied())).collect()
}

#[test]
fn glibc_is_probed_where_the_kernel_emulates() {
    let Some(found) = library("/lib/x86_64-linux-gnu/libc.so.6") else { return };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].family, "glibc");
    let sites = sites(&found);
    for (name, operation) in [
        ("malloc", Operation::Allocate),
        ("calloc", Operation::Allocate),
        ("realloc", Operation::Reallocate),
        ("free", Operation::Free),
        ("posix_memalign", Operation::AllocateOut),
    ] {
        let site = sites.get(name).unwrap_or_else(|| panic!("{name} of {:?}", sites.keys()));
        assert!(site.emulated, "{name} is single-stepped");
        assert_eq!(site.shape.operation, operation, "{name}");
    }
    assert!(!sites.contains_key("__libc_malloc"), "an alias of malloc is probed twice");
}

#[test]
fn every_familys_library_is_recognized() {
    for (path, family, functions) in [
        ("/lib/ld-musl-x86_64.so.1", "musl", &["malloc", "calloc", "realloc", "free", "aligned_alloc"][..]),
        (
            "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
            "jemalloc",
            &["malloc", "free", "mallocx", "rallocx", "xallocx", "sdallocx", "_Znwm", "_ZdlPv"],
        ),
        (
            "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0",
            "mimalloc",
            &["malloc", "free", "mi_zalloc", "_Znwm"],
        ),
        ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "tcmalloc", &["malloc", "free", "_Znwm"]),
    ] {
        let Some(found) = library(path) else { continue };
        let families: Vec<&str> = found.iter().map(|one| one.family).collect();
        assert_eq!(families, [family], "{path}");
        let names = sites(&found);
        let addresses: BTreeSet<u64> = names.values().map(|site| site.file_offset).collect();
        assert_eq!(addresses.len(), names.len(), "{path}: two probes at one place");
        for function in functions {
            let known = names.keys().any(|name| name.ends_with(function));
            assert!(known, "{path}: {function} of {:?}", names.keys());
        }
    }
}

#[test]
fn libraries_without_an_allocator_have_none() {
    for path in [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
    ] {
        if let Some(found) = library(path) {
            assert!(found.is_empty(), "{path}: {found:?}");
        }
    }
}

#[test]
fn a_static_program_is_probed_and_a_stripped_one_through_its_debug_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.c");
    std::fs::write(&source, "#include <stdlib.h>\nint main(void) { free(malloc(1)); return 0; }\n").unwrap();
    let program = folder.path().join("program");
    let compiled =
        Command::new("cc").args(["-O2", "-static", "-o"]).arg(&program).arg(&source).status().unwrap();
    assert!(compiled.success());
    let stripped = folder.path().join("stripped");
    assert!(Command::new("strip").arg("-o").arg(&stripped).arg(&program).status().unwrap().success());

    let [program, stripped] = [program, stripped].map(|path| Image::open_path(&path).unwrap());
    let (data, bare) = (program.data(), stripped.data());
    let names = sites(&find("program", &data, None, None).unwrap());
    assert!(names.keys().any(|name| name == "malloc" || name == "__libc_malloc"), "{names:?}");
    assert!(find("stripped", &bare, None, None).unwrap().is_empty());
    assert_eq!(sites(&find("stripped", &bare, Some(&data), None).unwrap()), names);
}

#[test]
fn prefixed_jemalloc_names_are_known() {
    for name in ["_rjem_malloc", "je_calloc", "_rjem_sdallocx", "je_mallocx"] {
        let (hook, names) = table::find(name, None).unwrap();
        assert_eq!(names, Names::Jemalloc, "{name}");
        assert!(name.ends_with(hook_name(hook)));
    }
    for name in ["_rjem_mi_free", "je__Znwm", "xmalloc", "", "mallocx2"] {
        assert!(table::find(name, None).is_none(), "{name}");
    }
}

#[test]
fn names_behind_a_prefix_that_was_told_are_an_allocator() {
    for (name, bare) in [("pool_malloc", "malloc"), ("pool_free", "free"), ("pool_mallocx", "mallocx")] {
        let (hook, names) = table::find(name, Some("pool_")).unwrap();
        assert_eq!((hook_name(hook), names), (bare, Names::Prefixed));
    }
    assert_eq!(table::find("je_malloc", Some("je_")).map(|(_, names)| names), Some(Names::Prefixed));
    for name in ["pool_", "pool_mi_free", "pool__Znwm", "my_pool_malloc"] {
        assert!(table::find(name, Some("pool_")).is_none(), "{name}");
    }
}

#[test]
fn of_two_names_for_one_function_the_one_that_was_told_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("a.c"), folder.path().join("liba.so"));
    let code = "#include <stddef.h>\nvoid *malloc(size_t n) { return n ? (void *)16 : 0; }\n\
                void *pool_malloc(size_t n) __attribute__((alias(\"malloc\")));\nvoid pool_free(void *p) {}\n";
    std::fs::write(&source, code).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-fno-builtin", "-shared", "-fPIC", "-o"]).arg(&program).arg(&source);
    assert!(cc.status().unwrap().success());
    let image = Image::open_path(&program).unwrap();
    let functions = |prefix| {
        let found = find("/liba.so", &image.data(), None, prefix).unwrap();
        found.into_iter().map(|one| (one.family, one.functions)).collect::<Vec<_>>()
    };
    assert_eq!(functions(None), [("unknown", vec!["malloc".to_owned()])]);
    assert_eq!(
        functions(Some("pool_")),
        [("prefixed", vec!["pool_malloc".to_owned(), "pool_free".to_owned()])]
    );
}

#[test]
fn damaged_files_are_errors_or_hold_less() {
    let Ok(whole) = std::fs::read("/lib/x86_64-linux-gnu/libm.so.6") else { return };
    let small = &whole[..whole.len().min(1 << 20)];
    for seed in 0..400usize {
        let mut bytes = small.to_vec();
        // headers and tables are at both ends; spread the damage over them
        for n in 0..8 {
            let at = (seed.wrapping_mul(2_654_435_761).wrapping_add(n * 40_503))
                % if seed % 2 == 0 { 4096 } else { bytes.len() };
            bytes[at] = bytes[at].wrapping_add(u8::try_from((seed * 31 + n) % 256).unwrap() | 1);
        }
        if let Ok(found) = find("damaged", bytes.as_slice(), None, None) {
            assert!(found.iter().all(|one| one.sites.len() <= HOOKS.len()));
        }
    }
}
