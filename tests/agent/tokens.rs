//! Identity tokens that lie ready, where CI services put them; and identities that are no person's.

use crate::common::{OURS, run};
use crate::services::{Bed, PERSON};
use serde_json::json;

fn signed_by(bed: &Bed, variables: &[(&str, &str)], who: &str) {
    let mut git = bed.command("git", &[]);
    git.envs(variables.iter().copied());
    bed.commits(git);
    assert!(bed.verifies("HEAD").contains(who), "{who}");
}

#[test]
fn of_ci_services() {
    let bed = Bed::new();
    bed.config("warrant.agent", "false");
    let (url, runner, token) = (&bed.services.url, format!("{}/buildkite", bed.services.url), bed.services.mint("ci@example.com"));
    let actions = format!("{url}/actions?api-version=2.0");
    signed_by(
        &bed,
        &[("GITHUB_ACTIONS", "true"), ("ACTIONS_ID_TOKEN_REQUEST_URL", &actions), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner")],
        "actions@example.com",
    );
    assert!(bed.services.state().calls.iter().any(|(target, _)| target == "/actions?api-version=2.0&audience=sigstore"));
    let buildkite =
        [("BUILDKITE_AGENT_ACCESS_TOKEN", "secret"), ("BUILDKITE_JOB_ID", "7"), ("BUILDKITE_AGENT_ENDPOINT", runner.as_str())];
    signed_by(&bed, &buildkite, "buildkite@example.com");
    assert!(bed.services.state().calls.iter().any(|(_, body)| body == "{\"audience\":\"sigstore\"}"));
    signed_by(&bed, &[("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", &token)], "ci@example.com");
    signed_by(&bed, &[("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN_V2", &token)], "ci@example.com");
    bed.home.write("token", format!("{token}\n"));
    bed.config("warrant.tokenFile", "~/token");
    signed_by(&bed, &[], "ci@example.com");
    // one is named, and no other is looked at
    let sources = [
        ("gitlab", &[("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", token.as_str())][..], "ci@example.com"),
        ("buildkite", &buildkite, "buildkite@example.com"),
        ("circleci", &[("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN_V2", token.as_str())], "ci@example.com"),
        ("file", &buildkite, "ci@example.com"),
    ];
    for (source, variables, who) in sources {
        bed.config("warrant.tokenSource", source);
        signed_by(&bed, variables, who);
    }
}

#[test]
fn that_are_not_there_or_no_tokens() {
    let bed = Bed::new();
    let expired = bed.services.token(json!({ "sub": PERSON, "email": PERSON, "exp": 1_700_000_000 }));
    for (variables, says) in [
        (&[("GITLAB_CI", "true")][..], "this is a job of GitLab, and it has no identity token in SIGSTORE_ID_TOKEN"),
        (&[("CIRCLECI", "true")], "this is a job of CircleCI, and it has no identity token in CIRCLE_OIDC_TOKEN_V2"),
        (&[("GITHUB_ACTIONS", "true")], "permissions: id-token: write"),
        (&[("SIGSTORE_ID_TOKEN", "nonsense")], "SIGSTORE_ID_TOKEN holds no identity token"),
        (&[("SIGSTORE_ID_TOKEN", &expired)], "the identity token of SIGSTORE_ID_TOKEN has ended"),
        (
            &[("BUILDKITE_AGENT_ACCESS_TOKEN", "x"), ("BUILDKITE_JOB_ID", "8"), ("BUILDKITE_AGENT_ENDPOINT", &bed.services.url)],
            "Buildkite at",
        ),
        (&[], "no terminal to ask at"),
    ] {
        let said = bed.refusal(variables);
        assert!(said.contains(says) && !said.contains(&expired), "{said}");
    }
}

#[test]
fn of_a_workload() {
    let bed = Bed::new();
    let id = "spiffe://example.org/ns/build/sa/signer";
    bed.home.write("svid", bed.services.token(json!({ "sub": id })));
    bed.config("warrant.tokenFile", "~/svid");
    bed.commits(bed.command("git", &[]));
    assert!(bed.verifies("HEAD").contains(id));
    for (name, status) in [(id, 0), ("spiffe://example.org/ns/build/sa/other", 1)] {
        let text = format!(
            "version = 1\n[[principals.build.keys]]\nkeyless = \"{name}\"\nissuer = \"{}\"\n[authorities.own]\ntrusted-root = \"root.json\"\n",
            bed.services.issuer()
        );
        bed.home.write("policy.toml", text);
        let policy = bed.home.join("policy.toml");
        let done = run(&mut bed.command(OURS, &["verify", "--policy", policy.to_str().unwrap(), "--no-walk", "HEAD"]), b"");
        assert_eq!(done.status, Some(status), "{done:?}");
    }
}
