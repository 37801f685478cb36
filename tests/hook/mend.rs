//! What the hook tells the pusher, run to the letter: the push passes then.

use crate::Server;
use crate::common::{Done, run};

/// The commands of a refused push.
fn commands(refused: &Done) -> Vec<String> {
    let lines = refused.stderr.lines().filter_map(|line| line.strip_prefix("remote:     run: "));
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// Runs each command as it is printed, in the clone.
#[track_caller]
fn obey(server: &Server, refused: &Done) -> Vec<String> {
    let commands = commands(refused);
    assert!(!commands.is_empty(), "{refused:?}");
    for command in &commands {
        let mut sh = server.0.home.command("sh");
        sh.args(["-c", command]).env("GIT_EDITOR", "false").current_dir(server.0.home.join("c"));
        let ran = run(&mut sh, b"");
        assert!(ran.ok(), "{command}: {ran:?}");
    }
    commands
}

/// Pushes, is refused, obeys, pushes again.
#[track_caller]
fn mended(server: &Server, args: &[&str]) -> Vec<String> {
    let refused = server.refused(args, &["To mend, in your clone"]);
    let commands = obey(server, &refused);
    let forced: Vec<&str> = ["--force"].iter().chain(args).copied().collect();
    server.passes(&forced);
    commands
}

fn tree(server: &Server, revision: &str) -> String {
    server.0.id("c", &format!("{revision}^{{tree}}"))
}

#[test]
fn a_line_of_commits() {
    let server = Server::new();
    let world = &server.0;
    let base = world.commit("c", "two", &["-S"]);
    world.commit("c", "forgot", &[]);
    world.commit("c", "remembered", &["-S"]);
    world.commit("c", "forgot again", &[]);
    let before = tree(&server, "HEAD");
    let commands = mended(&server, &["main"]);
    assert_eq!(commands, [format!("git rebase --rebase-merges --force-rebase --gpg-sign {base}")]);
    assert_eq!(tree(&server, "HEAD"), before);
    assert_eq!(world.id("c", "HEAD~3"), base, "what was well stays as it was");
    assert!(world.verify("c", &[]).ok());
}

#[test]
fn the_root_too() {
    let server = Server::new();
    let world = &server.0;
    world.home.git("c", &["checkout", "-q", "--orphan", "fresh"]);
    world.commit("c", "unsigned root", &[]);
    world.commit("c", "signed", &["-S"]);
    assert_eq!(mended(&server, &["fresh"]), ["git rebase --rebase-merges --force-rebase --gpg-sign --root"]);
}

#[test]
fn a_merge_in_the_range() {
    let server = Server::new();
    let world = &server.0;
    let fork = world.id("c", "HEAD");
    // the side's commit is unsigned and forks off below what the rewrite starts from
    world.home.git("c", &["checkout", "-q", "-b", "side"]);
    world.commit("c", "side 1", &[]);
    world.commit("c", "side 2", &["-S"]);
    world.home.git("c", &["checkout", "-q", "main"]);
    world.commit("c", "main 1", &["-S"]);
    world.home.git("c", &["merge", "-q", "-S", "--no-ff", "--no-edit", "side"]);
    world.commit("c", "main 2", &["-S"]);
    let before = tree(&server, "HEAD");
    mended(&server, &["main"]);
    assert_eq!(tree(&server, "HEAD"), before);
    assert_eq!(world.home.git("c", &["rev-list", "--count", "--merges", &format!("{fork}..HEAD")]), "1", "the merge stays one");
    assert_eq!(world.home.git("c", &["rev-list", "--count", &format!("{fork}..HEAD")]), "5");
}

#[test]
fn an_unsigned_merge_of_signed_sides() {
    let server = Server::new();
    let world = &server.0;
    world.home.git("c", &["checkout", "-q", "-b", "side"]);
    world.commit("c", "side 1", &["-S"]);
    world.home.git("c", &["checkout", "-q", "main"]);
    world.commit("c", "main 1", &["-S"]);
    world.home.git("c", &["merge", "-q", "--no-ff", "--no-edit", "side"]);
    let before = tree(&server, "HEAD");
    mended(&server, &["main"]);
    assert_eq!(tree(&server, "HEAD"), before);
}

#[test]
fn an_unsigned_tag() {
    let server = Server::new();
    let world = &server.0;
    world.home.git("c", &["tag", "-a", "-m", "the message", "v1"]);
    let commit = world.id("c", "HEAD");
    world.commit("c", "two", &["-S"]);
    assert_eq!(mended(&server, &["v1"]), ["GIT_EDITOR=: git tag -s -f v1 v1^{}"]);
    assert_eq!(server.at("v1^{commit}"), Some(commit));
}

#[test]
fn a_tag_on_a_commit_that_is_made_again_moves_with_it() {
    for lightweight in [false, true] {
        let server = Server::new();
        let world = &server.0;
        world.commit("c", "forgot", &[]);
        let make: &[&str] = if lightweight { &["tag", "v1"] } else { &["tag", "-a", "-m", "m", "v1"] };
        world.home.git("c", make);
        world.commit("c", "above", &["-S"]);
        mended(&server, &["main", "v1"]);
        assert_eq!(server.at("v1^{commit}"), Some(world.id("c", "HEAD~1")), "lightweight: {lightweight}");
        assert_eq!(server.at("main"), Some(world.id("c", "HEAD")));
    }
}

#[test]
fn a_tag_that_is_pushed_alone() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "forgot", &[]);
    world.home.git("c", &["tag", "-s", "-m", "m", "v1"]);
    let before = tree(&server, "v1");
    world.commit("c", "above", &["-S"]);
    mended(&server, &["v1"]);
    assert_eq!(tree(&server, "v1"), before);
}

