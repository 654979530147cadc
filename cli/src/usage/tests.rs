use super::*;
use crate::{args::Cli, cluster::args::Plugin};

fn said(words: &str) -> String {
    let words: Vec<String> = words.split(' ').filter(|word| !word.is_empty()).map(Into::into).collect();
    let all = [&["leakhound".to_owned()], words.as_slice()].concat();
    sentence::<Cli>("leakhound", &words, &Cli::try_parse_from(all).unwrap_err())
}

#[test]
fn the_command_that_was_meant_is_given() {
    for (typed, meant) in [
        ("run ./prog", "put -- before it: leakhound run -- ./prog"),
        ("run --duration 5s ./prog --port 80", ": leakhound run --duration 5s -- ./prog --port 80"),
        ("run --html prog prog it's", r": leakhound run --html prog -- prog 'it'\''s'"),
        ("run 4711 --quiet", "before its number: leakhound run --pid 4711 --quiet"),
        ("./prog --port 80", "watch it: leakhound run -- ./prog --port 80"),
        ("--pid 4711", ": leakhound run --pid 4711"),
        ("run --pidd=4", "--pidd is not known here: leakhound run --pid=4"),
        ("rum --pid 4", "there is no command rum: leakhound run --pid 4"),
        ("report --fail-on lek x", "only one of leak, suspected: leakhound report --fail-on leak x"),
        (
            "run --pid 1 -- ./x 2",
            "--pid <N> and -- COMMAND exclude each other: leakhound run --pid 1 or leakhound run -- ./x 2",
        ),
        (
            "run --pid=1 --container abc",
            "exclude each other: leakhound run --pid=1 or leakhound run --container abc",
        ),
        ("run --children -- true", "exclude each other: leakhound run -- true"),
        ("diff a", "this needs <AFTER> as well: leakhound diff <BEFORE> <AFTER>"),
        ("diff a b c", "c is not known here: leakhound diff [OPTIONS] <BEFORE> <AFTER>"),
    ] {
        let said = said(typed);
        assert!(said.ends_with(meant), "{typed}: {said}");
    }
}

#[test]
fn what_cannot_be_mended_is_said_in_one_line_that_cannot_deceive() {
    for (typed, words) in [
        ("run --pid", "--pid <N> needs its value"),
        ("run --pid 1 --pid 2", "--pid <N> can be given only once"),
        ("run --pid nginx", "`pgrep nginx`"),
        ("run --pid 1 --duration 10", "90s"),
        ("frobnicate", "there is no command frobnicate: leakhound --help"),
        ("run --fro\u{1b}[2J", r"--fro\u{1b}[2J is not known here: leakhound run --help"),
    ] {
        let said = said(typed);
        assert!(said.contains(words) && said.lines().count() == 1, "{typed}: {said}");
    }
}

#[test]
fn the_plugin_is_called_by_its_own_name() {
    let words = ["runn", "cart"].map(ToOwned::to_owned);
    let error = Plugin::try_parse_from(["kubectl leak", "runn", "cart"]).unwrap_err();
    assert!(sentence::<Plugin>("kubectl leak", &words, &error).ends_with(": kubectl leak run cart"));
}
