//! What is trusted, and where services are, from a TUF repository; and entries that are found in the log only.

use crate::common::{Done, run};
use crate::support::{Bed, PERSON};
use crate::{LOG_ENTRY, TIMESTAMP, holds};
use git_warrant::armor::decode_cms;

impl Bed {
    fn mirror(&self) -> String {
        format!("{}/tuf", self.issuer)
    }

    /// Our program in the repository.
    fn ours(&self, args: &[&str]) -> Done {
        run(self.home.ours(args).current_dir(self.home.join("r")), b"")
    }

    /// A policy for the person, by the bed's root.
    fn write_policy(&self) {
        self.home.write("root.json", std::fs::read(self.folder.join("trusted_root.json")).unwrap());
        let text = format!(
            "version = 1\n[[principals.person.keys]]\nkeyless = \"{PERSON}\"\nissuer = \"{}\"\n[authorities.bed]\ntrusted-root = \"root.json\"\n",
            self.issuer
        );
        self.home.write("policy.toml", text);
    }
}

#[test]
fn trust_comes_from_a_tuf_repository() {
    let Some(bed) = Bed::find(9) else { return };
    let (mirror, first) = (bed.mirror(), bed.folder.join("tuf/1.root.json"));
    let update = ["trust", "update", "--mirror", &mirror];
    let done = bed.ours(&update);
    assert!(done.status == Some(2) && done.stderr.contains("--root FILE"), "{done:?}");
    let output = bed.home.join("fetched.json");
    let done = bed.ours(&[&update[..], &["--root", first.to_str().unwrap(), "--output", output.to_str().unwrap()]].concat());
    assert!(done.ok() && done.stdout.contains("root 1, until ") && done.stdout.contains("addresses of its services"), "{done:?}");
    assert_eq!(std::fs::read(&output).unwrap(), std::fs::read(bed.folder.join("trusted_root.json")).unwrap());
    assert!(bed.ours(&update).ok());
    let done = bed.ours(&["trust", "status", "--mirror", &mirror]);
    assert!(done.ok() && done.stdout.contains("holds trusted_root.json and signing_config.v0.2.json"), "{done:?}");
    // nothing is named but where to learn it from: the first version of Rekor, then the second with its timestamp
    bed.sign_as(PERSON);
    bed.home.write("gitconfig", bed.settings(""));
    bed.config("warrant.signingConfig", &format!("tuf:{mirror}"));
    bed.commit("r", "as the configuration says", &[]);
    let (der, _) = decode_cms(&bed.signature("r")).unwrap();
    assert!(holds(&der, LOG_ENTRY) && !holds(&der, TIMESTAMP) && holds(&der, b"\x050.0.1"));
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    bed.config("warrant.rekorVersion", "2");
    bed.commit("r", "in tiles", &[]);
    let (der, _) = decode_cms(&bed.signature("r")).unwrap();
    assert!(holds(&der, LOG_ENTRY) && holds(&der, TIMESTAMP) && holds(&der, b"\x050.0.2"));
    // the same from a file; and what is named goes first
    bed.config("warrant.signingConfig", bed.folder.join("signing_config.json").to_str().unwrap());
    bed.config("warrant.trustedRoot", &format!("tuf:{mirror}"));
    bed.commit("r", "by a file", &[]);
    let said = bed.refusal("r", &[("SIGSTORE_FULCIO_URL", "http://localhost:1")]);
    assert!(said.contains("Fulcio at http://localhost:1"), "{said}");
    // by the fetched root
    let said = run(bed.home.command("git").args(["-C", "r", "verify-commit", "HEAD"]), b"");
    assert!(said.ok() && said.stderr.contains(&format!("[by tuf:{mirror}]")), "{said:?}");
    // what was fetched of the public instance signs where nothing is named: those who know its built-in root are warned of
    let metadata = r#"{"signed": {"version": 1, "expires": "2099-01-01T00:00:00Z"}}"#;
    let file = |name: &str| std::fs::read_to_string(bed.folder.join(name)).unwrap();
    let public = "https://tuf-repo-cdn.sigstore.dev";
    let state = serde_json::json!({"mirror": public, "trusted_root.json": file("trusted_root.json"),
        "signing_config.v0.2.json": file("signing_config.json"), "root.json": metadata, "timestamp.json": metadata});
    let folder = bed.home.join(".local/share/git-warrant/trust/527c9e84bdb445b592abfcebc9ce1368");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("state.json"), state.to_string()).unwrap();
    bed.config("warrant.trustedRoot", "tuf:public-good");
    let mut command = bed.git("r", &[]); // git itself shows a signer's words only where it fails
    let known: Vec<_> = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    command = bed.home.command(crate::common::OURS);
    command.envs(known).current_dir(bed.home.join("r")).args(["--status-fd=2", "-bsau", "KEY"]);
    let said = run(&mut command, b"tree 0\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nm\n");
    assert!(said.ok() && said.stderr.contains("the trusted root that is built in does not accept this signature"), "{said:?}");
    assert!(said.stderr.contains("git warrant trust update --mirror public-good --output FILE"), "{said:?}");
    bed.config("warrant.trustedRoot", "tuf:http://localhost:2");
    let said = run(bed.home.command("git").args(["-C", "r", "verify-commit", "HEAD"]), b"");
    assert!(!said.ok() && said.stderr.contains("nothing was fetched from http://localhost:2"), "{said:?}");
}

