//! `git warrant policy check | settle | retire`.

use crate::Toml;
use crate::common::{Done, Running, digits, has, skipped};
use crate::world::{done, says};
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

impl Toml {
    fn policy(&self, args: &[&str]) -> Done {
        done(&mut self.0.warrant("r", &[&["policy"], args].concat()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.home.read("policy.toml")).unwrap()
    }
}

/// Alice and Bob with a history in which both signed, on `main`, with a tag; the policy is configured.
fn toml() -> Toml {
    let toml = Toml::new();
    toml.0.config("warrant.policy", &toml.path());
    toml.0.signed("r", 1);
    toml.by_bob("bob's");
    toml.0.home.git("r", &["tag", "-s", "-m", "m", "v1"]);
    toml.write(&format!("# who signs here\n{}{}", toml.alice("# her laptop"), toml.bob("# his")));
    toml
}

#[test]
fn check_says_what_is_in_a_file() {
    let toml = toml();
    let checked = toml.policy(&["check"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    for words in [
        "policy.toml: valid (sha256:",
        "principal alice, alice@example.com: SHA256:",
        "principal bob, bound to no address: SHA256:",
        "(active)",
        "0 settled",
    ] {
        assert!(checked.stdout.contains(words), "{checked:?}");
    }
    // anywhere: inside the work tree, and outside of any repository
    toml.0.home.write("r/own.toml", toml.text());
    assert_eq!(toml.policy(&["check", "own.toml"]).status, Some(0));
    let mut outside = toml.0.home.ours(&["policy", "check", "policy.toml"]);
    assert_eq!(done(outside.current_dir(toml.0.home.path())).status, Some(0));
    let signers = toml.policy(&["check", &toml.0.policy()]);
    assert!(signers.ok() && signers.stdout.contains("2 lines with keys"), "{signers:?}");
    says(&toml.policy(&["check", "absent.toml"]), 2, &["absent.toml", "cannot read"]);
    let absent = &"0123".repeat(digits() / 4);
    toml.write(&format!("settled = [\"{absent}\"]\n{}", toml.alice("")));
    says(&toml.policy(&["check"]), 0, &[absent, "is not in this repository"]);
}

#[test]
fn settle_writes_down_what_stands_and_keeps_the_rest() {
    let toml = toml();
    let before = toml.text();
    let (main, tag) = (toml.0.id("r", "main"), toml.0.id("r", "v1"));
    let dry = toml.policy(&["settle", "--dry-run"]);
    assert_eq!((dry.status, toml.text()), (Some(0), before.clone()), "{dry:?}");
    let settled = toml.policy(&["settle"]);
    assert!(settled.ok() && settled.stdout.contains("2 settled"), "{settled:?}");
    assert_eq!(toml.text(), dry.stdout);
    let list = format!("settled = [\n    # refs/heads/main\n    \"{main}\",\n    # refs/tags/v1\n    \"{tag}\",\n]\n");
    assert_eq!(toml.text(), before.replacen("version = 1\n", &format!("version = 1\n{list}"), 1));
    // again: the same; further on: the new tip in the place of the old
    assert!(toml.policy(&["settle"]).ok());
    assert_eq!(toml.text(), dry.stdout);
    let next = toml.0.commit("r", "next", &["-S"]);
    assert!(toml.policy(&["settle"]).ok());
    assert!(toml.text().contains(&next) && !toml.text().contains(&main) && toml.text().contains(&tag), "{}", toml.text());
    // what does not verify is not settled
    let text = toml.text();
    toml.0.commit("r", "unsigned", &[]);
    says(&toml.policy(&["settle"]), 1, &["nothing is written", "reject", "unsigned"]);
    assert_eq!(toml.text(), text);
    says(&toml.policy(&["settle", "v1"]), 0, &[]);
    says(&toml.policy(&["settle", "absent"]), 2, &["absent"]);
    says(&toml.policy(&["settle", "--policy", &toml.0.policy()]), 2, &["no policy in TOML", "warrant.settled"]);
    says(&toml.policy(&["settle", "--policy", "refs/heads/main:policy.toml"]), 2, &["REV:PATH cannot be changed"]);
}

#[test]
fn who_leaves_is_retired_and_what_he_signed_stands() {
    let toml = toml();
    let before = toml.text();
    toml.0.home.git("r", &["checkout", "-q", "-b", "topic"]);
    toml.by_bob("not merged");
    toml.0.home.git("r", &["checkout", "-q", "main"]);
    says(&toml.policy(&["retire", "bob"]), 2, &["refs/heads/topic (1)", "--settle refs/heads/topic", "--leave"]);
    assert_eq!(toml.text(), before);
    let retired = toml.policy(&["retire", "bob", "--leave", "--reason", "left"]);
    says(&retired, 0, &["refs/heads/topic: what bob signed there is rejected from now on (1)"]);
    assert!(retired.stdout.contains("bob is retired"), "{retired:?}");
    let text = toml.text();
    let lines: Vec<&str> = text.lines().filter(|line| !before.contains(line)).collect();
    assert!(lines.contains(&"status = \"retired\"") && lines.contains(&"reason = \"left\""), "{text}");
    assert!(before.lines().all(|line| text.contains(line)), "{text}");
    assert_eq!(toml.judged(&["main", "v1"]).status, Some(0));
    assert_eq!(toml.judged(&["topic"]).words().iter().filter(|word| *word == "key-retired").count(), 1);
    // from now on his key signs nothing
    let late = toml.by_bob("too late");
    assert_eq!(toml.judged(&[]).of_object(&late), "key-retired");
    says(&toml.policy(&["retire", "bob", "--leave"]), 2, &["bob has no active key"]);
    says(&toml.policy(&["retire", "eve"]), 2, &["no principal, authority or key `eve`"]);
    says(&toml.policy(&["retire", "alice", "--leave"]), 1, &["nothing is written", "key-retired"]);
}

#[test]
fn retiring_settles_other_refs_on_request() {
    let toml = toml();
    toml.0.home.git("r", &["checkout", "-q", "-b", "topic"]);
    let unmerged = toml.by_bob("not merged");
    toml.0.home.git("r", &["checkout", "-q", "main"]);
    let fingerprint = toml.judged(&["--all-verdicts"]).lines.iter().find(|line| line["principal"] == "bob").unwrap()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    says(&toml.policy(&["retire", &fingerprint, "--settle", "topic"]), 0, &[]);
    assert!(toml.text().contains(&unmerged), "{}", toml.text());
    assert_eq!(toml.judged(&["main", "topic", "v1"]).status, Some(0));
}

#[test]
fn a_tag_that_nobody_can_mend_is_left_out() {
    let toml = toml();
    toml.0.home.git("r", &["tag", "-a", "-m", "unsigned", "u1"]);
    says(&toml.policy(&["retire", "bob"]), 1, &["nothing is written", "unsigned", "--except"]);
    says(&toml.policy(&["retire", "bob", "--except", "absent"]), 2, &["absent"]);
    says(&toml.policy(&["retire", "bob", "--except", "HEAD~1"]), 2, &["--except HEAD~1", "refs/tags/u1"]);
    says(&toml.policy(&["retire", "bob", "--except", "u1"]), 0, &[]);
    assert!(!toml.text().contains(&toml.0.id("r", "u1")), "{}", toml.text());
    assert_eq!(toml.judged(&["main", "v1"]).status, Some(0));
    assert_eq!(toml.judged(&["u1"]).words().iter().filter(|word| *word == "unsigned").count(), 1);
}

#[test]
fn two_who_change_a_policy_do_not_undo_each_other() {
    if !has("flock") {
        return skipped("flock (util-linux)");
    }
    let toml = toml();
    let folder = toml.0.home.path().to_owned();
    toml.0.home.write(".policy.git-warrant-XYZ", "of one who was killed");
    let mut lock = toml.0.home.command("flock");
    let mut held = Running(
        lock.arg(&folder).args(["sh", "-c", "echo held; read line"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap(),
    );
    let mut said = [0; 5];
    held.0.stdout.take().unwrap().read_exact(&mut said).unwrap();
    let text = toml.text();
    let mut settle = toml.0.warrant("r", &["policy", "settle"]);
    let settling = settle.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1)); // it has read the file, and waits for the other
    let by_hand = text.replace("# who signs here", "# who signs");
    toml.0.home.write("policy.toml", &by_hand);
    drop(held.0.stdin.take()); // the other is done
    let settled = settling.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&settled.stderr);
    assert!(settled.status.code() == Some(2) && error.contains("was changed meanwhile"), "{error}");
    assert_eq!(toml.text(), by_hand);
    says(&toml.policy(&["settle"]), 0, &[]);
    assert!(!toml.0.home.join(".policy.git-warrant-XYZ").exists());
}

#[test]
fn a_policy_of_two_names_stays_one_file() {
    let toml = toml();
    std::fs::hard_link(toml.0.home.join("policy.toml"), toml.0.home.join("second.toml")).unwrap();
    let before = toml.text();
    says(&toml.policy(&["settle"]), 2, &["hard links", "cp -p"]);
    assert_eq!(toml.text(), before);
}

#[test]
fn a_linked_policy_is_changed_where_it_lies_with_its_mode() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let toml = toml();
    std::fs::create_dir(toml.0.home.join("real")).unwrap();
    std::fs::rename(toml.0.home.join("policy.toml"), toml.0.home.join("real/policy.toml")).unwrap();
    symlink("real/policy.toml", toml.0.home.join("policy.toml")).unwrap();
    std::fs::set_permissions(toml.0.home.join("real/policy.toml"), std::fs::Permissions::from_mode(0o640)).unwrap();
    says(&toml.policy(&["settle"]), 0, &[]);
    assert!(toml.0.home.join("policy.toml").is_symlink());
    let metadata = std::fs::metadata(toml.0.home.join("real/policy.toml")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert!(toml.text().contains("settled = ["));
    assert_eq!(std::fs::read_dir(toml.0.home.join("real")).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn settling_frees_nothing_that_the_policy_itself_does_not_accept() {
    let toml = toml();
    let bad = toml.0.id("r", "HEAD");
    let fix = toml.0.commit("r", "fix", &["-S"]);
    toml.0.home.git("r", &["branch", "-q", "at-bad", &bad]);
    toml.0.home.git("r", &["tag", "-d", "v1"]);
    let retired = format!("{}{}", toml.alice(""), toml.bob("status = \"retired\""));
    // exempt on main, where it is mended; settled it would stand everywhere
    toml.write(&format!("{retired}[[exempt]]\ncommit = \"{bad}\"\nuntil = \"{fix}\"\nreason = \"stolen\"\n"));
    let text = toml.text();
    assert_eq!(toml.judged(&["main"]).status, Some(0));
    says(&toml.policy(&["settle"]), 1, &["nothing is written", "exempt commit stand everywhere"]);
    says(&toml.policy(&["retire", "alice"]), 1, &["nothing is written"]);
    // what this user leaves out, or settles, is not what the file says
    for setting in ["warrant.baseline", "warrant.settled"] {
        toml.write(&retired);
        toml.0.config(setting, &bad);
        assert_eq!(toml.judged(&["main"]).status, Some(0));
        says(&toml.policy(&["settle"]), 1, &["nothing is written", "key-retired"]);
        toml.0.home.git("", &["config", "--global", "--unset", setting]);
    }
    // a key that is revoked elsewhere
    toml.write(&format!("{}{}", toml.alice(""), toml.bob("")));
    toml.0.home.write("revoked", toml.0.home.public("bob"));
    toml.0.config("gpg.ssh.revocationFile", toml.0.home.join("revoked").to_str().unwrap());
    says(&toml.policy(&["settle"]), 1, &["nothing is written", "key-revoked"]);
    toml.0.home.write("revoked", "");
    says(&toml.policy(&["check"]), 2, &["gpg.ssh.revocationFile"]);
    assert_ne!(toml.text(), text);
    assert!(!toml.text().contains("settled"), "{}", toml.text());
}

#[test]
fn every_tag_on_the_way_is_settled_and_tags_of_files_are_too() {
    let toml = toml();
    let mut as_bob = toml.0.person("bob");
    as_bob.iter_mut().for_each(|setting| *setting = format!("-c{setting}"));
    let bob: Vec<&str> = as_bob.iter().flat_map(|setting| ["-c", setting.trim_start_matches("-c")]).collect();
    let tag = |name: &str, target: &str| toml.0.home.git("r", &[&bob[..], &["tag", "-s", "-m", "m", name, target]].concat());
    tag("inner", "HEAD");
    tag("outer", "inner");
    toml.0.home.git("r", &["tag", "-d", "inner"]);
    toml.0.home.git("r", &["tag", "lightweight", "HEAD:bob's"]);
    tag("file", "HEAD:bob's");
    says(&toml.policy(&["retire", "bob"]), 0, &[]);
    let judged = toml.judged(&["main", "v1", "outer", "file"]);
    assert_eq!(judged.status, Some(0), "{}", judged.stdout);
    assert_eq!(toml.policy(&["retire", "alice"]).status, Some(0));
}

#[test]
fn who_is_retired_and_can_still_be_certified_is_named() {
    let toml = toml();
    toml.0.home.key("ca", &["ed25519"], "");
    let ca = toml.0.home.public("ca");
    let authority = format!("[authorities.corp]\nssh-ca = \"{ca}\"\nprincipals = [\"*@example.com\"]\n");
    let carol = "[principals.carol]\nemails = [\"carol@example.com\"]\n";
    toml.write(&format!("{}{}{carol}{authority}", toml.alice(""), toml.bob("")));
    says(&toml.policy(&["retire", "carol"]), 2, &["carol has no key", "`deny` of the authority"]);
    says(&toml.policy(&["retire", "alice"]), 0, &["corp may still certify keys for alice@example.com", "`deny`"]);
    toml.write(&format!("{}{}", authority.replace("corp", "bob"), toml.bob("")));
    says(&toml.policy(&["retire", "bob"]), 2, &["a principal and an authority", "fingerprint"]);
}
