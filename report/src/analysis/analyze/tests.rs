use super::*;
use crate::recording::{End, Header, Record, Stack};

/// Going through all blocks for each of the stacks would take minutes.
#[test]
fn hundreds_of_thousands_of_stacks_keep_their_own_blocks() {
    const STACKS: u32 = 600_000;
    let mut recording = Recording::new(Header::default());
    for id in 0..STACKS {
        recording.push(Record::Stack(Stack { id, ..Stack::default() }));
    }
    let block = |at: u32| recording::Block {
        stack: STACKS - 1 - at,
        address: at.into(),
        ..recording::Block::default()
    };
    recording.push(Record::End(End { blocks: (0..STACKS).map(block).collect(), ..End::default() }));
    let analysis = analyze(&recording, &Options::default());
    assert_eq!(analysis.findings.len(), STACKS as usize);
    for finding in &analysis.findings {
        let addresses: Vec<_> = finding.blocks.iter().map(|block| block.address.as_str()).collect();
        assert_eq!(addresses, [format!("{:#x}", STACKS - 1 - finding.stack_id)]);
    }
}
