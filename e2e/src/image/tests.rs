use std::io::Read as _;

use super::*;

fn sample() -> Image {
    Image::named("localhost/sample:1")
        .file("/app/data/one.txt", "one", 0o644)
        .link("/app/two.txt", "data/one.txt")
        .folder("/home/app", 0o700)
        .owned("/home/app", 1000)
        .entrypoint(&["/app/run"])
        .user("1000")
}

fn parts(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut tar = tar::Archive::new(archive);
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    });
    entries.collect()
}

fn blob<'a>(parts: &'a BTreeMap<String, Vec<u8>>, described: &serde_json::Value) -> &'a [u8] {
    let digest = described["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let bytes = &parts[&format!("blobs/sha256/{digest}")];
    assert_eq!(described["size"].as_u64().unwrap(), bytes.len() as u64);
    bytes
}

#[test]
fn the_same_image_has_the_same_bytes() {
    assert_eq!(archive::of(&sample()).unwrap(), archive::of(&sample()).unwrap());
}

#[test]
fn the_index_leads_to_the_layer_with_modes_owners_and_links() {
    let parts = parts(&archive::of(&sample()).unwrap());
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let index = read(&parts["index.json"]);
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/sample:1");
    let manifest = read(blob(&parts, &index["manifests"][0]));
    let config = read(blob(&parts, &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"][0], "/app/run");
    assert_eq!(config["config"]["User"], "1000");

    let mut layer = tar::Archive::new(blob(&parts, &manifest["layers"][0]));
    let entries = layer.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let target = entry.link_name().unwrap().map(|target| target.to_string_lossy().into_owned());
        let path = entry.path().unwrap().to_string_lossy().trim_end_matches('/').to_owned();
        (path, header.mode().unwrap(), header.uid().unwrap(), target)
    });
    let expected = [
        ("app", 0o755, 0, None),
        ("app/data", 0o755, 0, None),
        ("app/data/one.txt", 0o644, 0, None),
        ("app/two.txt", 0o777, 0, Some("data/one.txt")),
        ("home", 0o755, 0, None),
        ("home/app", 0o700, 1000, None),
        ("tmp", 0o1777, 0, None),
    ]
    .map(|(path, mode, owner, target): (&str, _, _, Option<&str>)| {
        (path.into(), mode, owner, target.map(Into::into))
    });
    assert_eq!(entries.collect::<Vec<_>>(), expected);
}

#[test]
fn a_dynamic_program_brings_its_libraries() {
    let image = Image::named("localhost/shell:1").program("/bin/sh", Path::new("/bin/sh")).unwrap();
    assert!(image.entries.keys().any(|path| path.contains("libc")), "{:?}", image.entries.keys());
    assert!(image.entries.keys().any(|path| path.contains("ld-linux")), "{:?}", image.entries.keys());
}
