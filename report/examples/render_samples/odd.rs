//! What a page must stand: hostile names, sources that know little, and recordings with nothing in them.

use leakhound_report::recording::{Frame, Mode, Record, Recording, Skip, Source};

use crate::plant::{Behaviour, INTERVAL_NS, Planted, Scene, allocator, line, named};

/// Names that try to be markup, to hide, to reorder, to be keys of every object, or to flood the page.
pub(crate) fn hostile() -> Recording {
    let mut scene = Scene::of(
        "/tmp/<img src=x onerror=window.pwned=1>",
        &["/tmp/</script><script>window.pwned=1</script>.so", "/lib/libc.so.6"],
        20,
    );
    scene.header.host.kernel = "<b>6.12</b>".to_owned();
    scene.ledger = vec![("__proto__", 3), ("<img src=x onerror=window.pwned=1>", 2), ("constructor", 1)];
    let names = [
        "</script><img src=x onerror=\"window.pwned=1\">".to_owned(),
        "<!--<script>window.pwned=1</script>".to_owned(),
        "'\"><svg onload=window.pwned=1>".to_owned(),
        "__proto__".to_owned(),
        "constructor".to_owned(),
        "toString".to_owned(),
        "\u{202e}gnp.elif\u{202c}".to_owned(),
        "a\0b\u{2028}c\u{200b}d\u{feff}e".to_owned(),
        format!("boost::{}::run(int)", "spirit::qi::".repeat(166)),
        "x".repeat(2_000),
        "$& $1 $` {{constructor}} ${7*7}".to_owned(),
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301} \u{1f980} \u{5d0}\u{5d1}\u{5d2} \u{5203}"
            .to_owned(),
        "javascript:window.pwned=1".to_owned(),
        "%s%n%p ../../etc/passwd".to_owned(),
        " ".to_owned(),
        String::new(),
    ];
    let stacks: Vec<Planted> = names
        .iter()
        .enumerate()
        .map(|(n, name)| Planted {
            frames: vec![
                allocator("malloc", 1),
                line(name, "/src/\u{202e}c.<img src=x onerror=window.pwned=1>", 7, 0),
                line("main", "/src/main.c", 3, 0),
            ],
            cut_short: (n % 5 == 0).then(|| "<i onclick=window.pwned=1>cut".to_owned()),
            block: 1_000 + n as u64,
            behaviour: if n % 2 == 0 {
                Behaviour::Leak { stay: 40 - n as u64, churn: 1 }
            } else {
                Behaviour::Cache { blocks: 30, ttl: 2 }
            },
        })
        .collect();
    scene.record(&stacks)
}

/// What a log of memleak gives: no resident memory, no frees, no cohorts, no source lines, names or nothing.
pub(crate) fn memleak() -> Recording {
    let mut scene = Scene::of("", &["/srv/app/seed", "/usr/lib/x86_64-linux-gnu/libc.so.6"], 12);
    scene.header.source = Source::MemleakLibbpf;
    scene.header.started_unix_ms = None;
    scene.header.target.pids.clear();
    scene.header.settings =
        leakhound_report::recording::Settings { interval_ns: INTERVAL_NS, ..Default::default() };
    scene.header.host = leakhound_report::recording::Host::default();
    scene.header.allocators.clear();
    scene.beside = None;
    scene.cohorts = false;
    scene.events.clear();
    scene.end = None;
    let outer = Frame { module: Some(1), address: 0x2_724a, ..Frame::default() };
    let stack = |name: &str, block: u64, behaviour: Behaviour| Planted {
        frames: vec![named(name, 0), named("main", 0), outer.clone()],
        cut_short: None,
        block,
        behaviour,
    };
    let mut recording = scene.record(&[
        stack("third_leak", 8_192, Behaviour::Leak { stay: 148, churn: 0 }),
        stack("second_leak", 2_048, Behaviour::Leak { stay: 148, churn: 0 }),
        stack("first_leak", 1_024, Behaviour::Leak { stay: 148, churn: 0 }),
        stack("start_up", 4_096, Behaviour::Plateau { blocks: 60 }),
    ]);
    recording.skipped.add(Skip::UnknownLine);
    recording
}

