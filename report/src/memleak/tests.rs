use std::path::Path;
use super::*;

#[test]
fn look() {
    let mut paths: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let text = std::fs::read(&path).unwrap();
        let r = read_log(&text[..]).unwrap();
        println!("== {} {:?} {:?} {:?}", path.file_name().unwrap().to_str().unwrap(), r.header.source, r.header.mode, r.header.target);
        println!("  stacks {} snaps {} interval {} end {} skipped {:?} ledger {:?}", r.stacks.len(), r.snapshots.len(), r.header.settings.interval_ns/1000000000, r.end.is_some(), r.skipped, r.snapshots.last().unwrap().ledger);
        for s in r.stacks.iter().take(3) { println!("   {}", s.frames.iter().map(|f| format!("{}{}", if f.allocator {"*"} else {""}, f.function.clone().unwrap_or(format!("{:x}", f.address)))).collect::<Vec<_>>().join(" < ")); }
        for s in &r.snapshots { println!("   t={} live total changes {}", s.time_ns/1000000000, s.stacks.len()); }
    }
}
