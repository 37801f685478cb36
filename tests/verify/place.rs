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
    std::fs::create_dir(world.home.join("aside")).unwrap();
    let policy = world.policy();
    for (folder, variables, status) in [
        ("aside", &[("GIT_DIR", "../r/.git")][..], 0),
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
    for git_dir in ["../r/.git", "../bare.git"] {
        let ran = done(&mut world.installed("aside", &["--git-dir", git_dir, "warrant", "verify", "--policy", &policy]));
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
fn extensions_are_refused_by_name_with_the_way_out() {
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
    for (line, words) in [
        ("refStorage = reftable", &["reftable", "extensions.refStorage", "git refs migrate"][..]),
        ("partialClone = origin", &["partial clone", "extensions.partialClone", "git clone without --filter"]),
        ("compatObjectFormat = sha256", &["extensions.compatObjectFormat", "git clone"]),
        ("someday = true", &["extensions.someday", "git clone"]),
    ] {
        world.home.write("marked/.git/config", [&config[..], format!("[extensions]\n\t{line}\n").as_bytes()].concat());
        says(&world.verify("marked", &[]), 3, words);
    }
}

#[test]
fn a_name_stands_for_what_git_calls_so_and_never_for_a_ref_that_looks_like_it() {
    let world = World::new();
    world.repo("sha256", &["--object-format=sha256"]);
    world.commit("sha256", "one", &["-S"]);
    world.signed("r", 2);
    for repo in ["r", "sha256"] {
        for digits in ["1234567890", "abcdefABCD"] {
            for name in [digits.repeat(4), digits.repeat(4) + "0123", digits.repeat(6) + "abcd"] {
                world.home.git(repo, &["update-ref", &format!("refs/tags/{name}"), "HEAD"]);
                let range = format!("{name}..HEAD");
                for args in
                    [&[name.as_str()][..], &[&format!("{name}~0")], &[&format!("{name}^{{}}")], &["--baseline", &name], &[&range]]
                {
                    says(&world.verify(repo, args), 2, &["names no object"]);
                }
                assert_eq!(world.verify_by(repo, &format!("{name}:x"), &[]).status, Some(2));
                let settled = world.verify(repo, &["--settled", &name]);
                assert!(matches!(settled.status, Some(0 | 2)), "{settled:?}"); // libgit2 must not see ids of the other hash
            }
        }
        world.home.git(repo, &["update-ref", "refs/tags/refs/heads/gone", "HEAD"]);
        for tail in ["", "~0", "^0", "^{}", "^{commit}", "^{tree}", "^{/one}", "@{0}", "@{u}", ":x"] {
            says(&world.verify(repo, &[&format!("refs/heads/gone{tail}")]), 2, &["`refs/heads/gone` names no object"]);
        }
        let head = world.id(repo, "HEAD");
        for name in [&head, &head.to_uppercase(), &head[..9], "HEAD", "@", "main", "heads/main", "refs/heads/main", "x-1-g0"] {
            let name = if name == "x-1-g0" { format!("x-1-g{}", &head[..8]) } else { name.to_owned() };
            assert_eq!(world.judged(repo, &["--no-walk", &name]).words(), ["accept"], "{name}");
        }
    }
    // the first digits of one object, the ref of another
    let old = world.id("r", "HEAD~1");
    world.home.git("r", &["branch", &old[..8]]);
    world.home.git("r", &["update-ref", &format!("refs/tags/{}", &old[..9]), "HEAD"]);
    assert_eq!(world.verify("r", &[&old[..8]]).status, Some(2));
    says(&world.verify("r", &[&old[..9]]), 2, &["ambiguous", &format!("refs/tags/{}", &old[..9])]);
}

#[test]
fn names_of_several_refs_are_listed_and_those_named_in_full_are_not_in_doubt() {
    let world = World::new();
    world.signed("r", 1);
    for name in ["refs/heads/x", "refs/remotes/x", "refs/remotes/x/HEAD", "refs/tags/HEAD", "refs/tags/refs/heads/x"] {
        let _ = done(world.home.command("git").args(["update-ref", name, "HEAD"]).current_dir(world.home.join("r")));
    }
    for tail in ["", "~0", "^{}", "^{commit}", "@{0}"] {
        says(&world.verify("r", &[&format!("x{tail}")]), 2, &["`x` is ambiguous", "refs/heads/x or refs/remotes/x"]);
    }
    assert_eq!(world.verify("r", &["refs/heads/x"]).status, Some(0));
    assert_eq!(world.verify("r", &["HEAD"]).status, Some(0));
}

#[test]
fn a_file_that_git_takes_for_a_name_leaves_it_in_doubt() {
    let world = World::new();
    world.signed("r", 2);
    world.home.git("r", &["tag", "-s", "-m", "m", "v1"]);
    let old = world.id("r", "HEAD~1");
    for (file, text) in [("main", old.clone() + "\n"), ("v1", "ref: refs/heads/main\n".to_owned())] {
        let path = world.home.write(format!("r/.git/{file}"), text);
        for tail in ["", "~0", "^{}"] {
            let name = format!("{file}{tail}");
            says(&world.verify("r", &[&name]), 2, &["is ambiguous", path.to_str().unwrap(), "remove that"]);
        }
        std::fs::remove_file(path).unwrap();
        assert_eq!(world.verify("r", &[file]).status, Some(0));
    }
    world.home.write("r/.git/main", "no ref at all\n"); // git passes over it
    assert_eq!(world.verify("r", &["main"]).status, Some(0));
}

#[test]
fn a_tag_that_is_another_name_of_a_tag_is_judged_by_its_own() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("r", &["tag", "-s", "-m", "old", "v1"]);
    world.home.git("r", &["symbolic-ref", "refs/tags/v2", "refs/tags/v1"]);
    world.home.git("r", &["symbolic-ref", "refs/heads/other", "refs/heads/main"]);
    for name in ["v2", "refs/tags/v2", "tags/v2", "--all"] {
        let verified = world.verify("r", &[name]);
        assert!(verified.status == Some(1) && verified.stdout.contains("[tag-name-mismatch]"), "{name}: {verified:?}");
    }
    assert!(world.verify("r", &["v1"]).ok() && world.verify("r", &["other"]).ok());
    world.home.git("r", &["update-ref", "--no-deref", "-d", "refs/tags/v2"]);
    assert!(world.verify("r", &["--all"]).ok());
}

#[test]
fn refs_that_are_links_are_read_by_nobody() {
    let world = World::new();
    world.signed("r", 1);
    let good = world.id("r", "HEAD");
    let evil = world.commit("r", "evil", &[]);
    world.home.git("r", &["update-ref", "refs/x/evil", &evil]);
    world.home.git("r", &["reset", "-q", "--hard", &good]);
    // what the link leads to in the file system, and what git takes it for
    for there in [true, false] {
        let git = world.home.join("r/.git");
        std::fs::create_dir_all(git.join("refs/heads/refs/x")).unwrap();
        if there {
            std::fs::write(git.join("refs/heads/refs/x/evil"), format!("{good}\n")).unwrap();
        }
        let link = git.join("refs/heads/release");
        std::os::unix::fs::symlink("refs/x/evil", &link).unwrap();
        for name in ["refs/heads/release", "release", "release~0", "--all"] {
            says(&world.verify("r", &[name]), 2, &["refs/heads/release is a symbolic link", "git symbolic-ref"]);
        }
        std::fs::remove_file(link).unwrap();
        std::fs::remove_dir_all(git.join("refs/heads/refs")).unwrap();
    }
    assert!(world.verify("r", &["--all"]).ok());
}

#[test]
fn every_name_that_leads_elsewhere_is_judged_where_it_leads() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("r", &["symbolic-ref", "refs/remotes/origin/HEAD", "refs/heads/main"]);
    let evil = world.commit("r", "evil", &[]);
    world.home.git("r", &["update-ref", "refs/x/y", &evil]);
    world.home.git("r", &["reset", "-q", "--hard", "HEAD~1"]);
    assert!(world.verify("r", &["--all"]).ok());
    world.home.git("r", &["symbolic-ref", "refs/heads/release", "refs/x/y"]);
    let verified = world.verify("r", &["--all"]);
    assert!(
        verified.status == Some(1) && verified.stdout.contains(&evil) && verified.stdout.contains("[unsigned]"),
        "{verified:?}"
    );
}

