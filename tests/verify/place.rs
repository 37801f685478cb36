//! Which repositories are read, and from where.

use crate::world::{World, done, says};

#[test]
fn subdirectories_worktrees_and_bare_repositories() {
    let world = World::new();
    world.signed("r", 2);
    world.home.git("", &["clone", "-q", "--bare", "r", "bare.git"]);
    world.home.git("r", &["worktree", "add", "-q", "../linked", "-b", "other"]);
    world.commit("linked", "in the linked one", &["-S"]);
    std::fs::create_dir_all(world.home.join("r/sub/deep")).unwrap();
    std::fs::create_dir_all(world.home.join("linked/sub")).unwrap();
    for (place, policy, n) in [
        ("r", "../signers", 2),
        ("r/sub/deep", "../../../signers", 2),
        ("linked", "../signers", 3),
        ("linked/sub", "../../signers", 3),
        ("bare.git", "../signers", 2),
        ("bare.git/objects", "../../signers", 2),
        ("r/.git", "../../signers", 2),
    ] {
        let judged = world.judged_by(place, policy, &[]);
        assert_eq!((judged.status, judged.count("accepted")), (Some(0), n), "{place}");
        assert_eq!(done(&mut world.installed(place, &["warrant", "verify", "--policy", policy])).status, Some(0), "{place}");
    }
    // configured paths are relative to the top (bare: to the git directory)
    world.home.git("r", &["config", "warrant.policy", "../signers"]);
    world.home.git("bare.git", &["config", "warrant.policy", "../signers"]);
    for place in ["r", "r/sub/deep", "linked", "linked/sub", "bare.git", "bare.git/objects"] {
        assert_eq!(done(&mut world.warrant(place, &["verify"])).status, Some(0), "{place}");
    }
    // the setting of one worktree
    world.home.git("r", &["config", "extensions.worktreeConfig", "true"]);
    world.home.git("linked", &["config", "--worktree", "warrant.policy", "../absent"]);
    says(&done(&mut world.warrant("linked", &["verify"])), 2, &["../absent"]);
    assert_eq!(done(&mut world.warrant("r", &["verify"])).status, Some(0));
}

#[test]
fn the_repository_can_be_named_by_the_environment() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("", &["clone", "-q", "--bare", "r", "bare.git"]);
    let policy = world.policy();
    for (folder, variables, status) in [
        ("", &[("GIT_DIR", "r/.git")][..], 0),
        ("", &[("GIT_DIR", "bare.git")], 0),
        ("", &[("GIT_DIR", "r/.git"), ("GIT_WORK_TREE", "r")], 0),
        ("r", &[("GIT_WORK_TREE", ".")], 0),
        ("r", &[("GIT_DIR", "absent")], 2),
        ("", &[], 2),
    ] {
        let mut command = world.warrant(folder, &["verify", "--policy", &policy]);
        let ran = done(command.envs(variables.iter().copied()));
        assert_eq!(ran.status, Some(status), "{variables:?}: {ran:?}");
        assert!(status == 0 || ran.stderr.contains("not a git repository"), "{ran:?}");
    }
    // a work tree that lies elsewhere is the work tree all the same
    world.home.write("r/allowed_signers", world.line("alice", ""));
    let mut command = world.warrant("r", &["verify", "--policy", "allowed_signers"]);
    says(&done(command.env("GIT_DIR", ".git").env("GIT_WORK_TREE", ".")), 2, &["inside the work tree"]);
    for git_dir in ["r/.git", "bare.git"] {
        let ran = done(&mut world.installed("", &["--git-dir", git_dir, "warrant", "verify", "--policy", &policy]));
        assert_eq!(ran.status, Some(0), "{ran:?}");
    }
}

#[test]
fn a_bare_repository_is_found_unless_the_reader_wants_it_named() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("", &["clone", "-q", "--bare", "r", "bare.git"]);
    world.home.git("bare.git", &["config", "safe.bareRepository", "explicit"]);
    assert_eq!(world.verify("bare.git", &[]).status, Some(0), "the repository's own setting does not count");
    world.config("safe.bareRepository", "explicit");
    says(&world.verify("bare.git", &[]), 3, &["safe.bareRepository", "GIT_DIR="]);
    let named = done(world.warrant("bare.git", &["verify", "--policy", &world.policy()]).env("GIT_DIR", "."));
    assert_eq!(named.status, Some(0), "{named:?}");
    assert_eq!(world.verify("r", &[]).status, Some(0));
}

