//! One program or library, with its debug file: names and lines by address.

use std::path::Path;

use leakhound_report::{
    function_name::{is_mangled, readable},
    recording::Frame,
    shorten,
};

use super::{
    bytes::Allowance,
    debug_file::{DebugFile, without_steps},
    sections::{DwarfSections, SectionError, Sections, Slice},
    symbol_table::SymbolTable,
};
use crate::image::Image;

/// Deepest nesting of inlined calls shown.
const MOST_INLINED: usize = 256;

type Context<'a> = addr2line::Context<Slice<'a>>;

self_cell::self_cell!(
    /// Debug information and what has been read of it so far.
    struct Lines {
        owner: DwarfSections,
        #[not_covariant]
        dependent: Context,
    }
);

/// What is known about a program.
pub(super) struct Program {
    symbols: SymbolTable,
    lines: Option<Lines>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Program").field("has_lines", &self.lines.is_some()).finish_non_exhaustive()
    }
}

impl Program {
    /// Takes all it can from a file and its debug file; the errors say what could not be taken.
    pub(super) fn load(
        image: &Image,
        debug: Option<&DebugFile>,
        allowance: &mut Allowance,
    ) -> (Self, Vec<SectionError>) {
        let mut program = Self { symbols: SymbolTable::default(), lines: None };
        let mut errors = Vec::new();
        let debug = debug.map(|debug| (&debug.image, debug.supplementary.as_ref()));
        for (image, supplementary) in [(image, None)].into_iter().chain(debug) {
            if let Err(error) = program.take_symbols(image, allowance) {
                errors.push(error);
            }
            if let Err(error) = program.take_lines(image, supplementary, allowance) {
                errors.push(error);
            }
        }
        program.symbols.finish();
        (program, errors)
    }

    fn take_symbols(&mut self, image: &Image, allowance: &mut Allowance) -> Result<(), SectionError> {
        let Some(file) = image.file() else { return Ok(()) };
        self.symbols.add(&Sections::parse(file, &image.data())?, allowance)
    }

    fn take_lines(
        &mut self,
        image: &Image,
        supplementary: Option<&Image>,
        allowance: &mut Allowance,
    ) -> Result<(), SectionError> {
        let Some(file) = image.file().filter(|_| self.lines.is_none()) else { return Ok(()) };
        let cache = image.data();
        let sections = Sections::parse(file, &cache)?;
        let shared_cache = supplementary.map(Image::data);
        let shared = match (supplementary.and_then(Image::file), &shared_cache) {
            (Some(file), Some(cache)) => Some(Sections::parse(file, cache)?),
            _ => None,
        };
        if let Some(dwarf) = sections.dwarf(shared.as_ref(), allowance)? {
            self.lines = Some(Lines::try_new(dwarf, |dwarf| {
                Ok::<_, SectionError>(Context::from_dwarf(dwarf.parse()?)?)
            })?);
        }
        Ok(())
    }

    /// Whether nothing in it can be named.
    pub(super) fn is_empty(&self) -> bool {
        self.symbols.is_empty() && self.lines.is_none()
    }

    /// The frames at an address, innermost first; with an error when the debug information about it is damaged.
    pub(super) fn frames(&self, address: u64) -> (Vec<Frame>, Option<gimli::Error>) {
        let symbol = self.symbols.find(address);
        let (mut frames, error) = match self.described(address) {
            Ok(frames) => (frames, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        match frames.last_mut() {
            Some(outermost) => {
                outermost.inlined = false;
                outermost.function = best_name(outermost.function.take(), symbol);
            }
            None => frames
                .extend(symbol.map(|name| Frame { function: Some(name.to_owned()), ..Frame::default() })),
        }
        for frame in &mut frames {
            frame.function = frame.function.take().map(|name| readable(&name));
        }
        (frames, error)
    }

    /// What DWARF says, names as the linker knows them where it has those.
    fn described(&self, address: u64) -> Result<Vec<Frame>, gimli::Error> {
        // the library looks one address further, which must not overflow
        let Some(lines) = self.lines.as_ref().filter(|_| address < u64::MAX) else { return Ok(Vec::new()) };
        lines.with_dependent(|_, context| {
            let mut found = context.find_frames(address).skip_all_loads()?;
            let mut frames = Vec::new();
            while let Some(one) = found.next()?
                && frames.len() < MOST_INLINED
            {
                frames.push(frame(&one));
            }
            Ok(frames)
        })
    }
}

fn frame(described: &addr2line::Frame<'_, Slice<'_>>) -> Frame {
    let place = described.location.as_ref();
    // line 0 is code that the compiler made up, in whichever file
    let place = place.and_then(|place| Some((place.file?, place.line.filter(|line| *line > 0)?)));
    Frame {
        function: described.function.as_ref().and_then(|name| Some(name.raw_name().ok()?.into_owned())),
        file: place.map(|(file, _)| normalized(file)),
        line: place.map(|(_, line)| line),
        inlined: true,
        ..Frame::default()
    }
}

/// Debug information has a plain name where the linker's says more (C++ constructors, Rust with line tables only), and a
/// C library's internal one where the linker also knows the exported one (`__GI___getdelim`, `__pthread_create_2_1`).
fn best_name(described: Option<String>, symbol: Option<&str>) -> Option<String> {
    let (Some(described), Some(symbol)) = (&described, symbol) else {
        return described.or_else(|| symbol.map(str::to_owned));
    };
    let underscores = |name: &str| name.bytes().take_while(|byte| *byte == b'_').count();
    let better = if is_mangled(described) {
        false
    } else {
        is_mangled(symbol) || underscores(symbol) < underscores(described)
    };
    Some(if better { symbol.to_owned() } else { described.clone() })
}

fn normalized(path: &str) -> String {
    shorten(&without_steps(Path::new(path)).to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_of_two_names_wins() {
        let best = |described: Option<&str>, symbol| best_name(described.map(str::to_owned), symbol);
        for (described, symbol, expected) in [
            (None, None, None),
            (Some("fill"), None, Some("fill")),
            (None, Some("_start"), Some("_start")),
            (Some("__GI___getdelim"), Some("getdelim"), Some("getdelim")),
            (Some("__pthread_create_2_1"), Some("pthread_create"), Some("pthread_create")),
            // identical functions folded into one: the debug information knows which
            (Some("fill"), Some("drain"), Some("fill")),
            (Some("fill"), Some("fill.part.0"), Some("fill")),
            (
                Some("main"),
                Some("_ZN3app4main17he841047685385c50E"),
                Some("_ZN3app4main17he841047685385c50E"),
            ),
            (
                Some("_ZN3app4main17he841047685385c50E"),
                Some("_ZN3app4exit17he841047685385c50E"),
                Some("_ZN3app4main17he841047685385c50E"),
            ),
        ] {
            assert_eq!(best(described, symbol).as_deref(), expected, "{described:?} {symbol:?}");
        }
    }

    #[test]
    fn paths_lose_their_detours() {
        assert_eq!(normalized("/a/b/../c/./d.c"), "/a/c/d.c");
        assert_eq!(normalized("../d.c"), "../d.c");
        assert_eq!(normalized("/../d.c"), "/../d.c");
        let endless = normalized(&format!("/srv/{}d.c", "a/".repeat(1 << 20)));
        assert!(
            endless.len() < 5000 && endless.starts_with("/srv/a/") && endless.ends_with("/a/d.c"),
            "{endless}"
        );
    }
}
