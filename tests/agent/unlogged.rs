//! Signatures that stand in no log: only with a timestamp, and only for whoever says that this is enough.

use crate::common::{OURS, run};
use crate::services::{Bed, Fault, PERSON};
use crate::sigstore::Signature;

fn bed() -> Bed {
    let bed = Bed::new();
    bed.config("warrant.log", "false");
    bed
}

/// What a policy that requires so much says of the newest commit.
fn judged(bed: &Bed, require: &str) -> String {
    let text = format!(
        "version = 1\n[[principals.person.keys]]\nkeyless = \"{PERSON}\"\nissuer = \"{}\"\n[authorities.own]\ntrusted-root = \"root.json\"\n{require}\n",
        bed.services.issuer()
    );
    bed.home.write("policy.toml", text);
    let policy = bed.home.join("policy.toml");
    let done = run(
        &mut bed.command(OURS, &["verify", "--policy", policy.to_str().unwrap(), "--format", "jsonl", "--no-walk", "HEAD"]),
        b"",
    );
    let line: serde_json::Value = serde_json::from_str(done.stdout.lines().next().unwrap_or_else(|| panic!("{done:?}"))).unwrap();
    line["code"].as_str().or(line["verdict"].as_str()).unwrap().to_owned()
}

#[test]
fn without_a_timestamp_nothing_is_signed() {
    let bed = bed();
    let token = bed.services.mint(PERSON);
    let said = bed.refusal(&[("SIGSTORE_ID_TOKEN", &token)]);
    assert!(said.contains("warrant.log is false") && said.contains("git config warrant.tsa URL"), "{said}");
    bed.config("warrant.tsa", &format!("{}/tsa", bed.services.url));
    bed.services.fail("/tsa", Fault::Says(503, "down".to_owned()));
    let said = bed.refusal(&[("SIGSTORE_ID_TOKEN", &token)]);
    assert!(said.contains("the timestamp authority at"), "{said}");
    bed.config("warrant.log", "perhaps");
    assert!(bed.refusal(&[("SIGSTORE_ID_TOKEN", &token)]).contains("warrant.log is `perhaps`"));
    assert_eq!(bed.services.asked("/rekor"), 0);
}

#[test]
fn whoever_takes_it_says_so() {
    let bed = bed();
    bed.config("warrant.tsa", &format!("{}/tsa", bed.services.url));
    bed.log_in(PERSON);
    bed.commits(bed.command("git", &[]));
    assert_eq!((bed.services.asked("/rekor"), bed.services.asked("/tsa")), (0, 1));
    for (require, want) in [
        ("require = \"timestamp\"", "accept"),
        ("", "not-logged"),
        ("require = \"log\"", "not-logged"),
        ("require = \"log+timestamp\"", "not-logged"),
    ] {
        assert_eq!(judged(&bed, require), want, "{require}");
    }
    // in gpgsm's place: whoever did not say so is told
    bed.config("warrant.log", "true");
    let done = run(&mut bed.command("git", &["verify-commit", "--raw", "HEAD"]), b"");
    assert!(!done.ok() && done.stderr.contains("ERRSIG"), "{done:?}");
    assert!(!done.stderr.contains("GOODSIG") && !done.stderr.contains("TRUST_FULLY"), "{done:?}");
    let told = run(&mut bed.command("git", &["verify-commit", "HEAD"]), b"");
    assert!(!told.ok() && told.stderr.contains("no log entry"), "{told:?}");
    // one that is logged is good for both
    bed.commits(bed.command("git", &[]));
    assert_eq!(bed.services.asked("/rekor"), 1);
    assert_eq!((judged(&bed, ""), judged(&bed, "require = \"timestamp\"")), ("accept".to_owned(), "accept".to_owned()));
    bed.config("warrant.log", "false");
    bed.verifies("HEAD");
    // whoever only reads needs no authority of their own
    bed.home.git("", &["config", "--global", "--unset", "warrant.tsa"]);
    bed.verifies("HEAD");
    bed.verifies("HEAD~1");
}

#[test]
fn a_time_that_the_authority_did_not_say_is_none() {
    let bed = bed();
    bed.config("warrant.tsa", &format!("{}/tsa", bed.services.url));
    bed.log_in(PERSON);
    bed.commits(bed.command("git", &[]));
    // another instance's authority
    bed.home.write("root.json", crate::sigstore::Sigstore::new("other").trusted_root());
    assert_ne!(judged(&bed, "require = \"timestamp\""), "accept");
    let done = run(&mut bed.command("git", &["verify-commit", "--raw", "HEAD"]), b"");
    assert!(!done.ok() && !done.stderr.contains("GOODSIG"), "{done:?}");
}

#[test]
fn as_a_bundle() {
    let bed = bed();
    bed.config("warrant.tsa", &format!("{}/tsa", bed.services.url));
    bed.log_in(PERSON);
    bed.commits(bed.command("git", &[]));
    let shown = run(&mut bed.command(OURS, &["show", "--bundle", "HEAD"]), b"");
    assert!(shown.ok() && shown.stdout.contains("rfc3161Timestamps"), "{shown:?}");
    // a bundle is asked for its log entry: no policy says otherwise
    let raw = bed.home.git("r", &["cat-file", "commit", "HEAD"]);
    let (_, rest) = raw.split_once("\ngpgsig ").unwrap();
    let armored: String = rest.split_once("\n\n").unwrap().0.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    let (der, _) = git_warrant::armor::decode_cms(armored.as_bytes()).unwrap();
    bed.home.write("r/artifact", Signature::parse(&der).signed());
    bed.home.write("r/bundle.json", shown.stdout);
    let root = bed.home.join("root.json");
    let mut verify = bed.command(OURS, &["verify", "--bundle", "bundle.json", "--trusted-root", root.to_str().unwrap()]);
    let done = run(verify.args(["--identity", PERSON, "--issuer", &bed.services.issuer(), "artifact"]), b"");
    assert!(done.status == Some(1) && done.stdout.contains("log"), "{done:?}");
}