#[test]
fn a_shallow_edge_matters_where_it_was_asked_about() {
    let world = World::new();
    world.signed("r", 4);
    let url = format!("file://{}", world.home.join("r").display());
    world.home.git("", &["clone", "-q", "--depth", "2", &url, "shallow"]);
    let judged = world.judged("shallow", &[]);
    assert_eq!((judged.status, judged.words()), (Some(3), vec!["accept".to_owned(), "accept".to_owned(), "shallow".to_owned()]));
    assert_eq!(judged.lines[2]["verdict"], "unjudged");
    assert!(judged.lines[2]["mend"].as_str().unwrap().starts_with("git fetch --unshallow"));
    let human = world.verify("shallow", &[]);
    assert!(human.stdout.contains("[shallow]") && human.stdout.contains("git fetch --unshallow"), "{human:?}");
    assert_eq!(world.verify("shallow", &["HEAD~1..HEAD"]).status, Some(0));
    assert_eq!(world.verify("shallow", &["--no-walk", "HEAD", "HEAD~1"]).status, Some(0));
    assert_eq!(world.verify("shallow", &["--baseline", "HEAD~1"]).status, Some(0));
    // something rejected goes first
    world.commit("shallow", "unsigned", &[]);
    assert_eq!(world.verify("shallow", &[]).status, Some(1));
    world.home.git("shallow", &["reset", "-q", "--hard", "HEAD~1"]);
    world.home.git("shallow", &["fetch", "-q", "--unshallow"]);
    assert_eq!(world.judged("shallow", &[]).words(), vec!["accept"; 4]);
}

#[test]
fn a_missing_object_is_never_accepted() {
    let world = World::new();
    world.signed("r", 3);
    let gone = world.id("r", "HEAD~1");
    std::fs::remove_file(world.home.join(format!("r/.git/objects/{}/{}", &gone[..2], &gone[2..]))).unwrap();
    let judged = world.judged("r", &[]);
    assert_eq!((judged.status, judged.words()), (Some(3), vec!["accept".to_owned(), "missing-object".to_owned()]));
}

#[test]
fn sha256_repositories_from_end_to_end() {
    let world = World::new();
    world.repo("r", &["--object-format=sha256"]);
    let first = world.commit("r", "one", &["-S"]);
    world.commit("r", "two", &["-S"]);
    world.home.git("r", &["tag", "-s", "-m", "m", "v1"]);
    assert_eq!(first.len(), 64);
    let judged = world.judged("r", &["v1"]);
    assert_eq!((judged.status, judged.words()), (Some(0), vec!["accept".to_owned(); 3]));
    let unsigned = world.commit("r", "three", &[]);
    assert_eq!(world.judged("r", &[]).of_object(&unsigned), "unsigned");
    assert_eq!(world.judged("r", &[&format!("{first}..HEAD~1")]).words(), ["accept"]);
    assert_eq!(world.verify("r", &["--baseline", &unsigned]).status, Some(2));
    let shown = done(&mut world.warrant("r", &["show", &first]));
    assert!(shown.ok() && shown.stdout.contains("signature   good"), "{shown:?}");
    world.home.git("r", &["pack-refs", "--all"]);
    world.home.git("r", &["repack", "-a", "-d", "-q"]);
    assert_eq!(world.judged("r", &["v1"]).words(), vec!["accept"; 3]);
}

#[test]
fn reftable_is_refused_by_name() {
    let world = World::new();
    let real = world.home.command("git").args(["init", "-q", "--ref-format=reftable", "real"]).output().unwrap();
    if real.status.success() {
        world.commit("real", "one", &["-S"]);
        says(&world.verify("real", &[]), 3, &["reftable"]);
    } else {
        println!("skipped: this git makes no reftable repositories; the format's mark alone is tried");
    }
    world.signed("marked", 1);
    world.home.git("marked", &["config", "core.repositoryFormatVersion", "1"]);
    let config = world.home.read("marked/.git/config");
    world.home.write("marked/.git/config", [&config[..], b"[extensions]\n\trefStorage = reftable\n"].concat());
    says(&world.verify("marked", &[]), 3, &["reftable"]);
}
