use super::*;
use crate::analysis::cohort::Stretches;

/// The residue of a stack that allocates 1,000 bytes in each of so many stretches, of which `live` are left at each age.
fn residue(stretches: usize, live: impl Fn(usize, usize) -> f64) -> Option<Residue> {
    let ends = Stretches::every_second(stretches);
    let lives =
        (0..stretches).map(|born| (0..stretches - born).map(|age| live(born, age)).collect()).collect();
    Residue::of(&Cohorts { stretches: &ends, allocated: vec![1000.0; stretches], live: lives })
}

#[test]
fn the_cut_is_where_dying_ends() {
    // 16 stretches: a cohort has to be watched for 4 snapshots beyond the cut.
    let leak = residue(16, |_, _| 1000.0).unwrap();
    assert_eq!((leak.cut, leak.left.len(), leak.survival()), (0, 12, Some(1.0)));

    let one_in_ten_stays = residue(16, |_, age| if age < 3 { 1000.0 } else { 100.0 }).unwrap();
    assert_eq!((one_in_ten_stays.cut, one_in_ten_stays.survival()), (3, Some(0.1)));
    assert_eq!(one_in_ten_stays.left, [100.0; 9]);

    let all_die = residue(16, |_, age| if age < 3 { 1000.0 } else { 0.0 }).unwrap();
    assert_eq!((all_die.cut, all_die.bytes()), (3, 0.0));
}

#[test]
fn a_large_start_up_does_not_hide_that_the_rest_dies() {
    let residue = residue(16, |born, age| match (born, age) {
        (0, _) => 1e9,
        (_, 0..4) => 1000.0,
        _ => 0.0,
    });
    let residue = residue.unwrap();
    assert_eq!(residue.cut, 4);
    assert_eq!(residue.left.iter().filter(|left| **left > 0.0).count(), 1);
}

#[test]
fn what_dies_at_every_age_has_no_cut() {
    assert_eq!(residue(16, |_, age| 1000.0 * 0.8_f64.powi(i32::try_from(age).unwrap())), None);
    assert_eq!(residue(4, |_, _| 1000.0), None, "too few cohorts");
    assert_eq!(residue(0, |_, _| 1000.0), None);
}

#[test]
fn lifetimes_are_compared_between_early_and_late_cohorts() {
    let growth = |stretches: usize, live: &dyn Fn(usize, usize) -> f64| {
        let ends = Stretches::every_second(stretches);
        let lives = (0..stretches).map(|born| (0..stretches - born).map(|age| live(born, age)).collect());
        // Ever more is allocated, which must not matter.
        let allocated = (0..stretches).map(|born| 1000.0 * (born + 1) as f64).collect();
        lifetime_growth(&Cohorts { stretches: &ends, allocated, live: lives.collect() })
    };
    let share_left = |age: usize| 0.5_f64.powi(i32::try_from(age).unwrap());
    let same = growth(16, &|born, age| 1000.0 * (born + 1) as f64 * share_left(age)).unwrap();
    assert!((same - 1.0).abs() < 1e-9, "{same}");
    // A queue that falls behind: what comes later waits longer.
    let queue =
        growth(16, &|born, age| if age * 3 <= born { 1000.0 * (born + 1) as f64 } else { 0.0 }).unwrap();
    assert!(queue > 1.5, "{queue}");
    assert_eq!(growth(6, &|_, _| 1000.0), None, "too few cohorts");
    assert_eq!(growth(16, &|_, _| 0.0), None, "nothing lives long enough to be seen");
}
