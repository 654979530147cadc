//! Every manifest that we show to people is one that the server takes.

use std::fs;

use leakhound_e2e::{ApiServer, chart::documents, tools::workspace};
use serde_json::{Value, json};

use crate::support::would_create;

#[tokio::test(flavor = "multi_thread")]
async fn examples_and_documents_can_be_applied() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("examples").await.unwrap();
    let mut texts = vec![("examples/investigate.yaml".to_owned(), read("examples/investigate.yaml"))];
    for entry in fs::read_dir(workspace().join("docs")).unwrap() {
        let name = format!("docs/{}", entry.unwrap().file_name().to_string_lossy());
        if !name.ends_with(".md") {
            continue; // pictures
        }
        texts.extend(blocks(&read(&name)).map(|block| (name.clone(), block)));
    }
    let mut shown = 0;
    for (name, text) in texts {
        let investigations = documents(&text).unwrap_or_default().into_iter().filter(is_an_investigation);
        for mut investigation in investigations {
            investigation["metadata"]["namespace"] = json!(namespace);
            let answer = would_create(server, &[], &investigation);
            assert!(answer.ok, "{name}: {investigation}: {}", answer.text);
            shown += 1;
        }
    }
    assert!(shown >= 4, "only {shown} manifests were found");
}

fn is_an_investigation(document: &Value) -> bool {
    document["kind"] == "LeakInvestigation"
}

fn read(name: &str) -> String {
    fs::read_to_string(workspace().join(name)).unwrap()
}

/// The blocks of YAML in a Markdown text.
fn blocks(text: &str) -> impl Iterator<Item = String> {
    text.split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block.to_owned())
}
