//! Where the work tree lies, as git has it: nothing that lies there judges it.

use crate::world::{World, done, says};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const INSIDE: &str = "inside the work tree";

fn folders(world: &World, names: &[&str]) {
    names.iter().for_each(|name| std::fs::create_dir_all(world.home.join(name)).unwrap());
}

#[test]
fn the_git_directory_alone_makes_the_current_folder_the_work_tree() {
    let world = World::new();
    world.signed("r", 1);
    let verify = |folder: &str, policy: &str, variables: &[(&str, &str)]| {
        done(world.warrant(folder, &["verify", "--policy", policy]).env("GIT_DIR", "../r/.git").envs(variables.iter().copied()))
    };
    folders(&world, &["tree", "deep"]);
    world.home.write("tree/signers", world.line("alice", ""));
    let top = world.home.git("tree", &["--git-dir=../r/.git", "rev-parse", "--show-toplevel"]);
    assert!(Path::new(top.trim_end()).ends_with("tree"), "{top}");
    says(&verify("tree", "signers", &[]), 2, &[INSIDE, "GIT_DIR alone", "GIT_WORK_TREE"]);
    assert_eq!(verify("tree", "../signers", &[]).status, Some(0));
    for variables in [("GIT_WORK_TREE", "../r"), ("GIT_IMPLICIT_WORK_TREE", "0")] {
        assert_eq!(verify("tree", "signers", &[variables]).status, Some(0), "{variables:?}");
    }
    // configured paths are relative to it
    world.home.git("r", &["config", "warrant.policy", "../deep/signers"]);
    world.home.write("deep/signers", world.line("alice", ""));
    let configured = done(world.warrant("tree", &["verify"]).env("GIT_DIR", "../r/.git"));
    assert_eq!(configured.status, Some(0), "{configured:?}");
    // unless the repository names another
    world.home.git("r", &["config", "core.worktree", "../../deep"]);
    says(&verify("tree", "../deep/signers", &[]), 2, &[INSIDE]);
    assert_eq!(verify("tree", "signers", &[]).status, Some(0));
    world.home.git("r", &["config", "--unset", "core.worktree"]);
    // a linked one's git directory does as much
    world.home.git("r", &["worktree", "add", "-q", "../linked", "-b", "other"]);
    let linked = [("GIT_DIR", "../r/.git/worktrees/linked")];
    says(&verify("tree", "signers", &linked), 2, &[INSIDE]);
}

#[test]
fn a_bare_repository_can_be_given_a_work_tree() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("", &["clone", "-q", "--bare", "r", "bare.git"]);
    folders(&world, &["tree"]);
    world.home.write("tree/signers", world.line("alice", ""));
    let whole = world.home.join("tree").display().to_string();
    for (folder, tree) in [("tree", "."), ("tree", whole.as_str()), ("bare.git", "../tree"), ("bare.git", whole.as_str())] {
        for variables in [&[("GIT_WORK_TREE", tree), ("GIT_DIR", "../bare.git")][..], &[("GIT_WORK_TREE", tree)]] {
            if folder == "tree" && variables.len() == 1 {
                continue; // no repository is found there
            }
            let verify = |policy| done(world.warrant(folder, &["verify", "--policy", policy]).envs(variables.iter().copied()));
            says(&verify("../tree/signers"), 2, &[INSIDE]);
            assert_eq!(verify("../signers").status, Some(0), "{folder} {variables:?}");
        }
    }
    // and to name one is not to name the repository
    world.config("safe.bareRepository", "explicit");
    let policy = world.policy();
    let unnamed = done(world.warrant("bare.git", &["verify", "--policy", &policy]).env("GIT_WORK_TREE", "../tree"));
    says(&unnamed, 3, &["safe.bareRepository", "GIT_DIR="]);
}

#[test]
fn a_work_tree_of_which_the_repository_knows_nothing_is_one() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("r", &["worktree", "add", "-q", "../linked", "-b", "other"]);
    std::fs::rename(world.home.join("linked"), world.home.join("moved")).unwrap();
    folders(&world, &["moved/deep"]);
    world.home.write("moved/deep/signers", world.line("alice", ""));
    says(&world.verify_by("r", "../moved/deep/signers", &[]), 2, &[INSIDE, "moved"]);
    says(&world.verify_by("moved", "deep/signers", &[]), 2, &[INSIDE, "REV:deep/signers"]);
    let inside = world.verify_by("moved/deep", "../../signers", &[]);
    assert_eq!(inside.status, Some(0), "{inside:?}");
    // the main one, where the git directory lies elsewhere
    world.home.git("", &["clone", "-q", "--separate-git-dir", "apart.git", "r", "apart"]);
    world.home.git("apart", &["worktree", "add", "-q", "../second", "-b", "other"]);
    world.home.write("apart/signers", world.line("alice", ""));
    says(&world.verify_by("second", "../apart/signers", &[]), 2, &[INSIDE, "apart"]);
    assert_eq!(world.verify_by("second", "../signers", &[]).status, Some(0));
    // another repository's is none of ours
    world.repo("foreign", &[]);
    world.home.write("foreign/signers", world.line("alice", ""));
    assert_eq!(world.verify_by("second", "../foreign/signers", &[]).status, Some(0));
}

#[test]
fn object_stores_are_found_wherever_git_finds_them() {
    let world = World::new();
    world.signed("r", 1);
    // what was committed into a store of its own, with the work tree named beside it
    folders(&world, &["store", "a:b", "r/.git/objects/info"]);
    let store = [("GIT_OBJECT_DIRECTORY", "../store"), ("GIT_ALTERNATE_OBJECT_DIRECTORIES", ".git/objects")];
    let mut commit = world.home.command("git");
    commit.current_dir(world.home.join("r")).args(["commit-tree", "-S", "-m", "two", "-p", "HEAD", "HEAD^{tree}"]);
    let new = done(commit.envs(store)).stdout.trim_end().to_owned();
    let policy = world.policy();
    let mut verify = world.warrant("r", &["verify", "--policy", &policy, &new]);
    let found = done(verify.envs(store).env("GIT_WORK_TREE", "."));
    assert_eq!(found.status, Some(0), "{found:?}");
    assert_ne!(world.verify("r", &[&new]).status, Some(0));
    // a store whose path git has to quote
    std::fs::rename(world.home.join("store"), world.home.join("a:b/store")).unwrap();
    let quoted = format!("\"{}\"\n", world.home.join("a:b/store").display().to_string().replace(':', "\\072"));
    world.home.write("r/.git/objects/info/alternates", quoted);
    assert_eq!(world.verify("r", &[&new]).status, Some(0));
    // a name that we cannot take is no silent loss
    let foreign = OsStr::from_bytes(b"\"/a:b/\\377\"");
    let lost = done(world.warrant("r", &["verify", "--policy", &policy]).env("GIT_ALTERNATE_OBJECT_DIRECTORIES", foreign));
    says(&lost, 2, &["object store", "not UTF-8"]);
}
