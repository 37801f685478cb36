//! Which services sign: what is named goes before a signing configuration, and that before what is built in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "support/sigstore.rs"]
mod sigstore;
#[path = "support/tuf.rs"]
mod tuf;

use common::{Home, run};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sigstore::{Key, Leaf, Signature, Sigstore};
use tuf::{DAY, Mirror, moment};

/// `{}` and claims that end in the year 2096; nobody verifies them before a service does.
const TOKEN: &str = "e30.eyJleHAiOiA0MDAwMDAwMDAwfQ.x";
const PAYLOAD: &[u8] = b"tree 0\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nm\n";

fn service(url: &str, version: u32, days: (i64, i64), operator: &str) -> Value {
    let span = json!({"start": moment(days.0 * DAY), "end": moment(days.1 * DAY)});
    json!({"url": url, "majorApiVersion": version, "validFor": span, "operator": operator})
}

#[test]
fn which_are_asked() {
    let home = Home::new();
    home.git("", &["init", "-q", "r"]);
    // each answers that it knows nothing of what it is asked, which says who was asked
    let [listed, ended, ours, variables, gitsigns] = std::array::from_fn(|_| Mirror::start().url);
    let now = (-1, 1);
    let config = |logs: Value, number: Value, timestamps: Value| {
        json!({"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service(&ended, 1, (-9, -1), "o"), service(&listed, 1, now, "o"), service(&ours, 2, now, "o")],
            "oidcUrls": [service(&listed, 1, now, "o")], "rekorTlogUrls": logs, "tsaUrls": timestamps,
            "rekorTlogConfig": number, "tsaConfig": {"selector": "ANY"}})
    };
    let (v1, v2, any) = (service(&listed, 1, now, "o"), service(&listed, 2, now, "o"), json!({"selector": "ANY"}));
    let other = service(&listed, 2, now, "another");
    let stamps = json!([v1]);
    let both = config(json!([v2, v1]), any.clone(), stamps.clone());
    let mut nobody = both.clone();
    nobody["caUrls"] = json!([service(&ended, 1, (-9, -1), "o")]);
    let at = |url: &str| format!("Fulcio at {url}");
    let lacks = |what: &str| format!("the signing configuration ../config.json has no {what} that holds now");
    let named = ("warrant.signingConfig", "../config.json");
    type Settings<'a> = &'a [(&'a str, &'a str)];
    let twice = config(json!([v1, v2, other]), json!({"selector": "ALL"}), stamps.clone());
    let cases: [(&Value, Settings<'_>, Settings<'_>, String); 18] = [
        (&twice, &[named], &[], at(&listed)), // how many of the second there are is nobody's concern
        (&both, &[named], &[], at(&listed)),
        (&both, &[named, ("warrant.rekorVersion", "2")], &[], at(&listed)),
        (&both, &[named, ("gitsign.fulcio", &gitsigns)], &[], at(&gitsigns)),
        (&both, &[named, ("gitsign.fulcio", &gitsigns)], &[("GITSIGN_FULCIO_URL", &variables)], at(&variables)),
        (&both, &[named, ("warrant.fulcio", &ours)], &[("GITSIGN_FULCIO_URL", &variables)], at(&ours)),
        (&nobody, &[named], &[], lacks("certificate authority")),
        (&nobody, &[named, ("warrant.fulcio", &ours)], &[], at(&ours)),
        (
            &config(json!([v1]), any.clone(), stamps.clone()),
            &[named, ("warrant.rekorVersion", "2")],
            &[],
            lacks("Rekor of version 2"),
        ),
        (
            &config(json!([v2]), any.clone(), stamps.clone()),
            &[named, ("warrant.rekorVersion", "1")],
            &[],
            lacks("Rekor of version 1"),
        ),
        (&config(json!([v2]), any.clone(), stamps.clone()), &[named], &[], at(&listed)), // the second, where there is no first
        (&config(json!([v2]), any.clone(), json!([])), &[named], &[], lacks("timestamp authority")),
        (&config(json!([v2]), any.clone(), json!([])), &[named, ("warrant.tsa", &ours)], &[], at(&listed)),
        (
            &config(json!([v2, other]), json!({"selector": "ALL"}), stamps),
            &[named],
            &[],
            "the signing configuration ../config.json: it asks for 2 of its logs".to_owned(),
        ),
        (&json!({}), &[named], &[], "the signing configuration ../config.json: not a signing configuration".to_owned()),
        (&both, &[("warrant.signingConfig", "absent.json")], &[], "warrant.signingConfig: cannot read absent.json".to_owned()),
        (
            &both,
            &[("warrant.signingConfig", "tuf:http://localhost:1")],
            &[],
            "nothing was fetched from http://localhost:1; git warrant trust update --mirror http://localhost:1".to_owned(),
        ),
        (&both, &[("warrant.rekorVersion", "2")], &[], "git warrant trust update learns where it is".to_owned()),
    ];
    let ask = |config: &Value, settings: Settings<'_>, variables: Settings<'_>, says: &str| {
        home.write("config.json", config.to_string());
        let mut command = home.command(common::OURS);
        command.args(["--status-fd=2", "-bsau", "KEY"]).current_dir(home.join("r"));
        command.env("SIGSTORE_ID_TOKEN", TOKEN).envs(variables.iter().copied());
        command.env("GIT_CONFIG_COUNT", (settings.len() + 2).to_string());
        for (at, (name, value)) in settings.iter().chain(&[("gpg.format", "x509"), ("warrant.agent", "false")]).enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), name).env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        let done = run(&mut command, PAYLOAD);
        assert!(!done.ok() && done.stdout.is_empty(), "{settings:?}: {done:?}");
        assert!(done.stderr.contains(says), "{settings:?} {variables:?}: {says}: {done:?}");
        done.stderr
    };
    for (config, settings, variables, says) in cases {
        ask(config, settings, variables, &says);
    }
    // in the work tree a pull request would choose who signs, and for whom tokens are
    home.write("r/config.json", both.to_string());
    ask(&both, &[("warrant.signingConfig", "config.json")], &[], "config.json lies inside the work tree");
    home.write("r/root.json", Sigstore::new("x").trusted_root());
    ask(&both, &[named, ("warrant.trustedRoot", "root.json")], &[], "root.json lies inside the work tree");
    // nobody verifies what services of one's own answer, unless a root is named
    let unverified = "warning: no trusted root is named, so that nothing verifies what the services answer";
    ask(&both, &[named], &[], unverified);
    ask(&both, &[named], &[("SIGSTORE_REKOR_PUBLIC_KEY", "rekor.pub")], "SIGSTORE_REKOR_PUBLIC_KEY of gitsign's is not read here");
    ask(&both, &[named, ("gitsign.fulcioRoot", "ca.pem")], &[], "gitsign.fulcioRoot of gitsign's is not read here");
    let said = ask(&both, &[named, ("warrant.trustedRoot", "none")], &[], &at(&listed));
    assert!(!said.contains("no trusted root"), "{said}");
    // true and false in the words of git and of Go, by the name of what is wrong
    for word in ["True", "t", "1", "T", "FALSE", "f", "0", "yes", "off"] {
        ask(&both, &[named, ("gitsign.matchCommitter", word)], &[], &at(&listed));
    }
    ask(&both, &[named, ("gitsign.matchCommitter", "maybe")], &[], "gitsign.matchCommitter is `maybe`, which is neither");
    ask(&both, &[named], &[("GITSIGN_MATCH_COMMITTER", "maybe")], "GITSIGN_MATCH_COMMITTER is `maybe`, which is neither");
    ask(&both, &[named, ("warrant.refresh", "maybe")], &[], "warrant.refresh is `maybe`, which is neither");
    // what was fetched of the public instance counts where nothing at all is named
    let digest = hex::encode(&Sha256::digest("https://tuf-repo-cdn.sigstore.dev")[..16]);
    let folder = home.join(format!(".local/share/git-warrant/trust/{digest}"));
    std::fs::create_dir_all(&folder).unwrap();
    let state = |end: i64, config: &str, root: &str, mirror: &str| {
        let metadata = json!({"signed": {"version": 1, "expires": moment(end)}}).to_string();
        let lasting = json!({"signed": {"version": 1, "expires": moment(DAY)}}).to_string();
        let state = json!({"signing_config.v0.2.json": config, "trusted_root.json": root, "mirror": mirror, "root.json": lasting,
            "timestamp.json": metadata, "snapshot.json": lasting, "targets.json": lasting});
        std::fs::write(folder.join("state.json"), state.to_string()).unwrap();
    };
    let (public, root) = ("https://tuf-repo-cdn.sigstore.dev", Sigstore::new("x").trusted_root());
    state(DAY, &both.to_string(), &root, public);
    ask(&both, &[], &[], &at(&listed));
    ask(&both, &[("warrant.rekorVersion", "2")], &[], &at(&listed));
    ask(&both, &[("warrant.fulcio", &ours)], &[], &at(&ours));
    let none = ("warrant.signingConfig", "none");
    ask(&both, &[none, ("warrant.rekorVersion", "2")], &[], "git warrant trust update learns where it is");
    ask(&both, &[("warrant.rekor", &ours), ("warrant.rekorVersion", "2")], &[], "git config warrant.tsa URL");
    // nobody asked for it, so that nobody hangs on it where it cannot be used; who names it is not sent elsewhere
    let ends = json!({"mediaType": both["mediaType"], "rekorTlogUrls": [service(&listed, 1, (-9, -1), "o")]}).to_string();
    let both = both.to_string();
    for (end, config, root, mirror, why) in [
        (-9, both.as_str(), root.as_str(), public, "held until"),
        (DAY, "{", &root, public, "the signing configuration tuf:public-good: not a signing configuration"),
        (DAY, &ends, &root, public, "the signing configuration tuf:public-good has no Rekor"),
        (DAY, &both, "{}", public, "the trusted root tuf:public-good"),
        (DAY, &both, &root, "https://elsewhere.example", "is of https://elsewhere.example"),
    ] {
        state(end, config, root, mirror);
        let nowhere = ("HTTPS_PROXY", "http://127.0.0.1:1");
        let unused = "warning: what was fetched of Sigstore's public instance is not used, but what is built in: ";
        for says in [why, unused, "Fulcio at https://fulcio.sigstore.dev"] {
            ask(&Value::Null, &[], &[nowhere], says);
        }
        ask(&Value::Null, &[("warrant.rekorVersion", "2")], &[], why);
        if root != "{}" {
            ask(&Value::Null, &[("warrant.signingConfig", "tuf:public-good")], &[nowhere], why);
        }
    }
}

