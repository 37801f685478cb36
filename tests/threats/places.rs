//! Rows 21 and 22: names that move while they are read, links in place of files, objects that lie elsewhere, repositories
//! inside others.

use crate::common::OURS;
use crate::world::{World, done, says};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

// ---- 21: what is named is looked up once ----

// guard: run/verify.rs (a revision is resolved once; the heading, the walk and the report go by its id)
#[test]
fn row_21_a_ref_that_moves_while_it_is_judged_is_judged_where_it_was() {
    let world = World::new();
    let good = {
        world.signed("r", 3);
        world.id("r", "HEAD")
    };
    let bad = world.commit("r", "unsigned", &[]);
    let moving = world.home.join("r/.git/refs/heads/moving");
    fs::write(&moving, format!("{good}\n")).unwrap();
    let stop = AtomicBool::new(false);
    let mut seen = [0_usize; 2];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // renamed into place as git does, so that half of a ref is never there
            let beside = moving.with_extension("next");
            for id in [&bad, &good].into_iter().cycle() {
                fs::write(&beside, format!("{id}\n")).unwrap();
                fs::rename(&beside, &moving).unwrap();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let judged: Vec<_> = (0..60).map(|_| world.verify("r", &["refs/heads/moving"])).collect();
        stop.store(true, Ordering::Relaxed);
        for ran in judged {
            let heading = ran.stdout.lines().next().unwrap_or_default().to_owned();
            let is_bad = heading.contains(&bad);
            assert!(is_bad != heading.contains(&good), "one id is named: {ran:?}");
            let counts = if is_bad { "3 accepted, 1 rejected" } else { "3 accepted, 0 rejected" };
            assert!(ran.stdout.contains(counts), "{ran:?}");
            assert_eq!(ran.status, Some(i32::from(is_bad)), "{ran:?}");
            seen[usize::from(is_bad)] += 1;
        }
    });
    assert!(seen.iter().all(|n| *n > 0), "the ref stood still: {seen:?}");
}

// guard: io/git.rs, file_at (only a regular file is a policy)
#[test]
fn row_21_a_link_or_a_folder_in_a_tree_is_no_policy() {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("r/signers", world.line("alice", ""));
    std::os::unix::fs::symlink("signers", world.home.join("r/link")).unwrap();
    std::os::unix::fs::symlink("..", world.home.join("r/up")).unwrap();
    fs::create_dir(world.home.join("r/folder")).unwrap();
    world.home.write("r/folder/signers", world.line("mallory", ""));
    world.commit("r", "policies", &["-S"]);
    let id = world.id("r", "HEAD");
    let by = |path: &str| world.verify_by("r", &format!("{id}:{path}"), &[]);
    assert_eq!(by("signers").status, Some(0));
    for (path, why) in [("link", "not a regular file"), ("folder", "not a regular file"), ("up/r/signers", "is not in the tree")] {
        says(&by(path), 2, &[path, why]);
    }
    // a hook reads it at the commit where the ref stood, so moving the ref in the push changes nothing
    assert_eq!(by("folder/signers").status, Some(1));
}

// ---- 22: objects that lie elsewhere, repositories inside others ----

/// A loose object's file.
fn loose(folder: &Path, id: &str) -> std::path::PathBuf {
    folder.join(format!("objects/{}/{}", &id[..2], &id[2..]))
}

// guard: io/git.rs, read (objects of alternates are hashed again as all others are)
#[test]
fn row_22_objects_of_alternates_are_read_and_hashed_again() {
    let world = World::new();
    world.signed("lender", 2);
    let unsigned = world.commit("lender", "unsigned", &[]);
    let top = world.commit("lender", "top", &["-S"]);
    world.home.git("", &["clone", "-q", "--shared", "lender", "borrower"]);
    assert!(!loose(&world.home.join("borrower/.git"), &top).exists(), "the object is only lent");
    let honest = ["accept", "unsigned", "accept", "accept"];
    assert_eq!(world.judged("borrower", &[]).words(), honest);
    // the lender puts a signed commit in the place of the unsigned one
    let signed = world.id("lender", "HEAD~2");
    let (file, other) = (loose(&world.home.join("lender/.git"), &unsigned), loose(&world.home.join("lender/.git"), &signed));
    fs::remove_file(&file).unwrap();
    fs::copy(other, &file).unwrap();
    let judged = world.judged("borrower", &[]);
    assert_eq!((judged.status, judged.of_object(&unsigned)), (Some(1), "hash-mismatch".to_owned()));
    // an alternate that is gone takes its objects along
    fs::rename(world.home.join("lender"), world.home.join("gone")).unwrap();
    assert_ne!(world.verify("borrower", &[]).status, Some(0));
}

// guard: history.rs, Walk::enqueue (parents only: what a tree names is another repository's)
#[test]
fn row_22_a_submodule_is_a_boundary() {
    let world = World::new();
    world.repo("inner", &[]);
    let unsigned = world.commit("inner", "unsigned", &[]);
    world.signed("outer", 1);
    world.home.git("outer", &["-c", "protocol.file.allow=always", "submodule", "add", "-q", "../inner", "sub"]);
    world.home.git("outer", &["commit", "-q", "-S", "-m", "with a submodule"]);
    let judged = world.judged("outer", &[]);
    assert_eq!((judged.status, judged.words()), (Some(0), vec!["accept".to_owned(); 2]));
    assert!(!judged.stdout.contains(&unsigned), "{}", judged.stdout);
    // it has a verdict of its own, where it is asked for one
    let inside =
        done(world.home.command(OURS).args(["verify", "--policy", &world.policy()]).current_dir(world.home.join("outer/sub")));
    assert_eq!(inside.status, Some(1), "{inside:?}");
    // and by the work tree of the outer one, its files are nobody's judge
    world.home.write("outer/sub/signers", world.line("mallory", ""));
    says(&world.verify_by("outer", "sub/signers", &[]), 2, &["inside the work tree"]);
}