#[test]
fn a_tag_that_was_fetched_beside_the_tags_is_held_to_its_name() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("r", &["tag", "-s", "-m", "old", "v1"]);
    let tag = world.id("r", "v1");
    world.home.git("r", &["update-ref", "refs/remotes/origin/tags/v1", &tag]);
    world.home.git("r", &["update-ref", "refs/remotes/origin/tags/v2", &tag]);
    for [name, value] in [
        ["remote.origin.url", "."],
        ["remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"],
        ["remote.origin.fetch", "+refs/tags/*:refs/remotes/origin/tags/*"],
    ] {
        world.home.git("r", &["config", "--add", name, value]);
    }
    assert!(world.verify("r", &["origin/tags/v1"]).ok());
    for name in ["origin/tags/v2", "refs/remotes/origin/tags/v2", "--all"] {
        let verified = world.verify("r", &[name]);
        assert!(verified.status == Some(1) && verified.stdout.contains("[tag-name-mismatch]"), "{name}: {verified:?}");
    }
    assert_eq!(world.judged("r", &["--no-walk", "origin/tags/v2"]).words(), ["tag-name-mismatch"]);
    assert!(
        done(&mut world.warrant("r", &["show", "--policy", &world.policy(), "origin/tags/v2"]))
            .stdout
            .contains("tag-name-mismatch")
    );
}