/// git shows as much of a signature where the public services are named as where they are not.
#[test]
fn the_public_instance_by_its_name() {
    const BEGIN: i64 = 1_750_000_000;
    let (home, sigstore, key) = (Home::new(), Sigstore::new("x"), Key::p256());
    let certificate = sigstore.issue(&Leaf::email("alice@example.com", BEGIN), &key);
    let signature = Signature::new(&key, &certificate, PAYLOAD, BEGIN + 1);
    let (signature, payload) = (home.write("signature", signature.armored()), home.write("payload", PAYLOAD));
    let said = |config: &str| {
        let mut command = home.command(common::OURS);
        // where gitsign reads whom it trusts
        command.env("GITSIGN_FULCIO_ROOT", "ca.pem").env("SIGSTORE_REKOR_PUBLIC_KEY", "rekor.pub");
        command.env("GIT_CONFIG_COUNT", "2").env("GIT_CONFIG_KEY_0", "gpg.format").env("GIT_CONFIG_VALUE_0", "x509");
        command.env("GIT_CONFIG_KEY_1", "warrant.signingConfig").env("GIT_CONFIG_VALUE_1", config);
        run(command.args(["--status-fd=1", "--verify"]).args([&signature, &payload]).current_dir(home.join("r")), b"").stderr
    };
    home.git("", &["init", "-q", "r"]);
    for config in ["none", "tuf:public-good", "tuf:https://tuf-repo-cdn.sigstore.dev/"] {
        assert!(said(config).contains("public-good: no authority of the trusted root signed it"), "{config}: {}", said(config));
    }
    let words =
        ["no trusted root is named; git config warrant.trustedRoot", "GITSIGN_FULCIO_ROOT, SIGSTORE_REKOR_PUBLIC_KEY of gitsign's"];
    assert!(words.iter().all(|word| said("tuf:staging").contains(word)), "{}", said("tuf:staging"));
}
