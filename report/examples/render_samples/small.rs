//! A server as one meets it: a leak among caches, pools and start-up.

use leakhound_report::recording::{EventKind, Frame, Recording};

use crate::plant::{Behaviour, Planted, Scene, allocator, event, line, named};

const SERVER: u32 = 0;
const LIBC: u32 = 1;
const SSL: u32 = 2;
const CPP: u32 = 3;
const MODULES: [&str; 4] = [
    "/usr/local/bin/checkout-server",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/lib/x86_64-linux-gnu/libssl.so.3",
    "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.33",
];

/// Twenty minutes of it.
pub(crate) fn recording() -> Recording {
    let mut scene = Scene::of("/usr/local/bin/checkout-server --port 8443 --workers 4", &MODULES, 120);
    scene.header.target.memory_limit_bytes = Some(512 << 20);
    scene.beside = Some(|now| (38 << 20) + u64::from(now % 9) * 40_000);
    scene.ledger = vec![
        ("allocations", 3_481_902),
        ("frees", 3_302_118),
        ("unmatchedFrees", 8_211),
        ("nestedCalls", 121_004),
        ("walksComplete", 3_479_377),
        ("walksNoRows", 2_525),
        ("framePointerSteps", 18_842),
        ("blocksFull", 37),
    ];
    scene.events.push(event(31, EventKind::AllocatorFound, "libssl.so.3 loaded: nothing of its own to hook"));
    scene.events.push(event(64, EventKind::BudgetStep, "sampling stays off: 0.24% of one CPU"));
    scene.record(&stacks())
}

