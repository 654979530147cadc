//! Writes a recording as it happens: what a killed tracer leaves behind is readable up to its last snapshot.

use std::io::{self, Write};

use zstd::stream::write::Encoder;

use super::Record;

/// zstd's own default: faster than any target allocates, and a tenth of the size.
const LEVEL: i32 = 3;

/// Writes records as zstd-compressed JSON Lines, one frame per snapshot.
pub struct Writer<W: Write> {
    output: W,
    frame: Option<Encoder<'static, Vec<u8>>>,
    /// Collects a line, because the compressor is slow with single numbers.
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer with nothing written yet. Give it a file, not a buffer: it writes whole frames.
    pub fn new(output: W) -> Self {
        Self { output, frame: None, line: Vec::new() }
    }

    /// Adds one record. After a header, a snapshot or an end everything so far is flushed to the output.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let frame = match &mut self.frame {
            Some(frame) => frame,
            none => none.insert(start_frame()?),
        };
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        frame.write_all(&self.line)?;
        match record {
            Record::Header(_) | Record::Snapshot(_) | Record::End(_) => self.flush(),
            Record::Module(_) | Record::Stack(_) | Record::Event(_) => Ok(()),
        }
    }

    /// Flushes what is left and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.output)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(frame) = self.frame.take() {
            self.output.write_all(&frame.finish()?)?;
        }
        self.output.flush()
    }
}

fn start_frame() -> io::Result<Encoder<'static, Vec<u8>>> {
    let mut frame = Encoder::new(Vec::new(), LEVEL)?;
    frame.include_checksum(true)?; // a damaged file must not pass for numbers
    Ok(frame)
}