#[test]
fn what_only_the_log_has_is_found_when_asked_for() {
    let Some(bed) = Bed::find(6) else { return };
    bed.sign_as(PERSON);
    bed.config("user.email", PERSON);
    bed.write_policy();
    for message in ["one", "two"] {
        let mut theirs = bed.git("r", &["-c", "gpg.x509.program=gitsign", "commit", "-q", "-S", "--allow-empty", "-m", message]);
        let known = bed.gitsign(&[]);
        theirs.envs(known.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let done = run(theirs.env("GITSIGN_REKOR_MODE", "online"), b"");
        assert!(done.ok(), "{done:?}");
    }
    let (der, _) = decode_cms(&bed.signature("r")).unwrap();
    assert!(!holds(&der, LOG_ENTRY));
    let mut theirs = bed.git("r", &["-c", "gpg.x509.program=gitsign", "tag", "-s", "-m", "first", "v1"]);
    theirs.envs(bed.gitsign(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let done = run(theirs.env("GITSIGN_REKOR_MODE", "online"), b"");
    assert!(done.ok(), "{done:?}");
    let policy = bed.home.join("policy.toml");
    let verify = ["verify", "--policy", policy.to_str().unwrap(), "--all-verdicts", "HEAD"];
    let offline = bed.ours(&verify);
    assert!(offline.status == Some(1) && offline.stdout.contains("not-logged"), "{offline:?}");
    let online = bed.ours(&[&verify[..], &["--online"]].concat());
    assert!(online.ok() && online.stdout.contains("2 accepted"), "{online:?}");
    let tag = bed.ours(&["verify", "--policy", policy.to_str().unwrap(), "--online", "v1"]);
    // what gitsign 0.16 logs of a tag is the id of another object: the signature in a header, where git has it at the end
    assert!(tag.status == Some(1) && tag.stdout.contains("2 accepted, 1 rejected"), "{tag:?}");
    assert!(tag.stderr.contains("the log has no entry of it"), "{tag:?}");
    let shown = bed.ours(&["show", "--policy", policy.to_str().unwrap(), "--online", "HEAD"]);
    assert!(shown.ok() && shown.stdout.contains("found       online: the entry is of the object's id"), "{shown:?}");
    // a log that does not answer is as one that is not asked
    bed.config("warrant.rekor", "http://localhost:1");
    let down = bed.ours(&[&verify[..], &["--online"]].concat());
    assert!(down.status == Some(1) && down.stdout.contains("not-logged"), "{down:?}");
    assert_eq!(down.stderr.matches("Rekor at http://localhost:1").count(), 1, "{down:?}");
    bed.config("warrant.rekor", &bed.rekor);
    // the same signature in another commit is in no log
    let raw = bed.home.git("r", &["cat-file", "commit", "HEAD"]) + "\n";
    let (head, rest) = raw.split_once("\ngpgsig ").unwrap();
    let end = rest.find("\n -----END").unwrap();
    let changed = format!("{head}\ngpgsig {} {}", &rest[..end], &rest[end..]);
    let mut command = bed.home.command("git");
    command.arg("-C").arg(bed.home.join("r")).args(["hash-object", "-w", "-t", "commit", "--stdin"]);
    let other = run(&mut command, changed.as_bytes()).stdout.trim().to_owned();
    let done = bed.ours(&["verify", "--policy", policy.to_str().unwrap(), "--online", "--no-walk", &other]);
    assert!(done.status == Some(1) && done.stderr.contains("the log has no entry of it"), "{done:?}");
    assert!(done.stdout.contains("not-logged"), "{done:?}");
}
