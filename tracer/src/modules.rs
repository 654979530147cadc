//! The files mapped by the targets, each opened, parsed and numbered once, however many processes map it.

use std::{collections::HashMap, path::PathBuf};

use leakhound_report::recording;
use tracing::debug;

use crate::{
    allocator::{self, AllocatorSites, Wanted},
    attachment::FileSites,
    causes::with_causes,
    image::{Identity, Image},
    maps::{MapPath, Mapping},
    process::ProcessId,
    symbolize::debug_file::{self, DebugFile},
    unwind::{self, UnwindTable},
    unwind_maps::{TablePlace, UnwindMaps},
};

/// One file mapped by a target.
pub struct Module {
    /// The opened file.
    pub image: Image,
    /// Its separate debug file, if there is one.
    pub debug: Option<DebugFile>,
    /// Allocators found inside that are wanted.
    pub allocators: Vec<AllocatorSites>,
    /// Families of those that are not.
    pub unwanted: Vec<&'static str>,
    table: Table,
}

/// A module's unwind table on its way into the kernel.
enum Table {
    Compiled(UnwindTable),
    /// Where it lies, and the file's virtual address that its first page stands for.
    Placed(TablePlace, u64),
    None,
}

/// Files that could not be used fully: part of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Could not be opened, or were not the file that is mapped.
    pub unopened: u64,
    /// Opened by a path and an inode that are right, on a file system that does not tell its device.
    pub matched_by_inode: u64,
    /// Could not be searched for allocators.
    pub unsearched: u64,
    /// No usable unwind information: walked by frame pointer.
    pub without_rows: u64,
    /// Their table found no room in the kernel: walked by frame pointer.
    pub tables_full: u64,
}

/// Every file met so far.
pub struct Modules {
    list: Vec<Module>,
    /// `None`: tried, and not usable.
    by_file: HashMap<FileKey, Option<u32>>,
    debug_folders: Vec<PathBuf>,
    wanted: Wanted,
    /// What could not be used.
    pub losses: Losses,
}

/// What makes two mappings the same file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FileKey {
    device: (u32, u32),
    inode: u64,
    /// The vDSO has no inode; a file under two paths costs only a second parse.
    path: String,
}

impl Modules {
    /// None yet. Debug files are looked for in these folders too; of the allocators in them these are wanted.
    pub fn new(debug_folders: Vec<PathBuf>, wanted: Wanted) -> Self {
        Self { list: Vec::new(), by_file: HashMap::new(), debug_folders, wanted, losses: Losses::default() }
    }

    /// The module of an executable mapping, opened at its first sight; `None` for what is no file, and what cannot be used.
    pub fn find_or_open(&mut self, process: ProcessId, mapping: &Mapping) -> Option<u32> {
        if !matches!(mapping.path, MapPath::File { .. } | MapPath::Vdso) {
            return None;
        }
        let key = FileKey { device: mapping.device, inode: mapping.inode, path: mapping.path.to_string() };
        if let Some(known) = self.by_file.get(&key) {
            return *known;
        }
        let opened = self.open(process, mapping);
        if opened.is_none() {
            // who has ended took the way to its files along: the next process may lead there
            if !process.is_alive() {
                return None;
            }
            self.losses.unopened += 1;
        }
        self.by_file.insert(key, opened);
        opened
    }

    fn open(&mut self, process: ProcessId, mapping: &Mapping) -> Option<u32> {
        let image = match Image::open(process, mapping) {
            Ok(image) => image,
            Err(error) => {
                debug!(error = with_causes(&error), "a file is left out");
                return None;
            }
        };
        self.losses.matched_by_inode += u64::from(image.identity == Identity::Inode);
        let debug = debug_file::find(&image, Some(process), &self.debug_folders);
        let found = self.search(&image, debug.as_ref());
        let (allocators, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|one| self.wanted.takes(&image.path, one));
        let unwanted = others.iter().map(|one| one.family).collect();
        let table = match unwind::compile(&image.data()) {
            Ok(table) => Table::Compiled(table),
            Err(error) => {
                debug!(path = image.path, error = with_causes(&error), "no unwind table");
                self.losses.without_rows += 1;
                Table::None
            }
        };
        let number = u32::try_from(self.list.len()).ok()?;
        self.list.push(Module { image, debug, allocators, unwanted, table });
        Some(number)
    }

