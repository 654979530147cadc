//! Interned names: one Box::leak per name never seen before. The vocabulary has 1,500 names, met by chance, so the growth
//! dies down. Variant "unbounded": request ids are interned too, by mistake.

use std::collections::HashSet;

use corpus::Pace;

#[inline(never)]
fn intern(seen: &mut HashSet<&'static str>, name: &str) {
    if !seen.contains(name) {
        seen.insert(Box::leak(name.to_owned().into_boxed_str()));
    }
}

fn main() {
    let mut pace = Pace::from_arguments(400.0, 60.0);
    let unbounded = pace.variant() == "unbounded";
    let mut seen = HashSet::with_capacity(64 * 1024);
    let mut random = 88_172_645_463_325_252_u64;
    while let Some(round) = pace.next_round() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let number = if unbounded { round } else { random % 1500 };
        intern(&mut seen, &format!("a-name-that-is-long-enough-to-matter/{number}"));
    }
}
