//! The page's data as text: `base64(zlib(u32 length of the facts, facts as JSON, columns))`.
//!
//! Everything there are thousands of is a column of integers, zigzag varints as in Protocol Buffers
//! (<https://protobuf.dev/programming-guides/encoding/>), because a browser decodes those into typed arrays fifteen times
//! faster than JSON objects and the file is fifty times smaller. `report/web/src/decode.ts` is the other side.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::ZlibEncoder};
use serde::Serialize;

use super::RenderError;

/// The largest integer whose zigzag form a JavaScript number holds exactly (4 PiB); larger ones are held at it.
pub(super) const MAX_SAFE: i64 = (1 << 52) - 1;

/// What goes into one page: facts there are few of, and columns of integers.
pub(super) struct Facts<H> {
    pub(super) head: H,
    pub(super) columns: Columns,
}

/// Named columns of integers, one after the other.
#[derive(Default)]
pub(super) struct Columns {
    lengths: Vec<(&'static str, usize)>,
    bytes: Vec<u8>,
}

impl Columns {
    /// Adds a column as it is.
    pub(super) fn plain(&mut self, name: &'static str, values: impl IntoIterator<Item = i64>) {
        let start = self.bytes.len();
        for value in values {
            push_varint(&mut self.bytes, value);
        }
        self.lengths.push((name, self.bytes.len() - start));
    }

    /// Adds a column as differences, beginning again at every `stride` values: neighbours are alike, so most bytes are 0.
    pub(super) fn differences(
        &mut self,
        name: &'static str,
        stride: usize,
        values: impl IntoIterator<Item = i64>,
    ) {
        let mut before = 0;
        let differences = values.into_iter().enumerate().map(|(at, value)| {
            let difference = if at % stride.max(1) == 0 { value } else { value - before };
            before = value;
            difference
        });
        self.plain(name, differences);
    }
}

/// A count as a column value.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).map_or(MAX_SAFE, |value| value.min(MAX_SAFE))
}

/// An index, or nothing, as a column value: 0 is nothing.
pub(super) fn index(value: Option<usize>) -> i64 {
    value.map_or(0, |value| int(value as u64) + 1)
}

/// A measured value, or nothing, in whole steps of `1 / scale`: 0 is nothing, and values from 0 on move up by one.
pub(super) fn scaled(value: Option<f64>, scale: f64) -> i64 {
    let Some(value) = value.filter(|value| value.is_finite()) else { return 0 };
    #[allow(clippy::cast_possible_truncation, reason = "clamped to 53 bits first")]
    let steps = (value * scale).round().clamp(-MAX_SAFE as f64, (MAX_SAFE - 1) as f64) as i64;
    if steps < 0 { steps } else { steps + 1 }
}

fn push_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let low = (zigzag & 0x7f) as u8;
        zigzag >>= 7;
        bytes.push(if zigzag == 0 { low } else { low | 0x80 });
        if zigzag == 0 {
            return;
        }
    }
}

/// The facts and the columns as one text of base64.
pub(super) fn pack<H: Serialize>(facts: &Facts<H>) -> Result<String, RenderError> {
    #[derive(Serialize)]
    struct Head<'a, H> {
        #[serde(flatten)]
        head: &'a H,
        columns: &'a [(&'static str, usize)],
    }
    let head = serde_json::to_vec(&Head { head: &facts.head, columns: &facts.columns.lengths })
        .map_err(RenderError::Facts)?;
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::new(6));
    let write = |zlib: &mut ZlibEncoder<Vec<u8>>| {
        zlib.write_all(&length)?;
        zlib.write_all(&head)?;
        zlib.write_all(&facts.columns.bytes)
    };
    write(&mut zlib)
        .and_then(|()| zlib.finish())
        .map(|bytes| STANDARD.encode(bytes))
        .map_err(RenderError::Compress)
}

#[cfg(test)]
pub(super) mod tests;
