//! Whatever the server admits must be read by the operator: one object that it cannot read would stop its whole watch.

use std::cell::Cell;

use kube::{
    Api,
    api::{ApiResource, DynamicObject, PostParams},
};
use leakhound_crds::{LeakInvestigation, probe::Profile};
use leakhound_e2e::ApiServer;
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::support::{investigation, merge, outcome};

const COUNTS: [i64; 8] = [0, 1, 4, 64, 100, 86_400, i32::MAX as i64, i32::MAX as i64 + 1];
const DURATIONS: [&str; 10] =
    ["15s", "5s", "5000ms", "24h", "1h1m1s1ms", "00600s", "99999h", "0ms", "1m1m1m1m", "60s60s"];
const SIZES: [&str; 19] = [
    "0",
    "-0",
    "1",
    "1Ki",
    "1Gi",
    "1.5Mi",
    ".5Gi",
    "1.",
    "2048.",
    "+2Ki",
    "1e3",
    "1E6",
    "1e+4",
    "9e99",
    "1E",
    "100Ei",
    "1n",
    "1e-99",
    "123456789012345678k",
];
const WORDS: [&str; 14] = [
    "Heap",
    "Growth",
    "Auto",
    "Musl",
    "All",
    "Adaptive",
    "ByteInterval",
    "Resume",
    "Finish",
    "a",
    "je_",
    "libx.so",
    "default",
    "ä",
];

/// What fits a kind of field mostly, and anything else now and then.
fn value_for(kind: char) -> BoxedStrategy<Value> {
    let anything = select(vec![
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(1.0),
        json!(1024.0),
        json!(1.5),
        json!(1e30),
        json!(-1e300),
        json!(null),
        json!(true),
        json!({}),
        json!([]),
        json!([null]),
        json!({ "": "" }),
        json!(""),
        json!("15s"),
    ]);
    let texts = |texts: &[&str]| select(texts.iter().map(|&text| json!(text)).collect::<Vec<_>>()).boxed();
    let counts = || select(COUNTS.map(|count| json!(count)).to_vec()).boxed();
    let fitting = match kind {
        'n' => counts(),
        'd' => texts(&DURATIONS),
        's' => prop_oneof![3 => texts(&SIZES), 1 => counts()].boxed(),
        'w' => texts(&WORDS),
        'b' => any::<bool>().prop_map(Value::from).boxed(),
        _ => select(vec![json!({}), json!(["HTML"]), json!(["Pprof", "JSON"]), json!(["a"])]).boxed(),
    };
    prop_oneof![6 => fitting, 1 => anything].boxed()
}

/// Fields with the kind of value that they want: number, duration, size, word, boolean, object or list.
const FIELDS: [(&str, char); 33] = [
    ("target/container", 'w'),
    ("target/maxTargets", 'n'),
    ("target/processes", 'o'),
    ("target/processes/max", 'n'),
    ("target/processes/policy", 'w'),
    ("target/workloadRef", 'o'),
    ("target/selector", 'o'),
    ("target/podName", 'w'),
    ("mode", 'w'),
    ("duration", 'd'),
    ("snapshotInterval", 'd'),
    ("startingDeadlineSeconds", 'n'),
    ("allocator", 'o'),
    ("allocator/type", 'w'),
    ("allocator/symbolPrefix", 'w'),
    ("allocator/library", 'w'),
    ("sampling", 'o'),
    ("sampling/policy", 'w'),
    ("sampling/bytesPerSample", 's'),
    ("thresholds", 'o'),
    ("thresholds/minAge", 'd'),
    ("thresholds/minOutstanding", 's'),
    ("thresholds/minGrowthPerHour", 's'),
    ("thresholds/maxFindings", 'n'),
    ("budget/cpuPercent", 'n'),
    ("budget/eventsPerSecond", 'n'),
    ("budget/agentMemory", 's'),
    ("report", 'o'),
    ("report/formats", 'o'),
    ("suspend", 'b'),
    ("stop", 'b'),
    ("ttlSecondsAfterFinished", 'n'),
    ("onAgentRestart", 'w'),
];

/// A spec that is right but for one or two fields, which may be wrong.
fn nearly_right() -> impl Strategy<Value = Value> {
    let change = select(FIELDS.to_vec()).prop_flat_map(|(place, kind)| (Just(place), value_for(kind)));
    prop::collection::vec(change, 1..3).prop_map(|changes| {
        let mut spec = json!({ "target": { "podName": "a" } });
        for (place, value) in changes {
            let change = place.split('/').rev().fold(value, |inner, field| json!({ field: inner }));
            deep_merge(&mut spec, &change);
        }
        spec
    })
}

fn deep_merge(into: &mut Value, change: &Value) {
    match (into.as_object_mut(), change.as_object()) {
        (Some(fields), Some(changes)) if !changes.is_empty() => {
            for (name, value) in changes {
                deep_merge(fields.entry(name.clone()).or_insert(json!({})), value);
            }
        }
        _ => *into = change.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_admitted_is_read() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("parsing").await.unwrap();
    let api: Api<DynamicObject> = Api::namespaced_with(
        server.admin().unwrap(),
        &namespace,
        &ApiResource::erase::<LeakInvestigation>(&()),
    );
    let only_asking = PostParams { dry_run: true, ..PostParams::default() };
    let handle = tokio::runtime::Handle::current();
    let (admitted, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
    let result = tokio::task::block_in_place(|| {
        runner.run(&nearly_right(), |spec| {
            let object: DynamicObject = serde_json::from_value(investigation(&namespace, &spec)).unwrap();
            match handle.block_on(api.create(&only_asking, &object)) {
                Ok(stored) => {
                    admitted.set(admitted.get() + 1);
                    let stored = serde_json::to_value(stored).unwrap();
                    readable(&stored).map_err(|error| TestCaseError::fail(format!("{stored:#}\n{error:#}")))
                }
                Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => {
                    refused.set(refused.get() + 1);
                    Ok(())
                }
                Err(other) => Err(TestCaseError::fail(format!("{spec}: {:?}", outcome::<()>(Err(other))))),
            }
        })
    });
    result.unwrap();
    let (admitted, refused) = (admitted.get(), refused.get());
    assert!(admitted > 200 && refused > 200, "{admitted} admitted, {refused} refused: this proves nothing");
}

/// Reads an object and every text in it that has a meaning.
fn readable(stored: &Value) -> anyhow::Result<()> {
    let read: LeakInvestigation = serde_json::from_value(stored.clone())?;
    Profile::try_from(&read.spec)?;
    read.spec.min_age()?;
    for size in [
        &read.spec.sampling.bytes_per_sample,
        &read.spec.thresholds.min_outstanding,
        &read.spec.thresholds.min_growth_per_hour,
        &read.spec.budget.agent_memory,
    ] {
        size.bytes()?;
    }
    // and what is written back is what was read
    let mut again = stored.clone();
    merge(&mut again, &json!({ "spec": serde_json::to_value(&read.spec)? }));
    anyhow::ensure!(
        serde_json::from_value::<LeakInvestigation>(again)?.spec == read.spec,
        "does not survive a round"
    );
    Ok(())
}
