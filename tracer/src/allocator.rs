//! Which allocators a file holds, and where to probe them.
//!
//! The dynamic linker binds callers to the first definition it meets, but a library may also call its own copy, and a
//! program may hold several allocators at once: every definition found is probed. Calls from one probed function into
//! another are told apart in the kernel, by time and thread, so they need no knowledge here.

mod table;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use leakhound_ebpf::abi::Shape;
use object::{
    Object, ObjectSegment, ObjectSymbol, ReadRef,
    elf::{FileHeader64, STT_FUNC},
    endian::Endianness,
    read::elf::ElfFile,
};
use thiserror::Error;

pub use table::hook_name;
use table::{HOOKS, Names, PREFIXED};
pub use wanted::{Wanted, Which};

use crate::placement::place;

/// A file whose symbols cannot be read.
#[derive(Debug, Error)]
#[error("cannot look for allocators in {path}")]
pub struct AllocatorError {
    /// As the target sees it.
    pub path: String,
    /// The parser's error.
    pub source: object::Error,
}

/// One place to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookSite {
    /// Number of the function: [`hook_name`].
    pub hook: u16,
    /// Which argument means what.
    pub shape: Shape,
    /// Offset in the file.
    pub file_offset: u64,
    /// The kernel emulates the instruction there instead of single-stepping it: an order of magnitude cheaper.
    pub emulated: bool,
}

/// One allocator in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocatorSites {
    /// `glibc`, `musl`, `jemalloc`, `mimalloc`, `tcmalloc`, `unknown` for plain malloc symbols of another, or `prefixed` for
    /// names that the user told.
    pub family: &'static str,
    /// Names of the probed functions.
    pub functions: Vec<String>,
    /// Where.
    pub sites: Vec<HookSite>,
}

/// Symbols looked at in one file; Chromium's own binary has under two million.
const MOST_SYMBOLS: usize = 8_000_000;
/// Code read per function: enough for the placement, and to see branches back into it.
const MOST_CODE: u64 = 4096;

type Elf<'a, R> = ElfFile<'a, FileHeader64<Endianness>, R>;

/// A function found: at which virtual address, how long, which hook, whose.
#[derive(Debug, Clone)]
struct Definition {
    address: u64,
    size: u64,
    hook: u16,
    names: Names,
    symbol: String,
}

/// The allocators in a file. `debug` is a separate debug file of the same program: the only place where a stripped static
/// program still has its names. `prefix` makes an allocator of functions that are named like C's behind it.
pub fn find<'a, R: ReadRef<'a>>(
    path: &str,
    data: R,
    debug: Option<R>,
    prefix: Option<&str>,
) -> Result<Vec<AllocatorSites>, AllocatorError> {
    let error = |source| AllocatorError { path: path.to_owned(), source };
    // Until it has handed over to libc's, the dynamic loader uses a malloc of its own, for itself alone.
    if path.rsplit('/').next().is_some_and(|name| name.starts_with("ld-linux")) {
        return Ok(Vec::new());
    }
    let elf: Elf<'a, R> = ElfFile::parse(data).map_err(error)?;
    let mut seen = Seen { prefix, ..Seen::default() };
    seen.read(elf.dynamic_symbols());
    seen.read(elf.symbols());
    if let Some(debug) = debug {
        seen.read(ElfFile::<FileHeader64<Endianness>, R>::parse(debug).map_err(error)?.symbols());
    }
    let plain = seen.plain_family(path);
    // C++ operators of libstdc++ and of programs that contain it call malloc: probing malloc is enough.
    let own_operators = matches!(plain, "jemalloc" | "tcmalloc" | "mimalloc");

    let mut found: BTreeMap<&'static str, AllocatorSites> = BTreeMap::new();
    let mut places = BTreeSet::new();
    // of aliases, the name that was asked for wins, then the best known
    seen.definitions.sort_by_key(|definition| (definition.names != Names::Prefixed, definition.hook));
    for definition in &seen.definitions {
        let family = match definition.names {
            Names::Prefixed => PREFIXED,
            Names::Standard => plain,
            Names::Jemalloc => "jemalloc",
            Names::Mimalloc => "mimalloc",
            Names::Tcmalloc => "tcmalloc",
            Names::Cxx if own_operators => plain,
            Names::Cxx => continue,
        };
        // aliases, such as malloc and __libc_malloc, share an address
        if !places.insert(definition.address) {
            continue;
        }
        let Some(site) = site(&elf, definition) else { continue };
        let sites = found.entry(family).or_insert_with(|| AllocatorSites {
            family,
            functions: Vec::new(),
            sites: Vec::new(),
        });
        sites.functions.push(definition.symbol.clone());
        sites.sites.push(site);
    }
    Ok(found.into_values().collect())
}

