//! A file's bytes for parsers, as far as they ask and no further than we can afford.

use std::{cell::Cell, fs::File, io, ops::Range, os::unix::fs::FileExt, rc::Rc};

use object::{ReadCache, ReadCacheOps, ReadRef};

/// Most bytes that one parse may hold. The symbols of a large C++ program are a few hundred MiB; a header that promises
/// more in a file full of holes would exhaust our memory.
const MOST_BYTES: u64 = 512 << 20;

/// What is parsed.
#[derive(Debug)]
pub(super) enum Content {
    File(File),
    Bytes(Vec<u8>),
}

impl Content {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_at(buffer, position),
            Self::Bytes(bytes) => {
                let start = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
                let count = (bytes.len() - start).min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[start..start + count]);
                Ok(count)
            }
        }
    }
}

/// The bytes of an image, read as they are asked for and kept until this is dropped. Reads never change the image, so that
/// several can go on over one descriptor. After `MOST_BYTES` they fail.
#[derive(Debug)]
pub struct Data<'a> {
    cache: ReadCache<Reader<'a>>,
    left: Rc<Cell<u64>>,
}

impl<'a> Data<'a> {
    pub(super) fn new(content: &'a Content) -> Self {
        let left = Rc::new(Cell::new(MOST_BYTES));
        Self { cache: ReadCache::new(Reader { content, position: 0, left: Rc::clone(&left) }), left }
    }
}

impl<'a> ReadRef<'a> for &'a Data<'_> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        // before the cache makes room for them; what it has not yet is then taken off by the reader
        if size > self.left.get() {
            return Err(());
        }
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        const ENTRY: u64 = 64;
        let bytes = self.cache.read_bytes_at_until(range, delimiter)?;
        take(&self.left, bytes.len() as u64 + ENTRY)?;
        Ok(bytes)
    }
}

fn take(left: &Cell<u64>, count: u64) -> Result<(), ()> {
    left.set(left.get().checked_sub(count).ok_or(())?);
    Ok(())
}

#[derive(Debug)]
struct Reader<'a> {
    content: &'a Content,
    position: u64,
    left: Rc<Cell<u64>>,
}

impl ReadCacheOps for Reader<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        match self.content {
            Content::File(file) => file.metadata().map(|metadata| metadata.len()).map_err(|_unreadable| ()),
            Content::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    fn seek(&mut self, position: u64) -> Result<u64, ()> {
        self.position = position;
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        loop {
            match self.content.read_at(buffer, self.position) {
                Ok(count) => {
                    self.position += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_unreadable) => return Err(()),
            }
        }
    }

    fn read_exact(&mut self, mut buffer: &mut [u8]) -> Result<(), ()> {
        take(&self.left, buffer.len() as u64)?;
        while !buffer.is_empty() {
            match self.read(buffer)? {
                0 => return Err(()),
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_holes_does_not_fill_our_memory() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let content = Content::File(file);
        let data = &Data::new(&content);
        assert_eq!(data.len(), Ok(1 << 40));
        assert!(data.read_bytes_at(1 << 20, 1 << 39).is_err());
        // nor in small pieces
        data.left.set(1 << 20);
        let pieces = |from: u64| {
            (from..from + 100).take_while(|piece| data.read_bytes_at(piece << 16, 1 << 16).is_ok())
        };
        assert_eq!(pieces(0).count(), 16);
    }
}