/// The stacks of the server.
pub(crate) fn stacks() -> Vec<Planted> {
    let session = line("session_create", "/src/checkout/session.c", 88, SERVER);
    let request = line("handle_request", "/src/checkout/request.c", 212, SERVER);
    let parse = line("http_parse_headers", "/src/checkout/http/parse.c", 341, SERVER);
    let cart = line("CartStore::add(Cart const&)", "/src/checkout/cart_store.cc", 57, SERVER);
    let tls = line("tls_accept", "/src/checkout/tls.c", 130, SERVER);
    let config = line("config_load", "/src/checkout/config.c", 44, SERVER);
    let start = line("main", "/src/checkout/main.c", 61, SERVER);
    let vector = named(
        "void std::vector<LineItem, std::allocator<LineItem> >::_M_realloc_insert<LineItem const&>(__gnu_cxx::__normal_iterator<LineItem*, std::vector<LineItem> >, LineItem const&)",
        SERVER,
    );
    let push = Frame {
        inlined: true,
        ..named("std::vector<LineItem, std::allocator<LineItem> >::push_back(LineItem const&)", SERVER)
    };
    let unordered = named(
        "std::__detail::_Map_base<std::string, std::pair<std::string const, Price> >::operator[](std::string&&)",
        SERVER,
    );
    let c = |frames: &[&Frame]| worker(&[&allocator("malloc", LIBC)], frames);
    let cpp = |std: &[&Frame], frames: &[&Frame]| {
        let mut inner = vec![allocator("malloc", LIBC), allocator("operator new(unsigned long)", CPP)];
        inner.extend(std.iter().map(|&frame| frame.clone()));
        worker(&inner.iter().collect::<Vec<_>>(), frames)
    };
    let started = |frames: &[&Frame]| outer(&[&allocator("malloc", LIBC)], frames, &start);
    let price = line("price_cache_put", "/src/checkout/pricing/cache.c", 119, SERVER);
    let quote = line("quote", "/src/checkout/pricing/quote.c", 73, SERVER);
    let log = line("log_flush", "/src/checkout/log.c", 208, SERVER);
    let metrics = line("metrics_register", "/src/checkout/metrics.c", 39, SERVER);
    let report = line("daily_report", "/src/checkout/report.c", 18, SERVER);
    let resize = line("pool_grow", "/src/checkout/pool.c", 94, SERVER);
    let template = line("template_render", "/src/checkout/html/template.c", 266, SERVER);
    let ssl = named("SSL_new", SSL);
    let crypto = named("CRYPTO_zalloc", SSL);
    let plant = |frames: Vec<Frame>, block: u64, behaviour: Behaviour| Planted {
        frames,
        cut_short: None,
        block,
        behaviour,
    };
    let mut stacks = vec![
        plant(c(&[&session, &request]), 4_224, Behaviour::Leak { stay: 311, churn: 1_900 }),
        plant(cpp(&[&vector, &push], &[&cart, &request]), 1_536, Behaviour::Leak { stay: 97, churn: 740 }),
        plant(c(&[&parse, &session, &request]), 272, Behaviour::Leak { stay: 311, churn: 5_200 }),
        plant(c(&[&price, &quote, &request]), 656, Behaviour::Saturating { blocks: 61_000, half: 14.0 }),
        plant(
            cpp(&[&unordered], &[&quote, &request]),
            96,
            Behaviour::Saturating { blocks: 61_000, half: 14.0 },
        ),
        plant(c(&[&log]), 8_192, Behaviour::Sawtooth { step: 55, period: 24 }),
        plant(c(&[&resize, &parse, &request]), 1 << 20, Behaviour::Step { blocks: 7, at: [22, 71] }),
        plant(c(&[&report]), 262_144, Behaviour::Transient { blocks: 24, from: 80, to: 88 }),
        plant(c(&[&template, &request]), 2_048, Behaviour::Cache { blocks: 410, ttl: 3 }),
        plant(c(&[&crypto, &ssl, &tls, &request]), 6_400, Behaviour::Cache { blocks: 88, ttl: 9 }),
        plant(started(&[&config]), 24_576, Behaviour::Plateau { blocks: 310 }),
        plant(started(&[&metrics, &config]), 512, Behaviour::Plateau { blocks: 5_800 }),
        plant(started(&[&resize]), 1 << 20, Behaviour::Plateau { blocks: 16 }),
        plant(started(&[&tls]), 65_536, Behaviour::Plateau { blocks: 40 }),
    ];
    for (n, name) in
        ["coupon", "inventory", "shipping", "tax", "fraud", "email", "currency", "rating"].iter().enumerate()
    {
        let n = n as u32;
        let lookup = line(&format!("{name}_lookup"), &format!("/src/checkout/{name}.c"), 31 + 17 * n, SERVER);
        stacks.push(plant(
            c(&[&lookup, &quote, &request]),
            64 << (n % 5),
            Behaviour::Cache { blocks: 120 + 37 * u64::from(n), ttl: 1 + n % 4 },
        ));
    }
    let lost = Frame { module: Some(SSL), address: 0x3_91c0, ..Frame::default() };
    let mut cut = plant(vec![allocator("malloc", LIBC), lost], 1_024, Behaviour::Plateau { blocks: 900 });
    cut.cut_short = Some("no unwind table in libssl.so.3".to_owned());
    stacks.push(cut);
    stacks
}

/// `inner` and `frames` in a worker thread.
fn worker(inner: &[&Frame], frames: &[&Frame]) -> Vec<Frame> {
    let around = [
        line("dispatch", "/src/checkout/loop.c", 77, SERVER),
        line("worker_main", "/src/checkout/loop.c", 152, SERVER),
        named("start_thread", LIBC),
        named("clone3", LIBC),
    ];
    inner.iter().chain(frames).map(|&frame| frame.clone()).chain(around).collect()
}

/// `inner` and `frames` in the main thread.
fn outer(inner: &[&Frame], frames: &[&Frame], start: &Frame) -> Vec<Frame> {
    let around = [start.clone(), named("__libc_start_call_main", LIBC), named("_start", SERVER)];
    inner.iter().chain(frames).map(|&frame| frame.clone()).chain(around).collect()
}
