//! Where each row of the table of attacks is tested: a row that is listed here has these tests, and no test goes away unnoticed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A row, what the attack is, and its tests as `FILE NAME`.
const ROWS: &[(u8, &str, &[&str])] = &[
    (
        1,
        "two readings of one object",
        &[
            "tests/objects.rs commits_are_split_as_git_splits_them",
            "tests/objects.rs tags_are_split_as_git_splits_them",
            "tests/objects.rs mergetags_are_unfolded_as_git_unfolds_them",
            "tests/corpus.rs faults_of_real_objects_are_reviewed",
        ],
    ),
    (
        2,
        "the same content under another id",
        &[
            "tests/mutants.rs every_keyless_edit_is_refused_or_noted",
            "tests/mutants.rs no_edit_by_chance_is_clean",
            "tests/mutants.rs no_edit_of_a_tag_by_chance_is_clean",
            "tests/mutants.rs keyless_edits_of_tags",
            "tests/openpgp.rs what_is_written_otherwise_is_noted_or_refused",
        ],
    ),
    (3, "more than one signature", &["tests/threats_openpgp.rs row_03_two_signatures_are_none"]),
    (4, "status lines that are forged", &["tests/threats_openpgp.rs row_04_a_user_id_forges_no_status_line"]),
    (
        5,
        "failing open",
        &[
            "tests/threats.rs row_05_a_report_that_cannot_be_written_is_no_acceptance",
            "tests/threats.rs row_05_what_cannot_be_read_is_no_policy",
            "tests/threats.rs row_05_a_hook_without_its_input_or_its_voice_refuses",
            "tests/threats.rs row_05_nothing_judged_is_no_acceptance",
        ],
    ),
    (
        8,
        "lines of allowed_signers that let in more than was meant",
        &["tests/threats.rs row_08_a_key_speaks_for_those_whom_its_line_names"],
    ),
    (
        9,
        "dates that the signer chose",
        &[
            "tests/verify.rs a_key_that_has_ended_is_claimed_only_unless_something_settles_it",
            "tests/hook.rs what_stands_by_its_claimed_time_alone_is_refused_until_it_is_settled",
            "tests/toml.rs a_retired_key_stands_where_it_is_settled_and_a_compromised_one_where_it_was_audited",
        ],
    ),
    (
        10,
        "tokens that were not touched",
        &[
            "tests/threats/tokens.rs row_10_a_signature_without_a_touch_is_reported",
            "tests/toml.rs touch_and_pin_are_asked_by_the_policy_or_by_an_option",
        ],
    ),
    (
        11,
        "agents that lie",
        &[
            "tests/ssh_keygen/agents.rs lies_when_signing_leave_nothing",
            "tests/ssh_keygen/agents.rs lies_when_listing_leave_nothing_and_the_file_signs",
            "tests/ssh_keygen/agents.rs ten_seconds_for_listing_however_it_drips",
        ],
    ),
    (
        12,
        "keyless: parts of two, logs and authorities that lie",
        &[
            "tests/x509.rs parts_of_two_good_ones_are_no_third",
            "tests/x509.rs a_log_that_lies",
            "tests/x509.rs a_timestamp_authority_that_lies",
            "tests/x509.rs trusted_roots_have_their_time",
            "tests/x509.rs what_a_certificate_says_and_does_not",
            "tests/online.rs what_a_log_may_say_besides_proves_nothing",
            "tests/tuf.rs thresholds_count_keys",
            "tests/tuf.rs rollback_of_each_role",
            "tests/smime_chains.rs keyless_and_mail_certificates_are_not_each_other",
            "tests/smime_chains.rs another_authority_in_the_middle_is_not_gone_around",
        ],
    ),
    (
        14,
        "a repository that chooses its judge",
        &[
            "tests/threats.rs row_14_no_program_is_run_and_no_network_is_used",
            "tests/threats.rs row_14_a_pull_request_does_not_bring_its_judge",
            "tests/edges_io.rs no_link_of_the_tree_leads_to_a_judge",
        ],
    ),
    (
        15,
        "a repository of somebody else",
        &[
            "tests/threats.rs row_15_a_repository_of_another_user_is_read_only_where_that_is_allowed",
            "tests/verify/place.rs a_bare_repository_is_found_unless_the_reader_wants_it_named",
        ],
    ),
    (
        16,
        "another graph than that of the objects",
        &[
            "tests/threats.rs row_16_replace_refs_grafts_and_caches_change_no_byte",
            "tests/threats.rs row_16_a_graft_does_not_widen_what_a_range_leaves_out",
            "tests/verify/place.rs a_shallow_edge_matters_where_it_was_asked_about",
        ],
    ),
    (
        17,
        "ways around the hook",
        &[
            "tests/threats.rs row_17_what_lies_on_another_ref_is_judged_again",
            "tests/hook.rs that_another_ref_has_a_commit_proves_nothing",
            "tests/hook.rs refs_beside_branches_and_tags",
            "tests/hook/pushers.rs fifty_push_at_once_and_a_tenth_of_them_lies",
        ],
    ),
    (
        19,
        "objects that are not what their id says",
        &[
            "tests/threats/bounds.rs row_19_a_loose_object_with_other_bytes_is_refused",
            "tests/threats/bounds.rs row_19_a_packed_object_with_other_bytes_is_refused",
            "tests/threats/bounds.rs row_19_libgit2_is_the_vendored_one",
        ],
    ),
    (
        20,
        "names that are more than text",
        &[
            "tests/threats/names.rs row_20_no_name_reaches_the_terminal_as_it_is",
            "tests/threats/names.rs row_20_nor_do_names_of_refs_files_and_arguments",
        ],
    ),
    (
        21,
        "names that move, links in place of files",
        &[
            "tests/threats/places.rs row_21_a_ref_that_moves_while_it_is_judged_is_judged_where_it_was",
            "tests/threats/places.rs row_21_a_link_or_a_folder_in_a_tree_is_no_policy",
            "tests/hook/policy.rs a_file_that_others_can_change_is_no_policy",
            "tests/hook/policy.rs a_policy_on_a_branch_counts_as_it_was_before_the_push",
        ],
    ),
    (
        22,
        "objects elsewhere, repositories inside others",
        &[
            "tests/threats/places.rs row_22_objects_of_alternates_are_read_and_hashed_again",
            "tests/threats/places.rs row_22_a_submodule_is_a_boundary",
        ],
    ),
    (
        23,
        "objects that want all the memory there is",
        &[
            "tests/threats/bounds.rs row_23_objects_beyond_the_bounds_end_with_a_clear_code",
            "tests/threats/bounds.rs row_23_a_bomb_is_not_unpacked",
            "tests/threats/bounds.rs row_23_chains_of_tags_end",
        ],
    ),
    (24, "the library in C", &["tests/threats/supply.rs row_24_libgit2_hands_over_bytes_and_speaks_to_no_network"]),
    (26, "timing", &["tests/threats/supply.rs row_26_nothing_that_leaks_by_its_timing_touches_a_private_key"]),
];

#[test]
fn every_row_has_the_tests_that_are_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (row, what, tests) in ROWS {
        assert!(!tests.is_empty(), "{row}: {what}");
        for test in *tests {
            let (file, name) = test.split_once(' ').unwrap();
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            if !source.contains(&format!("#[test]\nfn {name}() {{")) {
                missing.push(format!("{row} ({what}): {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    let numbers: BTreeSet<u8> = ROWS.iter().map(|(row, _, _)| *row).collect();
    assert_eq!(numbers.len(), ROWS.len(), "a row stands here once");
}
