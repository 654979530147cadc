use hyper::body::Bytes;

use super::*;

fn in_directory() -> (tempfile::TempDir, Storage) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&format!("file://{}/store", directory.path().display())).unwrap();
    (directory, storage)
}

fn recording(probe: &str, sha256: &str) -> StoredRecording {
    StoredRecording { probe: probe.to_owned(), sha256: sha256.to_owned() }
}

#[tokio::test]
async fn a_newer_recording_of_a_probe_replaces_the_older_one() {
    let (_directory, storage) = in_directory();
    let (first, second, other) = (recording("a-b", "01"), recording("a-b", "02"), recording("a-b-c", "01"));
    for (stored, text) in [(&first, "1"), (&other, "3"), (&second, "2"), (&second, "2")] {
        storage.put_recording("u", stored, Bytes::from_static(text.as_bytes())).await.unwrap();
    }
    let mut all = storage.recordings("u").await.unwrap();
    all.sort();
    assert_eq!(all, [second.clone(), other]);
    assert_eq!(storage.recording("u", &second).await.unwrap().unwrap(), "2");
    assert_eq!(storage.recording("u", &first).await.unwrap(), None);
}

#[tokio::test]
async fn a_report_id_is_made_once() {
    let (_directory, storage) = in_directory();
    let id = storage.report_id("u").await.unwrap();
    assert_eq!(storage.report_id("u").await.unwrap(), id);
    assert_ne!(storage.report_id("v").await.unwrap(), id);
    assert_eq!(ReportId::parse(&id.to_string()), Some(id));
    for text in ["", "../../../../../../../../../../aa", &"A".repeat(32), &"a".repeat(33)] {
        assert_eq!(ReportId::parse(text), None, "{text}");
    }
}

#[tokio::test]
async fn removing_an_investigation_leaves_the_others() {
    let (directory, storage) = in_directory();
    for uid in ["u", "v"] {
        storage.put_recording(uid, &recording("p", "01"), Bytes::from_static(b"r")).await.unwrap();
        let id = storage.report_id(uid).await.unwrap();
        storage.put_report(&id, "a.html", Bytes::from_static(b"page")).await.unwrap();
        storage.put_conclusion(uid, Bytes::from_static(b"{}")).await.unwrap();
    }
    let id = storage.report_id("u").await.unwrap();
    storage.remove("u").await.unwrap();
    assert_eq!(storage.investigations().await.unwrap(), ["v"]);
    assert!(storage.report(&id, "a.html").await.unwrap().is_none());
    let kept = storage.report_id("v").await.unwrap();
    assert!(storage.report(&kept, "a.html").await.unwrap().is_some());
    storage.remove("v").await.unwrap();
    storage.remove("v").await.unwrap();
    storage.check().await.unwrap();
    let files = std::fs::read_dir(directory.path().join("store")).unwrap().count();
    assert_eq!(files, 0, "nothing is left behind");
}

#[tokio::test]
async fn a_writer_that_was_killed_leaves_nothing_for_ever() {
    let (directory, storage) = in_directory();
    storage.put_recording("u", &recording("p", "01"), Bytes::from_static(b"r")).await.unwrap();
    let id = storage.report_id("u").await.unwrap();
    let folder = directory.path().join("store");
    std::fs::create_dir_all(folder.join(format!("reports/{id}"))).unwrap();
    for unfinished in ["investigations/u/recordings/p-02.lhr#1".to_owned(), format!("reports/{id}/a.html#2")]
    {
        std::fs::write(folder.join(unfinished), "half of it").unwrap();
    }
    storage.remove("u").await.unwrap();
    assert_eq!(storage.remove_leftovers().await.unwrap(), 0, "somebody may be writing");
    assert_eq!(storage.investigations().await.unwrap(), ["u"], "the store cannot remove them");
    storage.put_conclusion("v", Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(storage.remove_leftovers_of(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(storage.investigations().await.unwrap(), ["v"]);
    assert_eq!(std::fs::read_dir(folder.join("reports")).map_or(0, Iterator::count), 0);
    assert!(storage.conclusion("v").await.unwrap().is_some());
}

#[test]
fn a_url_that_names_no_store_is_refused_with_the_ones_that_do() {
    for url in ["", "/var/lib", "ftp://host/x", "file://relative", "s3:///x", "gs://"] {
        let error = Storage::open(url).unwrap_err().to_string();
        assert!(error.contains("give file:///directory"), "{url}: {error}");
    }
}