/// libgit2 asks less of a git directory than git, and other things.
#[test]
fn no_repository_is_judged_that_git_would_not_open() {
    let world = World::new();
    world.signed("r", 1);
    let git_dir = world.home.join("r/.git");
    let copy = |to: &str| {
        let done = std::process::Command::new("cp").arg("-a").arg(&git_dir).arg(world.home.join(to)).status().unwrap();
        assert!(done.success());
    };
    // the folder is a repository by itself, and holds a .git
    copy("both");
    copy("both/.git");
    world.home.git("both", &["--git-dir=.", "config", "core.bare", "true"]);
    let head = world.home.join("both/.git/HEAD");
    assert!(world.verify("both", &["main"]).ok());
    for text in ["junk\n", "ref: main\n", ""] {
        std::fs::write(&head, text).unwrap();
        says(&world.verify("both", &["main"]), 3, &["git does not take", "both/.git"]);
    }
    std::fs::remove_file(&head).unwrap();
    std::os::unix::fs::symlink("config", &head).unwrap();
    says(&world.verify("both", &["main"]), 3, &["git does not take", "both/.git"]);
    std::fs::remove_file(&head).unwrap();
    std::fs::write(&head, "ref: refs/heads/main\n").unwrap();
    // git takes the parts of a repository to lie where this says, beginning there; libgit2 here
    std::fs::write(world.home.join("both/.git/commondir"), ".\n").unwrap();
    says(&world.verify("both", &["main"]), 3, &["both/.git"]);
    // GIT_DIR is the user's word
    let mut named = world.warrant("r", &["verify", "--policy", &world.policy(), "main"]);
    assert!(done(named.env("GIT_DIR", &git_dir)).ok());
}

#[test]
fn parents_are_those_that_the_commit_names() {
    let world = World::new();
    world.signed("r", 3);
    let side = world.commit("r", "side", &["-S"]);
    world.home.git("r", &["reset", "-q", "--hard", "HEAD~1"]);
    world.commit("r", "main", &["-S"]);
    world.home.git("r", &["merge", "-q", "-S", "--no-edit", &side]);
    world.home.git("r", &["tag", "-s", "-m", "m", "v1"]);
    let revisions = [
        "HEAD~1",
        "HEAD^",
        "HEAD^2",
        "HEAD~2",
        "HEAD^2~1",
        "HEAD^0",
        "v1^{}",
        "v1~1",
        "v1^{commit}^2^1",
        "v1^{tag}",
        "v1^{object}",
        "HEAD~~",
    ];
    let ids: Vec<String> = revisions.iter().map(|revision| world.id("r", revision)).collect();
    let agree = || {
        for (revision, id) in revisions.iter().zip(&ids) {
            assert_eq!(world.judged("r", &["--no-walk", revision]).verdicts()[0].0, *id, "{revision}");
        }
    };
    agree();
    let [head, root] = ["HEAD", "HEAD~4"].map(|revision| world.id("r", revision));
    std::fs::create_dir_all(world.home.join("r/.git/info")).unwrap();
    world.home.write("r/.git/info/grafts", format!("{head} {root}\n"));
    agree();
    std::fs::remove_file(world.home.join("r/.git/info/grafts")).unwrap();
    world.home.write("r/.git/shallow", format!("{head}\n"));
    agree();
    for (revision, words) in
        [("HEAD^3", "has 2 parents"), ("HEAD~99", "has 0 parents"), ("HEAD^{tag}", "is not a tag"), ("HEAD^{/main}", "shallow")]
    {
        says(&world.verify("r", &["--no-walk", revision]), 2, &[words]);
    }
}

#[test]
fn a_tip_that_is_no_commit_by_the_book_is_named_and_judged() {
    let world = World::new();
    world.signed("r", 2);
    let raw = world.raw("r", "HEAD");
    let parent = raw.lines().find(|line| line.starts_with("parent ")).unwrap().to_owned() + "\n";
    let late = raw.replace(&parent, "").replacen("\n\n", &format!("\n{parent}\n"), 1);
    let author = raw.lines().find(|line| line.starts_with("author ")).unwrap();
    for (name, text) in [("late", late), ("author", raw.replace(author, "author nonsense"))] {
        let id = world.object("r", "commit", text.as_bytes());
        world.home.write(format!("r/.git/refs/heads/{name}"), format!("{id}\n"));
        for revision in [name, &format!("refs/heads/{name}"), &id, &id[..10], &format!("{name}^0"), &format!("{name}^{{commit}}")] {
            let judged = world.judged("r", &["--no-walk", revision]);
            assert_eq!((judged.status, judged.verdicts()[0].0.clone()), (Some(1), id.clone()), "{revision}");
        }
        world.home.write("r/.git/HEAD", format!("ref: refs/heads/{name}\n"));
        assert_eq!(world.verify("r", &[]).status, Some(1));
        assert_eq!(world.verify("r", &["@"]).status, Some(1));
    }
}

#[test]
fn what_is_trusted_for_one_call_only_is_explained() {
    let world = World::new();
    world.signed("r", 1);
    let chown = done(world.home.command("chown").args(["-R", "12345", "r"]));
    if !chown.ok() {
        crate::common::skipped("the right to give a folder away");
        return;
    }
    let mut command = world.warrant("r", &["verify", "--policy", &world.policy()]);
    says(&done(&mut command), 3, &["git config --global --add safe.directory"]);
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    says(
        &done(&mut command),
        3,
        &["git config --global --add safe.directory", "GIT_CONFIG_COUNT", "does not count here", "GIT_CONFIG_GLOBAL"],
    );
}
