// What each entry of the ledger means to someone who reads a verdict.

export interface Entry {
  label: string;
  meaning: string;
  /** A loss makes the numbers above incomplete; the rest only counts. */
  loss: boolean;
}

const count = (label: string, meaning: string): Entry => ({ label, meaning, loss: false });
const loss = (label: string, meaning: string): Entry => ({ label, meaning, loss: true });

const KNOWN = new Map<string, Entry>(Object.entries({
  allocations: count("Allocations followed", "each is in the numbers above until it is freed"),
  frees: count("Frees of followed blocks", "each took its block out of the live numbers"),
  failedAllocations: count("Allocations that failed", "the allocator returned nothing, so nothing is live"),
  unsampledAllocations: count("Not drawn for the sample", "each drawn one stands for these too"),
  reclaimable: count("Left to the kernel", "page cache, inodes and the like: the kernel takes them back by itself"),
  ownEvents: count("Our own doing", "what watching itself made the kernel allocate: left out"),
  freesLost: loss("Frees not counted", "the table was busy on that CPU: the block still counts as live"),
  nestedMisses: loss("Tracepoints not run", "the kernel was within another one on that CPU: an allocation or a free is missing"),
  machineEvents: count("Tracepoints passed", "on the whole machine, by whomever: what was not run is a share of these"),
  slabPageBytes: count("Bytes of slab pages", "pages that the kernel's own allocator took for its objects, which are counted one by one"),
  streamLost: count("Blocks missing in the log", "they ended faster than --events could be written; the numbers here have them"),
  overBudget: loss("Left out for the budget", "following them would have cost the program more than it may: live bytes read low"),
  childrenMissed: loss("Children not followed", "they ended, or did all that they allocated, before probes could go on"),
  smallAllocations: count("Below the minimum size", "left out as asked"),
  unmatchedFrees: count("Frees of unknown blocks", "older than the probes, left out, or freed twice: normal at the start"),
  nestedCalls: count("Nested allocator calls", "one allocator function called another: counted once"),
  missedFrees: loss("Frees not seen", "an address was given out again without a free: the old block was taken as freed"),
  blocksFull: loss("Blocks not followed", "no room to remember another block: live bytes read low"),
  countersFull: loss("Allocations not counted", "no room for another stack in this stretch of time: live bytes read low"),
  stacksFull: loss("Stacks without frames", "counted, but their frames were lost"),
  callsFull: loss("Calls lost", "no room to remember arguments until the return"),
  returnsUnmatched: count("Returns without a call", "calls that began before the probes"),
  walksBusy: loss("Walks not started", "every buffer of that CPU was in use: the allocation is not counted"),
  walksComplete: count("Stacks walked to the end", "from the allocation to the outermost function"),
  walksNoMapping: loss("Walks cut: unknown code", "the next frame lies in no known module, as with JIT-compiled code"),
  walksNoRows: loss("Walks cut: no unwind table", "the module carries no .eh_frame for that code"),
  walksUnsupported: loss("Walks cut: unusual frame", "the unwind rule is one that is not followed"),
  walksUnreadable: loss("Walks cut: stack unreadable", "the memory of the stack could not be read"),
  walksReturnProbe: loss("Walks cut: another tool", "its return probes on the program hide who called"),
  walksTruncated: loss("Walks cut: too deep", "more frames than are kept"),
  framePointerSteps: count("Steps by frame pointer", "frames without an unwind table, followed by convention: may be wrong"),
  foreignEvents: count("Other processes", "probes that ran where nothing is followed"),
  unreadableOut: loss("Results unreadable", "the pointer that posix_memalign gave back could not be read"),
  modulesUnopened: loss("Files not opened", "mapped by the program and not readable: their frames have no names and no unwind table"),
  modulesMatchedByInode: count("Files known by inode alone", "on a file system that hides the real device"),
  modulesWithoutSymbols: count("Files without symbols", "stripped, and no debug file found: their frames are offsets"),
  modulesWithDamagedSymbols: loss("Files with damaged symbols", "their frames are offsets, or lack source lines"),
  modulesUnsearched: loss("Files not searched for an allocator", "an allocator in them would not be watched"),
  modulesWithoutUnwindTable: count("Files without an unwind table", "walked by frame pointers where their code is in a stack"),
  unwindTablesFull: loss("Unwind tables left out", "no room for the rules of another file: stacks through it end early"),
  framesNamed: count("Frames with a function name", ""),
  framesWithLine: count("Frames with a source line", ""),
  framesUnnamed: loss("Frames without a name", "shown as module and offset: the file has no symbols for them"),
  mappingsLeftOut: loss("Mappings left out", "more code mapped than is kept: stacks through it end early"),
  processesLeftOut: loss("Processes left out", "of the target, and not watched"),
  lateSnapshots: count("Snapshots taken late", "the machine was busy: times are right, intervals uneven"),
  readerUnknownKinds: loss("Records of an unknown kind", "written by a newer version and passed over"),
  readerUnreadableLines: loss("Unreadable lines", "damaged, and passed over"),
  readerCutOff: loss("Recording cut off", "its end is missing: the recorder was killed, or the file was cut"),
  readerTimeBackwards: loss("Times that went back", "moved to the time of the snapshot before"),
  readerImpossibleCounters: loss("Impossible counters", "more live than ever allocated: raised"),
  readerUnknownStacks: loss("Counters of unknown stacks", "kept, without frames"),
  readerRepeated: loss("Records given twice", "one of them was used"),
  readerUnknownLines: loss("Lines of no known form", "other output in the log, passed over"),
  stackAbsentFromSnapshot: loss("Stacks below the top of a snapshot", "each kept its last value, at most that of the smallest stack shown"),
  stackDamagedInLog: loss("Stacks torn apart", "by other output in the log: left out of that snapshot"),
  stackInformationLost: loss("Allocations without frames", "memleak had lost their stacks"),
  stackNotShown: loss("Stacks that memleak could not show", "it said so itself"),
  stackOverReaderLimit: loss("Stacks beyond the reader’s limit", "left out to keep memory bounded"),
  negativeCounter: loss("Counters below zero", "frees that memleak counted twice: taken as 0"),
  snapshotThinned: loss("Snapshots left out", "to keep memory bounded; those around hold their changes"),
  snapshotOfOtherRun: loss("Snapshots of another run", "in the same log; the longest run was read"),
  otherRunInLog: loss("Other runs in the log", "the longest was read"),
  clockJump: loss("Clock went back", "times after it are by guess"),
  lineOutsideSnapshot: loss("Lines outside any snapshot", "the head of the log was cut off"),
}));

/** The entry of a name; one that this page does not know is shown in words. */
export function entry(name: string): Entry {
  const known = KNOWN.get(name);
  if (known) return known;
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
  const label = words.charAt(0).toUpperCase() + words.slice(1);
  return { label, meaning: "", loss: /lost|drop|skip|unknown|unmatched|truncat|full|unresolved|unsymbol|fail|garbl|gap/.test(words) };
}
