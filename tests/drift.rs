//! What is written down follows the program: manual pages, completions.

#![allow(clippy::unwrap_used)]

use std::process::Command;

fn program(args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_git-warrant")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn the_manual_pages_are_those_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    program(&["man", "--to", folder.path().to_str().unwrap()]);
    let names = |dir: &std::path::Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let committed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    assert_eq!(names(&committed), names(folder.path()));
    for name in names(&committed) {
        let [ours, theirs] = [&committed, folder.path()].map(|dir| std::fs::read_to_string(dir.join(&name)).unwrap());
        assert!(ours == theirs, "man/{} is out of date: cargo run -- man --to man", name.display());
    }
}

/// Git's completion calls `_git_warrant` with the words of the line, `git` among them.
#[test]
fn git_warrant_tab_completes_in_bash() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("git-warrant.bash");
    std::fs::write(&script, program(&["completions", "bash"])).unwrap();
    for (words, cword, want) in [
        ("git warrant ver", 2, vec!["verify"]),
        ("git warrant hook pre", 3, vec!["pre-receive"]),
        ("git warrant verify --all", 3, vec!["--all", "--allow-empty", "--all-verdicts"]),
        ("git warrant verify --format json", 4, vec!["jsonl"]),
    ] {
        let line = format!(
            ". {}; COMP_WORDS=({words}); COMP_CWORD={cword}; _git_warrant; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &line]).output().unwrap();
        let got = String::from_utf8(output.stdout).unwrap();
        assert_eq!(got.split_whitespace().collect::<Vec<_>>(), want, "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn completions_exist_for_the_other_shells() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(program(&["completions", shell]).len() > 1000, "{shell}");
    }
}

/// The demo must end well: it fails unless exactly what it planted is rejected.
#[test]
fn the_demo_ends_well_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_git-warrant")).arg("demo").env("TMPDIR", folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Exactly the planted commits were rejected"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "left behind");
}
