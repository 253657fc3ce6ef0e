//! Behaviours whose times the contract sets in tens of seconds. They wait rather than work, so they do it together.

use crate::setup::all_at_once;
use crate::{bad_answers, generate, keys, lagging_upstream, lost_streams, proxy_key_trouble, start_order, usage};

#[test]
fn all_of_them() {
    all_at_once(&[
        ("bad_answers::flag_lists_survive", bad_answers::flag_lists_survive),
        ("bad_answers::segment_lists_survive", bad_answers::segment_lists_survive),
        ("bad_answers::items_come_in_the_end", bad_answers::items_come_in_the_end),
        ("bad_answers::an_empty_list_needs_a_second_look", bad_answers::an_empty_list_needs_a_second_look),
        (
            "bad_answers::a_list_empty_for_a_moment_is_not_believed",
            bad_answers::a_list_empty_for_a_moment_is_not_believed,
        ),
        ("generate::a_refused_key_fails", generate::a_refused_key_fails),
        ("generate::a_failing_flag_list_fails", generate::a_failing_flag_list_fails),
        ("generate::a_hanging_segment_list_fails", generate::a_hanging_segment_list_fails),
        ("generate::an_unreadable_key_list_fails", generate::an_unreadable_key_list_fails),
        ("generate::unreadable_targets_fail", generate::unreadable_targets_fail),
        ("generate::a_failing_proxy_configuration_fails", generate::a_failing_proxy_configuration_fails),
        ("generate::upstream_away_fails", generate::upstream_away_fails),
        (
            "keys::nobody_is_refused_while_the_list_cannot_be_read",
            keys::nobody_is_refused_while_the_list_cannot_be_read,
        ),
        ("keys::nobody_is_refused_by_what_was_stored", keys::nobody_is_refused_by_what_was_stored),
        (
            "proxy_key_trouble::nobody_is_refused_while_upstream_is_away",
            proxy_key_trouble::nobody_is_refused_while_upstream_is_away,
        ),
        ("keys::a_revoked_key_goes_after_a_second_look", keys::a_revoked_key_goes_after_a_second_look),
        ("keys::a_key_missing_for_a_moment_stays_good", keys::a_key_missing_for_a_moment_stays_good),
        (
            "lagging_upstream::the_environment_is_fetched_in_the_end",
            lagging_upstream::the_environment_is_fetched_in_the_end,
        ),
        (
            "lagging_upstream::a_message_about_what_is_gone_is_given_up",
            lagging_upstream::a_message_about_what_is_gone_is_given_up,
        ),
        ("lost_streams::a_silent_stream_is_replaced", lost_streams::a_silent_stream_is_replaced),
        ("lost_streams::a_half_open_stream_is_replaced", lost_streams::a_half_open_stream_is_replaced),
        ("lost_streams::heartbeats_keep_a_stream_alive", lost_streams::heartbeats_keep_a_stream_alive),
        ("start_order::unknown_is_never_a_refusal", start_order::unknown_is_never_a_refusal),
        (
            "start_order::a_hanging_upstream_holds_nobody_for_long",
            start_order::a_hanging_upstream_holds_nobody_for_long,
        ),
        ("usage::idle_connections_are_not_used_again", usage::idle_connections_are_not_used_again),
    ]);
}
