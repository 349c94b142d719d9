//! Snapshots against the kernel: one conformance suite for all implementations, every rung of the mount ladder, and
//! random stacks compared with a model in memory. Needs root. Mounts are looked at through their fds and attached
//! nowhere.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "snapshots/bench.rs"]
mod bench;
#[path = "snapshots/contract.rs"]
mod contract;
#[path = "snapshots/ladder.rs"]
mod ladder;
#[path = "snapshots/model.rs"]
mod model;
#[path = "snapshots/random.rs"]
mod random;
#[path = "snapshots/trees.rs"]
mod trees;

/// Runs each check for each implementation, as a test of its own.
macro_rules! conformance {
    ($($module:ident :: $check:ident),* $(,)?) => {
        mod overlay {
            $(#[test] fn $check() { crate::$module::$check(&crate::bench::Bench::overlay(stringify!($check))); })*
        }
        mod copy {
            $(#[test] fn $check() { crate::$module::$check(&crate::bench::Bench::copy(stringify!($check))); })*
        }
    };
}

conformance! {
    trees::no_layer,
    trees::one_layer,
    trees::two_layers,
    trees::a_hundred_and_twenty_eight_layers,
    trees::whiteouts_delete,
    trees::whiteouts_in_the_only_layer_are_not_shown,
    trees::opaque_directories_hide_what_is_below,
    trees::an_opaque_root_hides_all_lower_layers,
    trees::a_directory_is_replaced_by_a_file_and_back,
    trees::deleted_and_made_again_starts_empty,
    trees::hard_links_hold_within_a_layer,
    trees::symbolic_links_stay_as_they_are,
    trees::devices_pipes_and_sockets,
    trees::extended_attributes,
    trees::access_lists_are_not_handed_on,
    trees::merged_directories_look_like_the_topmost,
    trees::the_root_looks_like_the_topmost,
    trees::deep_trees,
    trees::sparse_files_stay_sparse,
    contract::a_view_is_read_only,
    contract::writes_reach_neither_parents_nor_siblings,
    contract::what_is_committed_can_be_stacked_on,
    contract::commit_keeps_deletions,
    contract::commit_goes_to_no_place_in_use,
    contract::discard_leaves_nothing,
    contract::a_dropped_active_is_resumed,
    contract::the_second_mount_is_refused,
    contract::a_claim_is_handed_over,
    contract::ids_are_checked,
    contract::a_failed_prepare_leaves_nothing,
    random::random_stacks,
}
