//! The log of blocks, `leakhound-blocks/1`: the life of every followed block, for whoever wants to see each one.
//!
//! zstd-compressed JSON Lines, one [`Line`] a line, in frames of a second or so: what a full disk or a killed tracer leaves
//! behind is readable up to the last frame. A block names its stack by a hash; a line of kind `hash` says, at the next snapshot
//! and so mostly later, which stack of the recording that is, and a line of kind `stack` gives its frames.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use zstd::stream::write::Encoder;

use crate::recording::Stack;

/// The value of `format` in the first line.
pub const FORMAT: &str = "leakhound-blocks/1";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Line {
    /// Always first.
    Header {
        /// [`FORMAT`].
        format: String,
    },
    /// A block that was freed, or that is still live at the end.
    Block(Life),
    /// Which stack of the recording has a hash.
    Hash {
        /// As blocks name it.
        hash: String,
        /// Id of the stack.
        stack: u32,
    },
    /// A stack, with its frames.
    Stack(Stack),
    /// Always last of a log that is whole.
    End {
        /// Blocks in the log.
        blocks: u64,
        /// Blocks that ended faster than they could be written: counted in the recording, absent here.
        lost: u64,
    },
}

/// The life of one block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Life {
    /// Address in the target, `0x` and hex.
    pub address: String,
    /// Size asked for in bytes.
    pub size_bytes: u64,
    /// When it was allocated, nanoseconds since the start.
    pub allocated_ns: u64,
    /// When it was freed; absent when it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_ns: Option<u64>,
    /// Process; 0 when it ended before it was named.
    pub pid: u32,
    /// Thread that allocated it.
    pub tid: u32,
    /// Thread that freed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_tid: Option<u32>,
    /// Hash of its stack, hex.
    pub stack: String,
    /// Mean bytes between two samples when it was drawn; absent when every allocation was followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_period_bytes: Option<u64>,
}

/// Fast rather than small: it must keep up with the target.
const LEVEL: i32 = 1;

/// Writes a log frame by frame.
pub struct LogWriter<W: Write> {
    output: W,
    frame: Option<Encoder<'static, Vec<u8>>>,
    line: Vec<u8>,
}

impl<W: Write> LogWriter<W> {
    /// Writes the first line.
    pub fn new(output: W) -> io::Result<Self> {
        let mut writer = Self { output, frame: None, line: Vec::new() };
        writer.write(&Line::Header { format: FORMAT.to_owned() })?;
        writer.flush()?;
        Ok(writer)
    }

    /// Adds a line to the present frame.
    pub fn write(&mut self, line: &Line) -> io::Result<()> {
        let frame = match &mut self.frame {
            Some(frame) => frame,
            none => none.insert(Encoder::new(Vec::new(), LEVEL)?),
        };
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        frame.write_all(&self.line)
    }

    /// Ends the present frame and hands it on.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(frame) = self.frame.take() {
            self.output.write_all(&frame.finish()?)?;
        }
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_can_be_read_by_itself() {
        let mut log = LogWriter::new(Vec::new()).unwrap();
        let life = Life { address: "0x10".into(), size_bytes: 7, freed_ns: Some(9), ..Life::default() };
        log.write(&Line::Block(life.clone())).unwrap();
        log.flush().unwrap();
        let whole = log.output.len();
        log.write(&Line::End { blocks: 1, lost: 0 }).unwrap();
        log.flush().unwrap();
        let lines = |bytes: &[u8]| -> Vec<Line> {
            let text = zstd::decode_all(bytes).unwrap();
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
        };
        let header = Line::Header { format: FORMAT.into() };
        assert_eq!(lines(&log.output[..whole]), [header, Line::Block(life)]);
        assert_eq!(lines(&log.output).last(), Some(&Line::End { blocks: 1, lost: 0 }));
    }
}
