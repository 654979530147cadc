use super::{super::parse, *};

/// Just more than a list of 1024 has room for.
const MANY: usize = 1025;

/// What the values of a record take, their lists at the moment they grew last: then half of the room is there twice.
fn taken(record: &Record) -> usize {
    fn list<T>(list: &Vec<T>) -> usize {
        list.capacity() * size_of::<T>() * 3 / 2
    }
    let lists = match record {
        Record::Header(header) => {
            let functions = |allocator: &Allocator| list(&allocator.functions) + texts(&allocator.functions);
            list(&header.target.pids)
                + list(&header.allocators)
                + header.allocators.iter().map(functions).sum::<usize>()
        }
        Record::Stack(stack) => {
            let both = stack.frames.iter().flat_map(|frame| [&frame.function, &frame.file]);
            list(&stack.frames) + texts(&both.flatten().cloned().collect::<Vec<_>>())
        }
        Record::Snapshot(snapshot) => {
            // nodes of eleven entries, filled by half
            let ledger = snapshot.ledger.len() * 2 * size_of::<(String, u64)>();
            let keys: Vec<String> = snapshot.ledger.keys().cloned().collect();
            let cohorts = snapshot.stacks.iter().map(|stack| list(&stack.cohorts)).sum::<usize>();
            list(&snapshot.stacks) + cohorts + list(&snapshot.processes) + ledger + texts(&keys)
        }
        Record::End(end) => list(&end.blocks),
        Record::Module(_) | Record::Event(_) => 0,
    };
    size_of::<Record>() + lists
}

/// The smallest block of an allocator has 32 bytes.
fn texts(texts: &[String]) -> usize {
    texts.iter().filter(|text| !text.is_empty()).map(|text| text.len().max(32)).sum()
}

#[test]
fn no_line_becomes_larger_than_its_bound() {
    let many = |value: &str| vec![value; MANY].join(",");
    let ledger: Vec<String> = (0..MANY).map(|at| format!("\"{at:x}\":1")).collect();
    for line in [
        format!(r#"{{"kind":"header","allocators":[{{"functions":[{}]}}]}}"#, many(r#""""#)),
        format!(r#"{{"kind":"header","allocators":[{{"functions":[{}]}}]}}"#, many(r#""a""#)),
        format!(r#"{{"kind":"header","allocators":[{}]}}"#, many(r#"{"functions":[""]}"#)),
        format!(r#"{{"kind":"header","target":{{"pids":[{}]}}}}"#, many("1")),
        format!(r#"{{"kind":"stack","frames":[{}]}}"#, many("{}")),
        format!(r#"{{"kind":"stack","frames":[{}]}}"#, many("[]")),
        format!(r#"{{"kind":"stack","frames":[{}]}}"#, many(r#"{"function":"\"","file":":"}"#)),
        format!(r#"{{"kind":"snapshot","stacks":[{}]}}"#, many(r#"{"cohorts":[{}]}"#)),
        format!(r#"{{"kind":"snapshot","processes":[{}]}}"#, many("{}")),
        format!(r#"{{"kind":"snapshot","ledger":{{{}}}}}"#, ledger.join(",")),
        format!(r#"{{"kind":"end","blocks":[{}]}}"#, many("{}")),
        r#"{"kind":"snapshot","stacks":[{"cohorts":[{}]}],"processes":[{}],"ledger":{"a":1}}"#.to_owned(),
    ] {
        let record = parse(line.as_bytes()).unwrap().unwrap();
        let (taken, bound) = (taken(&record), of_line(line.as_bytes()));
        assert!(taken <= bound, "{taken} > {bound}: {}", &line[..60]);
    }
}

#[test]
fn no_object_is_larger_than_the_largest() {
    let sizes = [
        size_of::<Allocator>(),
        size_of::<Block>(),
        size_of::<Cohort>(),
        size_of::<Process>(),
        size_of::<StackCounters>(),
    ];
    assert!(sizes.iter().all(|size| *size <= LARGEST_OBJECT), "{sizes:?}");
}

/// As large as the operator takes lines, in the memory that it gives to a recording.
#[test]
fn a_snapshot_of_a_tracer_is_at_most_four_times_its_line() {
    let cohorts = (0..32).map(|number| Cohort { number, allocated_bytes: 4096, live_bytes: 4096 }).collect();
    let stack = StackCounters {
        id: 16_000,
        live_bytes: 131_072,
        live_count: 32,
        live_error_bytes: 0,
        allocated_bytes: 131_072,
        allocated_count: 32,
        missed_frees: 0,
        cohorts,
    };
    let stacks = vec![stack; 1000];
    let line = serde_json::to_string(&Record::Snapshot(Snapshot { stacks, ..Snapshot::default() })).unwrap();
    let (bound, length) = (of_line(line.as_bytes()), line.len());
    assert!(bound < 4 * length, "{bound} of {length}");
}
