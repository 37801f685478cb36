//! Histories that sequoia-git judged, commit by commit, judged here by their newest `openpgp-policy.toml` (that of the commit that
//! they lead to), imported: each difference has a row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

#[path = "support/judging.rs"]
mod judging;
#[path = "support/corpus.rs"]
mod support;

use judging::Judging;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use support::{Item, git, output, shared, table};

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

/// What `policy import` makes of the file of a commit, as the user does it.
fn imported(item: &Item, commit: &str) -> Judging {
    let id = output(git(&item.path()).args(["rev-parse", commit]));
    let name = format!("{}:openpgp-policy.toml", String::from_utf8(id).unwrap().trim());
    let mut command = Command::new(env!("CARGO_BIN_EXE_git-warrant"));
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.args(["policy", "import", &name]).current_dir(item.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Judging::by(&output.stdout)
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
        let mut policies: BTreeMap<&str, Judging> = BTreeMap::new();
        for (((target, id), answers), (_, raw)) in said.iter().zip(item.read(&ids)) {
            let judging = policies.entry(target).or_insert_with(|| imported(&item, target));
            let judgement = judging.judge(id, &raw, false);
            let (now, then) = (judgement.verdict.code().unwrap_or("accept"), judging.word(id, &raw, true));
            let signer = judgement.evidence.and_then(|it| it.key.binding.as_ref().map(|it| it.certificate.clone()));
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
