//! Where the policy comes from.

use crate::world::{World, done, says};

#[test]
fn no_policy_is_an_error_that_names_the_ways_and_the_keys() {
    let world = World::new();
    world.signed("r", 2);
    let ran = done(&mut world.warrant("r", &["verify"]));
    says(
        &ran,
        2,
        &["no policy found", "--policy FILE", "--policy REV:PATH", "gpg.ssh.allowedSignersFile", "warrant.policy", "unconfirmed"],
    );
    let key = world.home.public("alice");
    assert!(ran.stderr.contains(&format!("#alice@example.com namespaces=\"git\" {key} unconfirmed, 2 seen\n")), "{}", ran.stderr);
    let lines = ran.stderr.lines().filter(|line| line.contains(&key));
    assert!(lines.clone().all(|line| line.starts_with('#')) && lines.count() == 1, "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    // taken over as it is, such a file lists nobody
    world.home.write("pasted", ran.stderr.split_once("unconfirmed: ").unwrap().1.split_once('\n').unwrap().1);
    let pasted = world.home.join("pasted").to_str().unwrap().to_owned();
    says(&world.verify_by("r", &pasted, &[]), 2, &["no line that can be used"]);
}

#[test]
fn the_first_source_that_is_named_is_used_and_never_fallen_through() {
    let world = World::new();
    world.signed("r", 1);
    let good = world.policy();
    let bad = world.signers("mallory-only", &["mallory"]).to_str().unwrap().to_owned();
    let absent = world.home.join("absent").to_str().unwrap().to_owned();
    let ran = |args: &[&str]| done(&mut world.warrant("r", &[&["verify"], args].concat()));
    world.config("gpg.ssh.allowedSignersFile", &good);
    assert_eq!(ran(&[]).status, Some(0));
    world.config("warrant.policy", &bad);
    assert_eq!(ran(&[]).status, Some(1));
    assert_eq!(ran(&["--policy", &good]).status, Some(0));
    world.config("warrant.policy", &absent);
    says(&ran(&[]), 2, &["warrant.policy", &absent, "cannot read"]);
    world.config("warrant.policy", "");
    says(&ran(&[]), 2, &["warrant.policy", "empty"]);
    says(&ran(&["--policy", &absent]), 2, &["--policy", &absent]);
    world.config("warrant.policy", "~/signers");
    assert_eq!(ran(&[]).status, Some(0));
    world.config("warrant.policy", "~root/signers");
    says(&ran(&[]), 2, &["~root/signers", "~/"]);
}

#[test]
fn files_that_are_no_policy_are_refused_by_name() {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("policy.toml", "version = 1\n");
    world.home.write("nobody", "# nobody yet\n\n");
    world.home.write("skipped", format!("alice@example.com wat=\"1\" {}\n", world.home.public("alice")));
    std::fs::create_dir(world.home.join("folder")).unwrap();
    for (name, words) in [
        ("policy.toml", &["policy.toml:1:1", "nobody could sign"][..]),
        ("nobody", &["no line that can be used"]),
        ("skipped", &["no line that can be used", ":1: "]),
        ("folder", &["not a regular file"]),
        ("absent", &["cannot read"]),
    ] {
        let path = world.home.join(name).to_str().unwrap().to_owned();
        let ran = world.verify_by("r", &path, &[]);
        says(&ran, 2, words);
        assert!(ran.stderr.contains(&path), "{}", ran.stderr);
    }
    // a line that is skipped beside one that is not: said
    world.home.write("partly", format!("a wat=\"1\" x\n{}", world.line("alice", "valid-after=\"20200101\"")));
    let ran = world.verify_by("r", world.home.join("partly").to_str().unwrap(), &[]);
    says(&ran, 0, &["partly:1: ", "skipped", "partly:2: ", "UTC"]);
}

#[test]
fn a_policy_of_the_work_tree_is_no_judge_of_that_tree() {
    let world = World::new();
    world.repo("r", &[]);
    world.home.write("r/allowed_signers", world.line("alice", ""));
    let trusted = world.commit("r", "alice's policy", &["-S"]);
    // the pull request: Mallory's key, and a commit by her
    world.home.write("r/allowed_signers", world.line("alice", "") + &world.line("mallory", ""));
    let hers = world.commit_as("r", "let me in", &world.person("mallory"), &["-S"]);
    for ran in [
        world.verify_by("r", "allowed_signers", &[]),
        {
            world.home.git("r", &["config", "gpg.ssh.allowedSignersFile", "allowed_signers"]);
            done(&mut world.warrant("r", &["verify"]))
        },
        {
            std::os::unix::fs::symlink(world.home.join("r/allowed_signers"), world.home.join("link")).unwrap();
            world.verify_by("r", world.home.join("link").to_str().unwrap(), &[])
        },
        {
            // by its own name inside, by where it leads outside: the tree still chose
            std::os::unix::fs::symlink(world.home.join("signers"), world.home.join("r/out")).unwrap();
            world.verify_by("r", "out", &[])
        },
    ] {
        says(&ran, 2, &["inside the work tree", "--policy REV:"]);
    }
    let range = format!("{trusted}..HEAD");
    let judged = world.judged_by("r", "allowed_signers", &[&range]);
    assert_eq!((judged.status, judged.of_object(&hers)), (Some(1), "key-unlisted".to_owned()));
    assert_eq!(judged.summary["policy"], format!("{trusted}:allowed_signers"));
    let configured = done(&mut world.warrant("r", &["verify", &range]));
    assert_eq!(configured.status, Some(1), "{configured:?}");
    // ranges that start elsewhere have no common judge, and would hide commits from each other
    for others in [["HEAD..HEAD", "HEAD..HEAD"], ["HEAD", "HEAD"]] {
        let ran = world.verify_by("r", "allowed_signers", &[&range, others[0], others[1]]);
        says(&ran, 2, &["hide commits from each other"]);
    }
    // the revision that one trusts, named
    assert_eq!(world.judged_by("r", &format!("{trusted}:allowed_signers"), &[]).words(), ["key-unlisted", "accept"]);
    assert_eq!(world.judged_by("r", "refs/heads/main:allowed_signers", &[]).words(), ["accept", "accept"]);
}

#[test]
fn a_policy_in_a_tree_is_a_regular_file_of_a_revision_that_is_there() {
    let world = World::new();
    world.repo("r", &[]);
    std::fs::create_dir(world.home.join("r/keys")).unwrap();
    world.home.write("r/keys/allowed_signers", world.line("alice", ""));
    std::os::unix::fs::symlink("keys/allowed_signers", world.home.join("r/link")).unwrap();
    std::os::unix::fs::symlink("keys", world.home.join("r/linked")).unwrap();
    world.home.write("r/p.toml", "version = 1\n");
    world.commit("r", "policy", &["-S"]);
    let at = |path: &str| world.verify_by("r", &format!("refs/heads/main:{path}"), &[]);
    assert_eq!(at("keys/allowed_signers").status, Some(0));
    for (path, word) in [
        ("link", "not a regular file"),
        ("linked/allowed_signers", "not in the tree"),
        ("keys", "not a regular file"),
        ("absent", "not in the tree"),
        ("p.toml", "nobody could sign"),
        ("", ""),
    ] {
        says(&at(path), 2, &[word, &format!("refs/heads/main:{path}")]);
    }
    says(&world.verify_by("r", "refs/heads/absent:keys/allowed_signers", &[]), 2, &["refs/heads/absent"]);
    // exactly that ref, not one whose name ends like it
    world.home.git("r", &["update-ref", "refs/tags/refs/heads/absent", "HEAD"]);
    world.home.git("r", &["update-ref", "refs/heads/refs/heads/absent", "HEAD"]);
    says(&world.verify_by("r", "refs/heads/absent:keys/allowed_signers", &[]), 2, &["refs/heads/absent"]);
    // what begins otherwise is a file
    says(&world.verify_by("r", "main:keys/allowed_signers", &[]), 2, &["cannot read"]);
}

#[test]
fn settings_of_git_dash_c_and_of_the_environment_count() {
    let world = World::new();
    world.signed("r", 1);
    let setting = format!("gpg.ssh.allowedSignersFile={}", world.policy());
    assert_eq!(done(&mut world.installed("r", &["warrant", "verify"])).status, Some(2));
    assert_eq!(done(&mut world.installed("r", &["-c", &setting, "warrant", "verify"])).status, Some(0));
    let mut command = world.warrant("r", &["verify"]);
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "GPG.ssh.AllowedSignersFile")
        .env("GIT_CONFIG_VALUE_0", world.policy());
    assert_eq!(done(&mut command).status, Some(0));
    command.env_remove("GIT_CONFIG_VALUE_0");
    says(&done(&mut command), 2, &["GIT_CONFIG_VALUE_0"]);
    says(&done(world.warrant("r", &["verify"]).env("GIT_CONFIG_PARAMETERS", "'a.b")), 2, &["GIT_CONFIG_PARAMETERS"]);
    // the environment goes before the files
    world.config("gpg.ssh.allowedSignersFile", world.signers("other", &["mallory"]).to_str().unwrap());
    assert_eq!(done(&mut world.warrant("r", &["verify"])).status, Some(1));
    assert_eq!(done(&mut world.installed("r", &["-c", &setting, "warrant", "verify"])).status, Some(0));
}

#[test]
fn settings_of_later_versions_are_never_passed_over() {
    let world = World::new();
    world.signed("r", 1);
    for name in ["warrant.root", "warrant.deny", "warrant.policyRef", "warrant.serial"] {
        world.home.git("r", &["config", name, "1"]);
        for args in
            [&["verify", "--policy", &world.policy()][..], &["show", "HEAD"], &["hook", "pre-receive", "--policy", &world.policy()]]
        {
            says(
                &done(&mut world.warrant("r", args)),
                2,
                &[name, "not in this version", &format!("git config --unset-all {name}")],
            );
        }
        world.home.git("r", &["config", "--unset", name]);
        let given =
            done(&mut world.installed("r", &["-c", &format!("{name}=1"), "warrant", "verify", "--policy", &world.policy()]));
        says(&given, 2, &[name]);
    }
}