/// What the symbol tables say.
#[derive(Debug, Default)]
struct Seen<'a> {
    prefix: Option<&'a str>,
    definitions: Vec<Definition>,
    markers: BTreeSet<&'static str>,
}

/// Functions that only one family has.
const MARKERS: [(&str, &str); 10] = [
    ("mallctl", "jemalloc"),
    ("je_mallctl", "jemalloc"),
    ("_rjem_mallctl", "jemalloc"),
    ("mi_version", "mimalloc"),
    ("tc_version", "tcmalloc"),
    ("tc_malloc", "tcmalloc"),
    ("gnu_get_libc_version", "glibc"),
    ("__libc_mallopt", "glibc"),
    ("__libc_malloc_impl", "musl"),
    ("__dls2b", "musl"),
];

impl Seen<'_> {
    fn read<'data>(&mut self, symbols: impl Iterator<Item: ObjectSymbol<'data> + ElfType>) {
        for symbol in symbols.take(MOST_SYMBOLS) {
            // an IFUNC's address is that of its resolver
            if !symbol.is_definition() || !symbol.is_function() {
                continue;
            }
            let Ok(name) = symbol.name() else { continue };
            if let Some((marker, _)) = MARKERS.iter().find(|(marker, _)| *marker == name) {
                self.markers.insert(marker);
            }
            if let Some((hook, names)) = table::find(name, self.prefix) {
                let (address, size, symbol) = (symbol.address(), symbol.size(), name.to_owned());
                self.definitions.push(Definition { address, size, hook, names, symbol });
            }
        }
    }

    /// Whose the plain names are. A file with prefixed names of one family and a libc's plain ones is both.
    fn plain_family(&self, path: &str) -> &'static str {
        let file = path.rsplit('/').next().unwrap_or(path);
        if file.starts_with("ld-musl") || file.starts_with("libc.musl") {
            return "musl";
        }
        let marked =
            |family: &str| MARKERS.iter().any(|(marker, of)| *of == family && self.markers.contains(marker));
        // a libc that is linked in statically stays recognizable beside an allocator with plain names, so it comes last
        let plain_jemalloc = self.markers.contains("mallctl");
        match () {
            () if plain_jemalloc => "jemalloc",
            () if marked("tcmalloc") => "tcmalloc",
            () if marked("mimalloc") && !marked("glibc") && !marked("musl") => "mimalloc",
            () if marked("glibc") => "glibc",
            () if marked("musl") => "musl",
            () => "unknown",
        }
    }
}

/// What `object`'s own symbol trait does not tell.
trait ElfType {
    fn is_function(&self) -> bool;
}

impl<'data, R: ReadRef<'data>> ElfType
    for object::read::elf::ElfSymbol<'data, '_, FileHeader64<Endianness>, R>
{
    fn is_function(&self) -> bool {
        self.elf_symbol().st_type() == STT_FUNC
    }
}

fn site<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>, definition: &Definition) -> Option<HookSite> {
    let shape = HOOKS.get(usize::from(definition.hook))?.shape;
    let segment = elf.segments().find(|segment| {
        let inside = definition.address.checked_sub(segment.address());
        inside.is_some_and(|inside| inside < segment.file_range().1)
    })?;
    let (file_start, file_size) = segment.file_range();
    let inside = definition.address - segment.address();
    // some tables give no size
    let length = if definition.size == 0 { 64 } else { definition.size };
    let code =
        segment.data_range(definition.address, length.min(MOST_CODE).min(file_size - inside)).ok()??;
    let placed = place(code, shape);
    Some(HookSite {
        hook: definition.hook,
        shape,
        file_offset: file_start.checked_add(inside)?.checked_add(u64::from(placed.offset))?,
        emulated: placed.emulated,
    })
}

#[cfg(test)]
mod tests;
