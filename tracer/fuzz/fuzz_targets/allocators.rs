//! Any bytes as a target's file: discovery gives an error, or places inside of the file.
#![no_main]

use leakhound_tracer::allocator::find;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let aligned = data.to_vec(); // as a reader's buffer is: ELF headers are read in place
    let Ok(found) = find("/usr/lib/libc.so.6", &aligned[..], None) else { return };
    for allocator in &found {
        assert_eq!(allocator.functions.len(), allocator.sites.len(), "a place without a name");
        for site in &allocator.sites {
            assert!(site.file_offset < data.len() as u64, "a place outside of the file");
        }
    }
});
