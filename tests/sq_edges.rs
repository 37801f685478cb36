//! Histories that sequoia-git judged, commit by commit, judged here by their newest `openpgp-policy.toml` (that of the commit that
//! they lead to), imported: each difference has a row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

#[path = "support/corpus.rs"]
mod support;

use git_warrant::judge::Judge;
use git_warrant::object::{HashAlgorithm, ObjectId};
use git_warrant::policy::ancestry::Ancestry;
use git_warrant::policy::file::{Credential, PolicyFile};
use git_warrant::policy::revocation::RevokedKeys;
use git_warrant::policy::{Demands, Parts, Policy};
use git_warrant::signature::Verifier;
use git_warrant::signature::openpgp::{Certificates, OpenPgpVerifier};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::process::Command;
use support::{Item, git, output, shared, table};

/// 2026-11-22, the day of the oracles.
const NOW: i64 = 1_795_305_600;
const ITEMS: [&str; 3] = ["sq-demo", "sq-unit-tests", "sq-rpm-sequoia"];

/// Where we and sequoia-git differ: the item, what it says, what we say now, and if the commit is settled, of how many commits on
/// the way to how many targets (counted once for each), and the rule.
const DIFFERENCES: &[(&str, &str, &str, &str, usize, &str)] = &[
    ("sq-demo", "good", "claimed-only", "accept", 17, ENDED),
    ("sq-rpm-sequoia", "good", "claimed-only", "accept", 143, ENDED),
    (
        "sq-unit-tests",
        "malformed number",
        "certificate-unknown",
        "certificate-unknown",
        1,
        "a merge by GitHub: its numbers have leading zero bits, at which Sequoia ends; here they are read, and the policy has no such certificate",
    ),
];
const ENDED: &str = "the certificate, as the policy has it, has ended since: only the commit's own date puts it before the end";
/// What means the same.
const SAME: [(&str, &str); 3] = [("good", "accept"), ("no certificate", "certificate-unknown"), ("unsigned", "unsigned")];

/// A policy, and the certificates in it.
struct Imported {
    policy: Policy,
    certificates: Certificates,
}

impl Imported {
    /// `policy import` of the file of a commit, as the user does it.
    fn of(item: &Item, commit: &str) -> Self {
        let id = output(git(&item.path()).args(["rev-parse", commit]));
        let name = format!("{}:openpgp-policy.toml", String::from_utf8(id).unwrap().trim());
        let mut command = Command::new(env!("CARGO_BIN_EXE_git-warrant"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.args(["policy", "import", &name]).current_dir(item.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let file = PolicyFile::parse(&output.stdout).unwrap();
        let mut certificates = Certificates::default();
        for key in file.principals.iter().flat_map(|it| &it.keys) {
            let Credential::OpenPgp { certificate: Some(text), .. } = &key.credential else { panic!("{key:?}") };
            certificates.add(text.as_bytes()).unwrap();
        }
        let principals = file.principals.into_iter().map(|it| {
            let audited = it.keys.iter().map(|_| Ancestry::nothing()).collect();
            (it, audited)
        });
        let parts = Parts { principals: principals.collect(), authorities: Vec::new() };
        Self { policy: Policy::from_parts(parts, RevokedKeys::default(), Demands::default()), certificates }
    }

    /// The code of a commit, and the certificate that signed it, where one did.
    fn judge(&self, id: &str, raw: &[u8], settled: bool) -> (&'static str, Option<String>) {
        let id: ObjectId = id.parse().unwrap();
        let objects = if settled { HashSet::from([id]) } else { HashSet::new() };
        let settled = Ancestry { objects, complete: true };
        let verifier = OpenPgpVerifier::new(&self.certificates, NOW);
        let verifiers: [&dyn Verifier; 1] = [&verifier];
        let judge = Judge { verifiers: &verifiers, hash: HashAlgorithm::Sha1, policy: &self.policy, settled: &settled, now: NOW };
        let judgement = judge.commit(id, raw);
        let signer = judgement.evidence.as_ref().and_then(|it| it.key.binding.as_ref()).map(|it| it.certificate.clone());
        (judgement.verdict.code().unwrap_or("accept"), signer)
    }
}

#[test]
fn sequoia_git_and_we_differ_where_the_table_says() {
    let Some(corpus) = shared("corpus", "commits that sequoia-git judged", 300) else { return };
    let mut found: BTreeMap<(&str, String, &str, &str), usize> = BTreeMap::new();
    let mut same = BTreeMap::new();
    for name in ITEMS {
        let item = Item::unpack(&corpus, name);
        // what it said of a commit on the way to a target, by the policies of its parents, and by which certificate
        let mut said: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for row in table(&corpus.join(format!("oracle/sq/{name}.edges.tsv.xz"))) {
            said.entry((row[1].clone(), row[2].clone())).or_default().insert(answer(&row[4], &row[5]));
        }
        let ids: Vec<&str> = said.keys().map(|(_, id)| id.as_str()).collect();
        let mut policies: BTreeMap<&str, Imported> = BTreeMap::new();
        for (((target, id), answers), (_, raw)) in said.iter().zip(item.read(&ids)) {
            let imported = policies.entry(target).or_insert_with(|| Imported::of(&item, target));
            let (now, signer) = imported.judge(id, &raw, false);
            let (then, _) = imported.judge(id, &raw, true);
            let good: Vec<&str> = answers.iter().filter_map(|it| it.strip_prefix("Ok ")).collect();
            if let (Some(signer), [one]) = (&signer, &good[..]) {
                assert_eq!(signer, one, "{id}");
            }
            let words: BTreeSet<&str> = answers.iter().map(|it| if it.starts_with("Ok ") { "good" } else { it }).collect();
            let words = words.into_iter().filter(|word| *word != "not asked").collect::<Vec<_>>().join(", ");
            match SAME.iter().find(|(theirs, ours)| words == *theirs && now == *ours && then == *ours) {
                Some((theirs, _)) => *same.entry((name, *theirs)).or_insert(0) += 1,
                None => *found.entry((name, words, now, then)).or_insert(0) += 1,
            }
        }
    }
    for (class, n) in &same {
        println!("{class:?}: {n} alike");
    }
    let reviewed = DIFFERENCES.iter().map(|(item, theirs, now, then, n, _)| ((*item, (*theirs).to_owned(), *now, *then), *n));
    assert_eq!(found, reviewed.collect());
    let of = |item, words| same.get(&(item, words)).copied().unwrap_or_default();
    assert!(
        of("sq-unit-tests", "good") > 0 && of("sq-unit-tests", "unsigned") > 0 && of("sq-demo", "no certificate") > 0,
        "{same:?}"
    );
}

/// sequoia-git's answer in a few words; a good one with the certificate.
fn answer(result: &str, text: &str) -> String {
    match result {
        "Ok" => format!("Ok {}", text.rsplit_once('[').unwrap().1.trim_end_matches(']')),
        "None" => "not asked".to_owned(),
        _ if text.starts_with("Could not find a certificate") => "no certificate".to_owned(),
        _ if text.contains("is not signed") => "unsigned".to_owned(),
        _ if text.contains("Malformed MPI") => "malformed number".to_owned(),
        _ => panic!("{result} {text}"),
    }
}
