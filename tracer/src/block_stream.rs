//! Writes the life of every block into a log while it happens: a thread of its own, so that neither a slow disk holds up the
//! snapshots nor a snapshot the stream.
//!
//! A log that cannot be written any more stops growing, the kernel's buffer is emptied all the same, and the error comes out at
//! the end: the investigation goes on.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use aya::maps::{MapData, RingBuf};
use leakhound_ebpf::abi::{self, EndedBlock, ProcessNumber};
use leakhound_report::{
    block_log::{Life, Line, LogWriter},
    recording::Stack,
};
use thiserror::Error;

/// The log of blocks could not be written.
#[derive(Debug, Error)]
#[error("the log of blocks {} is incomplete after {written} blocks: {cause}", .path.display())]
pub struct BlockStreamError {
    /// Which file.
    pub path: PathBuf,
    /// Blocks that are in it.
    pub written: u64,
    /// The system's error.
    pub cause: io::Error,
}

/// What the thread is told.
enum Message {
    Process(ProcessNumber, u32),
    Hash(u64, u32),
    Stack(Box<Stack>),
    /// Blocks still live.
    Live(Vec<(abi::BlockKey, abi::Block)>),
    /// No more comes. So many blocks were lost in the kernel.
    End(u64),
}

/// A log being written.
pub struct BlockStream {
    path: PathBuf,
    to: Sender<Message>,
    thread: JoinHandle<(u64, io::Result<()>)>,
}

/// Time from one look into the kernel's buffer to the next: it has room for a million blocks a second.
const PAUSE: Duration = Duration::from_millis(15);
/// Length of a frame.
const FRAME: Duration = Duration::from_secs(1);

impl BlockStream {
    /// Begins a log. Times in it count from `start_ns`.
    pub fn start(path: &Path, ring: RingBuf<MapData>, start_ns: u64) -> Result<Self, BlockStreamError> {
        let error = |cause| BlockStreamError { path: path.to_owned(), written: 0, cause };
        let log = File::create(path).and_then(LogWriter::new).map_err(error)?;
        let (to, from) = channel();
        let writing = Writing { ring, from, start_ns, log, pids: HashMap::new(), written: 0, failed: None };
        let thread = std::thread::Builder::new().name("block-stream".into()).spawn(|| writing.run());
        Ok(Self { path: path.to_owned(), to, thread: thread.map_err(error)? })
    }

    /// Names a process.
    pub fn process(&self, number: ProcessNumber, pid: u32) {
        self.tell(Message::Process(number, pid));
    }

    /// Says which stack of the recording has a hash.
    pub fn hash(&self, hash: u64, stack: u32) {
        self.tell(Message::Hash(hash, stack));
    }

    /// Adds a stack.
    pub fn stack(&self, stack: &Stack) {
        self.tell(Message::Stack(Box::new(stack.clone())));
    }

    /// Adds what is still live, and ends the log.
    pub fn finish(self, live: Vec<(abi::BlockKey, abi::Block)>, lost: u64) -> Result<u64, BlockStreamError> {
        self.tell(Message::Live(live));
        self.tell(Message::End(lost));
        let died = || (0, Err(io::Error::other("its thread died")));
        match self.thread.join().unwrap_or_else(|_panic| died()) {
            (written, Ok(())) => Ok(written),
            (written, Err(cause)) => Err(BlockStreamError { path: self.path, written, cause }),
        }
    }

    /// A thread that has died is found out at the end.
    fn tell(&self, message: Message) {
        if self.to.send(message).is_err() {
            tracing::debug!("nobody writes the log of blocks any more");
        }
    }
}

/// Whether more is to come.
enum Told {
    Nothing,
    End(u64),
    Abandoned,
}

/// The thread's own.
struct Writing {
    ring: RingBuf<MapData>,
    from: Receiver<Message>,
    start_ns: u64,
    log: LogWriter<File>,
    pids: HashMap<ProcessNumber, u32>,
    written: u64,
    failed: Option<io::Error>,
}

impl Writing {
    fn run(mut self) -> (u64, io::Result<()>) {
        let mut flushed = Instant::now();
        loop {
            // what is told names what the buffer holds, so it comes first
            let told = self.listen();
            self.drain();
            match told {
                Told::Nothing => std::thread::sleep(PAUSE),
                Told::End(lost) => {
                    self.write(&Line::End { blocks: self.written, lost });
                    break;
                }
                // the investigation failed: what is there is all there will be
                Told::Abandoned => break,
            }
            if flushed.elapsed() > FRAME {
                self.flush();
                flushed = Instant::now();
            }
        }
        self.flush();
        (self.written, self.failed.map_or(Ok(()), Err))
    }

    fn listen(&mut self) -> Told {
        loop {
            match self.from.try_recv() {
                Ok(Message::End(lost)) => return Told::End(lost),
                Ok(message) => self.take(message),
                Err(TryRecvError::Empty) => return Told::Nothing,
                Err(TryRecvError::Disconnected) => return Told::Abandoned,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Process(number, pid) => {
                self.pids.insert(number, pid);
            }
            Message::Hash(hash, stack) => self.write(&Line::Hash { hash: hex(hash), stack }),
            Message::Stack(stack) => self.write(&Line::Stack(*stack)),
            Message::Live(blocks) => {
                for (key, block) in blocks {
                    self.write_block(EndedBlock {
                        address: key.address,
                        size: block.size,
                        stack: block.stack,
                        allocated_ns: block.allocated_ns,
                        freed_ns: 0,
                        process: key.process,
                        tid: block.tid,
                        freed_tid: 0,
                        shift: block.shift.into(),
                    });
                }
            }
            Message::End(_) => {}
        }
    }

    /// Empties the kernel's buffer, also when nothing can be written.
    fn drain(&mut self) {
        while let Some(block) = self.ring.next().map(|item| read(&item)) {
            if let Some(block) = block {
                self.write_block(block);
            }
        }
    }

    fn write_block(&mut self, block: EndedBlock) {
        let since_start = |ns: u64| ns.saturating_sub(self.start_ns);
        let life = Life {
            address: hex(block.address),
            size_bytes: block.size,
            allocated_ns: since_start(block.allocated_ns),
            freed_ns: (block.freed_ns > 0).then(|| since_start(block.freed_ns)),
            pid: self.pids.get(&ProcessNumber::from_raw(block.process)).copied().unwrap_or(0),
            tid: block.tid,
            freed_tid: (block.freed_ns > 0).then_some(block.freed_tid),
            stack: hex(block.stack),
            sample_period_bytes: (block.shift > 0).then(|| 1 << (block.shift & 63)),
        };
        if self.failed.is_none() {
            self.write(&Line::Block(life));
            self.written += 1;
        }
    }

    fn write(&mut self, line: &Line) {
        if self.failed.is_none() {
            self.failed = self.log.write(line).err();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.log.flush().err();
        }
    }
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}

/// The kernel writes whole structures; anything else would be of another version.
fn read(bytes: &[u8]) -> Option<EndedBlock> {
    let mut words = bytes.chunks_exact(4).filter_map(|word| Some(u32::from_ne_bytes(word.try_into().ok()?)));
    let mut half = || words.next();
    let mut long = || Some(u64::from(half()?) | u64::from(half()?) << 32);
    let (address, size, stack, allocated_ns, freed_ns) = (long()?, long()?, long()?, long()?, long()?);
    let (process, tid, freed_tid, shift) = (half()?, half()?, half()?, half()?);
    Some(EndedBlock { address, size, stack, allocated_ns, freed_ns, process, tid, freed_tid, shift })
}
