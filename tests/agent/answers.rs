//! What services answer: too late for the certificate, or in one form of several.

use crate::common::{OURS, run, wait_for};
use crate::services::{Bed, Fault, PERSON};
use std::time::Duration;

/// A bed whose tokens lie at hand, and that needs no agent.
fn bed() -> (Bed, String) {
    let bed = Bed::new();
    bed.config("warrant.agent", "false");
    bed.config("warrant.tsa", &format!("{}/tsa", bed.services.url));
    let token = bed.services.mint(PERSON);
    (bed, token)
}

#[test]
fn another_certificate_where_the_first_one_ended() {
    for (slow, says) in [("/rekor", "the log had the signature"), ("/tsa", "the timestamp authority had the signature")] {
        let (bed, token) = bed();
        bed.services.state().life = 1;
        bed.services.fail(slow, Fault::Slow(Duration::from_secs(3)));
        let said = bed.unsigned(&[("SIGSTORE_ID_TOKEN", &token)]);
        for word in ["the certificate ended", says, "nothing is signed; try again"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert_eq!(bed.services.asked("/fulcio"), 2, "once more, and no oftener");
        // the second one lives long enough
        let mut commit = bed.command("git", &["commit", "-q", "-S", "--allow-empty", "-m", "late"]);
        let before = bed.services.asked(slow);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                wait_for(|| bed.services.asked(slow) > before);
                bed.services.state().life = 600;
                bed.services.mend();
            });
            let done = run(commit.env("SIGSTORE_ID_TOKEN", &token), b"");
            assert!(done.ok(), "{done:?}");
        });
        bed.verifies("HEAD");
        assert_eq!(bed.services.asked("/fulcio"), 4);
    }
}

/// The log and the timestamp authority of the bed always sign with the larger S.
#[test]
fn what_is_signed_has_one_form() {
    let (bed, token) = bed();
    let mut git = bed.command("git", &["commit", "-q", "-S", "--allow-empty", "-m", "strict"]);
    assert!(run(git.env("SIGSTORE_ID_TOKEN", &token), b"").ok());
    let text = format!(
        "version = 1\n[[principals.person.keys]]\nkeyless = \"{PERSON}\"\nissuer = \"{}\"\n[authorities.own]\ntrusted-root = \"root.json\"\nrequire = \"log+timestamp\"\n",
        bed.services.issuer()
    );
    bed.home.write("policy.toml", text);
    let policy = bed.home.join("policy.toml");
    let strict = ["verify", "--strict", "--policy", policy.to_str().unwrap(), "--no-walk", "HEAD"];
    let judged = run(&mut bed.command(OURS, &strict), b"");
    assert!(judged.ok() && judged.stdout.contains("accept"), "{judged:?}");
}
