use super::*;

#[test]
fn every_rung_of_this_kernel_sees_calls_and_returns() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "CI must run this as root");
        eprintln!("SKIPPED: probing needs root");
        return;
    }
    for rung in Rung::LADDER {
        prove(rung).unwrap_or_else(|why| panic!("{}: {why}", rung.name()));
    }
}
