//! The hook by a policy in TOML.

use crate::Server;

/// A server whose policy names Alice, with her address.
fn server(more: &str) -> Server {
    let server = Server::new();
    let key = server.0.home.public("alice");
    let alice = format!("[principals.alice]\nemails = [\"alice@example.com\"]\n[[principals.alice.keys]]\nssh = \"{key}\"\n");
    server.0.home.write("policy.toml", format!("version = 1\n{alice}{more}"));
    server.mode("policy.toml", 0o644);
    server.set("warrant.policy", server.0.home.join("policy.toml").to_str().unwrap());
    server
}

#[test]
fn a_push_is_judged_and_told_the_policys_line() {
    let server = server("status = \"active\"\n");
    let world = &server.0;
    let good = world.commit("c", "good", &["-S"]);
    let passed = server.passes(&["main"]);
    assert!(passed.stderr.contains("2  signed by alice"), "{passed:?}");
    world.commit_as("c", "bob's", &world.person("bob"), &["-S"]);
    server.refused(&["main"], &["key-unlisted", "[[principals.NAME.keys]], and below that ssh = \"ssh-ed25519 "]);
    world.home.git("c", &["reset", "-q", "--hard", &good]);
    let text = String::from_utf8(world.home.read("policy.toml")).unwrap();
    world.home.write("policy.toml", text.replace("active", "retired"));
    world.commit("c", "late", &["-S"]);
    server.refused(&["main"], &["key-retired", "policy.toml:4", "to `settled` of"]);
    let text = text.replace("active", "retired").replacen("version = 1\n", &format!("version = 1\nsettled = [\"{good}\"]\n"), 1);
    world.home.write("policy.toml", text);
    server.refused(&["main"], &["key-retired"]);
    world.home.git("c", &["branch", "-q", "old", &good]);
    server.passes(&["old"]);
}

#[test]
fn a_policy_that_others_may_write_is_refused_and_so_is_what_lies_beside_it() {
    let server = server("");
    let world = &server.0;
    server.mode("policy.toml", 0o666);
    server.refused(&["main:refs/heads/x"], &["writable by others"]);
    let authority = format!("[authorities.c]\nssh-ca = \"{}\"\nprincipals = [\"*@x\"]\nkrl = \"list\"\n", world.home.public("bob"));
    world.home.write("policy.toml", format!("version = 1\n{authority}"));
    server.mode("policy.toml", 0o644);
    world.home.write("list", format!("{}\n", world.home.public("mallory")));
    server.mode("list", 0o666);
    server.refused(&["main:refs/heads/x"], &["list", "writable by others"]);
}

#[test]
fn a_second_ref_at_an_exempt_commit_does_not_pass_with_the_first() {
    let server = server("");
    let world = &server.0;
    let bad = world.commit("c", "bad", &[]);
    let mend = world.commit("c", "mend", &["-S"]);
    server.refused(&["main"], &["unsigned"]);
    let text = String::from_utf8(world.home.read("policy.toml")).unwrap();
    let exempt = format!("{text}[[exempt]]\ncommit = \"{bad}\"\nuntil = \"{mend}\"\nreason = \"reverted\"\n");
    world.home.write("policy.toml", exempt);
    world.home.git("c", &["branch", "-q", "at-bad", &bad]);
    world.home.git("c", &["tag", "-s", "-m", "m", "v-bad", &bad]);
    for refs in [&["at-bad"][..], &["v-bad"], &["main", "at-bad"], &["at-bad", "main"], &["main", "v-bad"]] {
        server.refused(refs, &["unsigned", "does not hold", &mend]);
    }
    // what is not judged need not lead to the mend
    let passed = server.passes(&["main", &format!("{bad}:refs/notes/old")]);
    assert!(passed.stderr.contains("1 exempt") && passed.stderr.contains("exempt: reverted"), "{passed:?}");
    server.refused(&["at-bad"], &["unsigned"]);
}

#[test]
fn what_was_verified_earlier_does_not_carry_an_exempt_commit_along() {
    let server = server("");
    let world = &server.0;
    world.commit("c", "before", &["-S"]);
    server.passes(&["main"]); // remembered
    let bad = world.commit("c", "bad", &[]);
    let mend = world.commit("c", "mend", &["-S"]);
    let text = String::from_utf8(world.home.read("policy.toml")).unwrap();
    let exempt = format!("{text}[[exempt]]\ncommit = \"{bad}\"\nuntil = \"{mend}\"\nreason = \"reverted\"\n");
    world.home.write("policy.toml", exempt);
    server.passes(&["main"]);
    world.commit("c", "above", &["-S"]);
    server.passes(&["main"]);
    world.home.git("c", &["branch", "-q", "at-bad", &bad]);
    server.refused(&["at-bad"], &["unsigned", "does not hold"]);
}

#[test]
fn a_changed_policy_judges_again_what_was_verified() {
    let server = server("status = \"active\"\n");
    let world = &server.0;
    world.commit("c", "two", &["-S"]);
    server.passes(&["main"]);
    let text = String::from_utf8(world.home.read("policy.toml")).unwrap();
    world.home.write("policy.toml", text.replace("active", "retired"));
    server.refused(&["main:refs/heads/again"], &["key-retired"]);
    world.home.write("policy.toml", &text);
    server.passes(&["main:refs/heads/again"]);
}
