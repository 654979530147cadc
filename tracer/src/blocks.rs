//! The oldest live blocks of the stacks with the most live bytes: one walk over all blocks, at the end.

use std::collections::{BTreeMap, HashMap};

use leakhound_ebpf::abi::{self, ProcessNumber};
use leakhound_report::recording::Block;

use crate::{
    kernel_side::{KernelSide, KernelSideError},
    stacks::Stacks,
};

/// How many stacks are asked for.
pub const STACKS: usize = 50;

/// The oldest blocks of each of these stacks. `pids` names the processes.
pub fn oldest(
    side: &KernelSide,
    stacks: &Stacks,
    wanted: &[u32],
    pids: &HashMap<ProcessNumber, u32>,
    per_stack: usize,
) -> Result<Vec<Block>, KernelSideError> {
    if per_stack == 0 || wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: BTreeMap<u32, Vec<Block>> = wanted.iter().map(|stack| (*stack, Vec::new())).collect();
    side.each_block(|key, block| {
        let list = stacks.id(block.stack).and_then(|stack| Some((stack, found.get_mut(&stack)?)));
        let Some((stack, list)) = list else { return };
        let pid = pids.get(&ProcessNumber::from_raw(key.process)).copied();
        list.push(describe(stack, key, block, pid.unwrap_or(0), side.start_ns));
        // keep the list short while it grows
        if list.len() >= per_stack.saturating_mul(64).max(4096) {
            keep_oldest(list, per_stack);
        }
    })?;
    for list in found.values_mut() {
        keep_oldest(list, per_stack);
    }
    Ok(wanted.iter().filter_map(|stack| found.remove(stack)).flatten().collect())
}

fn describe(stack: u32, key: abi::BlockKey, block: abi::Block, pid: u32, start_ns: u64) -> Block {
    Block {
        stack,
        address: key.address,
        size_bytes: block.size,
        allocated_ns: block.allocated_ns.saturating_sub(start_ns),
        pid,
        tid: block.tid,
    }
}

fn keep_oldest(list: &mut Vec<Block>, count: usize) {
    list.sort_unstable_by_key(|block| (block.allocated_ns, block.address));
    list.truncate(count);
}