#[test]
fn names_of_refs_are_no_commands() {
    let server = Server::new();
    let world = &server.0;
    for name in [
        "v$(touch${IFS}pwned)",
        "v`touch${IFS}pwned`",
        "v;touch${IFS}pwned;",
        "v'$(touch${IFS}pwned)'",
        "v&touch${IFS}pwned&",
        "v\"|touch${IFS}pwned",
    ] {
        world.home.git("c", &["tag", "-a", "-m", "m", name]);
        mended(&server, &[&format!("refs/tags/{name}")]);
        world.home.git("c", &["checkout", "-q", "-b", name, "main"]);
        world.commit("c", &format!("forgot {}", name.len()), &[]);
        mended(&server, &[&format!("refs/heads/{name}")]);
        for folder in ["c", "server.git"] {
            assert!(!world.home.join(folder).join("pwned").exists(), "{name}");
        }
    }
}

#[test]
fn there_is_no_command_where_none_would_help() {
    let server = Server::new();
    let world = &server.0;
    let head = world.id("c", "HEAD");
    for name in ["refs/for/main", "refs/replace/1111111111111111111111111111111111111111"] {
        let refused = server.refused(&[&format!("{head}:{name}")], &["mend: "]);
        assert_eq!(commands(&refused), [""; 0]);
    }
}

#[test]
fn a_signed_tag_on_an_unsigned_commit_goes_along_with_its_branch() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "forgot", &[]);
    world.home.git("c", &["tag", "-s", "-m", "first release", "v1"]);
    let commands = mended(&server, &["main", "v1"]);
    assert_eq!(commands.last().unwrap(), "GIT_EDITOR=: git tag -s -f v1 HEAD~0");
    assert_eq!(world.id("c", "v1^{commit}"), world.id("c", "main"));
    assert!(world.home.git("c", &["cat-file", "-p", "v1"]).contains("first release"));
}

#[test]
fn an_unsigned_tag_inside_a_signed_one() {
    let server = Server::new();
    let world = &server.0;
    world.home.git("c", &["tag", "-a", "-m", "inner", "inner"]);
    world.home.git("c", &["tag", "-s", "-m", "outer", "outer", "inner"]);
    assert_eq!(mended(&server, &["outer"]), ["GIT_EDITOR=: git tag -s -f outer outer^{}"]);
}

#[test]
fn two_branches_and_a_tag_on_one_of_them() {
    let server = Server::new();
    let world = &server.0;
    let base = world.id("c", "HEAD");
    for name in ["a", "b"] {
        world.home.git("c", &["checkout", "-q", "-b", name, &base]);
        world.commit("c", &format!("forgot on {name}"), &[]);
        world.commit("c", &format!("signed on {name}"), &["-S"]);
    }
    world.home.git("c", &["tag", "light", "a~1"]);
    let commands = mended(&server, &["a", "b", "light"]);
    let rebase = format!("git rebase --rebase-merges --force-rebase --gpg-sign {base}");
    let of = |branch: &str| format!("git checkout -q {branch} -- && {rebase}");
    assert_eq!(commands, [of("a"), of("b"), "git tag -f light refs/heads/a~1".to_owned()]);
}

/// Signing again would not make these good: the pusher must not be told to rewrite what is published.
#[test]
fn nobody_is_told_to_rewrite_what_signing_again_does_not_mend() {
    let server = Server::new();
    let world = &server.0;
    let alice = world.home.public("alice");
    for (code, signers) in [
        ("claimed-only", format!("alice@example.com valid-before=\"20240601Z\" {alice}\n")),
        ("wildcard", format!("* {alice}\n")),
        ("key-unlisted", world.line("bob", "")),
        ("namespace-not-allowed", format!("alice@example.com namespaces=\"file\" {alice}\n")),
    ] {
        if code == "claimed-only" {
            world.commit_on("c", "old", "2024-01-01T00:00:00Z");
            server.set("warrant.baseline", &world.id("c", "HEAD~1"));
        }
        world.home.write("signers", signers);
        let refused = server.refused(&["main"], &[&format!("[{code}]")]);
        assert_eq!(commands(&refused), [""; 0], "{code}");
        assert!(!refused.stderr.contains("--baseline"), "a pusher cannot leave anything out: {refused:?}");
    }
}

/// Pushed from branches of other names, the commands fail and rewrite nothing else.
#[test]
fn branches_of_other_names_leave_what_is_checked_out_alone() {
    let server = Server::new();
    let world = &server.0;
    let base = world.id("c", "HEAD");
    for name in ["l1", "l2"] {
        world.home.git("c", &["checkout", "-q", "-b", name, &base]);
        world.commit("c", &format!("forgot on {name}"), &[]);
    }
    world.home.git("c", &["checkout", "-q", "-b", "elsewhere", &base]);
    let elsewhere = world.commit("c", "something else", &["-S"]);
    let refused = server.refused(&["l1:topic1", "l2:topic2"], &["git checkout -q topic1 -- && "]);
    for command in commands(&refused) {
        let ran = run(world.home.command("sh").args(["-c", &command]).current_dir(world.home.join("c")), b"");
        assert!(!ran.ok(), "{command}");
    }
    assert_eq!(world.id("c", "elsewhere"), elsewhere);
}

/// Git lets a branch be called `-f`; a command with such a name would be another command.
#[test]
fn names_that_are_options_get_no_command() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "forgot", &[]);
    let id = world.id("c", "HEAD");
    for name in ["refs/heads/-f", "refs/heads/HEAD", "refs/tags/-d", "refs/tags/--delete"] {
        world.home.git("c", &["update-ref", name, &id]);
        let refused = server.refused(&[&format!("{name}:{name}")], &["[unsigned]"]);
        assert_eq!(commands(&refused), [""; 0], "{name}");
    }
}