    fn search(&mut self, image: &Image, debug: Option<&DebugFile>) -> Vec<AllocatorSites> {
        let data = image.data();
        let debug_data = debug.map(|debug| debug.image.data());
        allocator::find(&image.path, &data, debug_data.as_ref(), self.wanted.prefix()).unwrap_or_else(
            |error| {
                debug!(error = with_causes(&error), "a file is not searched for allocators");
                self.losses.unsearched += 1;
                Vec::new()
            },
        )
    }

    /// The module with this number.
    pub fn get(&self, number: u32) -> Option<&Module> {
        self.list.get(number as usize)
    }

    /// All modules from one number on, as recordings name them.
    pub fn records_from(&self, first: usize) -> impl Iterator<Item = recording::Module> + '_ {
        self.list.iter().enumerate().skip(first).filter_map(|(number, module)| {
            let (path, build_id) = (module.image.path.clone(), module.image.build_id.clone());
            Some(recording::Module { id: u32::try_from(number).ok()?, path, build_id })
        })
    }

    /// The numbers of all modules.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    /// Rows and pages that the tables not yet in the kernel need.
    pub fn table_size(&self) -> (usize, usize) {
        self.list.iter().fold((0, 0), |(rows, pages), module| match &module.table {
            Table::Compiled(table) => (rows + table.rows.len(), pages + table.pages.len()),
            _ => (rows, pages),
        })
    }

    /// Brings every compiled table into the kernel.
    pub fn place_tables(&mut self, maps: &mut UnwindMaps) {
        for module in &mut self.list {
            let Table::Compiled(table) = &module.table else { continue };
            let place = maps.add(&table.rows, table.pages.iter().map(|page| (page.first, page.end)));
            if place.is_none() {
                self.losses.tables_full += 1;
            }
            module.table = place.map_or(Table::None, |place| Table::Placed(place, table.first_address));
        }
    }

    /// Where the probes of a module go; `None` without an allocator in it.
    pub fn sites(&self, number: u32) -> Option<FileSites> {
        let module = self.get(number)?;
        let sites: Vec<_> = module.allocators.iter().flat_map(|one| one.sites.iter().copied()).collect();
        (!sites.is_empty()).then_some(FileSites { path: module.image.fd_path()?, sites })
    }

    /// A module's allocators, as recordings name them.
    pub fn allocators(&self, number: u32) -> impl Iterator<Item = recording::Allocator> + '_ {
        self.get(number).into_iter().flat_map(|module| {
            module.allocators.iter().map(|one| recording::Allocator {
                family: one.family.to_owned(),
                module: module.image.path.clone(),
                functions: one.functions.clone(),
            })
        })
    }
}

impl Module {
    /// Where its unwind table lies, and the virtual address of the table's first page.
    pub fn place(&self) -> Option<(TablePlace, u64)> {
        match self.table {
            Table::Placed(place, first_address) => Some((place, first_address)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{maps, specimen::Running};

    /// The vDSO lies in a process's memory alone, as a container's files lie in its root.
    #[test]
    fn what_went_with_a_process_is_found_in_the_next() {
        let (mut first, next) = (Running::start("sleep", &["60"]), Running::start("sleep", &["60"]));
        let code_of = |running: &Running| {
            let mappings = maps::executable(running.id()).unwrap();
            (running.id(), mappings.into_iter().find(|mapping| mapping.path == MapPath::Vdso).unwrap())
        };
        let ((ended, its_code), (alive, same_code)) = (code_of(&first), code_of(&next));
        first.end();
        let mut modules = Modules::new(Vec::new(), Wanted::default());
        assert_eq!(modules.find_or_open(ended, &its_code), None);
        assert_eq!(modules.find_or_open(alive, &same_code), Some(0));
        assert_eq!(modules.losses.unopened, 0);
    }
}