/// Pages of the kernel.
pub(crate) fn kernel() -> Recording {
    let mut scene = Scene::of("postgres: checkpointer", &[], 30);
    scene.header.mode = Mode::Kernel;
    scene.header.allocators.clear();
    scene.cohorts = false;
    let frame = |name: &str, allocator: bool| Frame {
        function: Some(name.to_owned()),
        address: 0xffff_ffff_8161_f42b,
        allocator,
        ..Frame::default()
    };
    let stack = |frames: &[&str], behaviour: Behaviour| Planted {
        frames: [
            ("__alloc_frozen_pages_noprof", true),
            ("alloc_pages_mpol", true),
            ("vma_alloc_folio_noprof", true),
        ]
        .into_iter()
        .chain(frames.iter().map(|&name| (name, false)))
        .map(|(name, allocator)| frame(name, allocator))
        .collect(),
        cut_short: None,
        block: 4_096,
        behaviour,
    };
    let fault = ["__handle_mm_fault", "handle_mm_fault", "exc_page_fault", "asm_exc_page_fault"];
    let write = [
        "generic_perform_write",
        "ext4_buffered_write_iter",
        "vfs_write",
        "ksys_write",
        "do_syscall_64",
        "entry_SYSCALL_64_after_hwframe",
    ];
    scene.record(&[
        stack(
            &[&["do_anonymous_page"], &fault[..]].concat(),
            Behaviour::Saturating { blocks: 22_000, half: 7.0 },
        ),
        stack(
            &[&["__filemap_get_folio", "ext4_da_write_begin"], &write[..]].concat(),
            Behaviour::Cache { blocks: 400, ttl: 4 },
        ),
        stack(
            &[
                "seq_buf_alloc",
                "my_driver_ioctl",
                "__x64_sys_ioctl",
                "do_syscall_64",
                "entry_SYSCALL_64_after_hwframe",
            ],
            Behaviour::Leak { stay: 31, churn: 4 },
        ),
        stack(&[&["do_wp_page"], &fault[..]].concat(), Behaviour::Plateau { blocks: 900 }),
    ])
}

/// Resident memory climbs while live bytes nearly stay where they are.
pub(crate) fn off_heap() -> Recording {
    let mut scene = Scene::of("/usr/bin/indexer --watch /data", &["/usr/bin/indexer", "/lib/libc.so.6"], 60);
    scene.header.target.memory_limit_bytes = Some(2 << 30);
    scene.beside = Some(|now| (60 << 20) + u64::from(now) * (14 << 20));
    let stack = |name: &str, block: u64, behaviour: Behaviour| Planted {
        frames: vec![
            allocator("malloc", 1),
            line(name, "/src/indexer/index.c", 120, 0),
            line("main", "/src/indexer/main.c", 20, 0),
        ],
        cut_short: None,
        block,
        behaviour,
    };
    scene.record(&[
        stack("read_document", 65_536, Behaviour::Cache { blocks: 310, ttl: 2 }),
        stack("build_postings", 512, Behaviour::Cache { blocks: 9_000, ttl: 3 }),
        stack("open_index", 1 << 20, Behaviour::Plateau { blocks: 48 }),
    ])
}

/// A run that was stopped after its first snapshot.
pub(crate) fn one_snapshot() -> Recording {
    let mut scene =
        Scene::of("/usr/local/bin/checkout-server", &["/usr/local/bin/checkout-server", "/lib/libc.so.6"], 1);
    scene.end = None;
    scene.record(&crate::small::stacks())
}

/// A program that allocated nothing while it was watched.
pub(crate) fn empty() -> Recording {
    Scene::of("/usr/bin/sleep 600", &["/usr/bin/sleep"], 20).record(&[])
}

/// A recording that was cut off right behind its header.
pub(crate) fn no_snapshots() -> Recording {
    let scene = Scene::of("/usr/bin/sleep 600", &[], 0);
    let mut recording = Recording::new(scene.header);
    recording.push(Record::Event(crate::plant::event(
        0,
        leakhound_report::recording::EventKind::Gap,
        "killed",
    )));
    recording
}
