"""Every trap of Alertmanager's contract, and the tests that hold it. Those in this folder run against the real one.

A section is one of the design page on this contract: 1 payload, 2 delivery, 3 authentication, 5 API, 6 pitfalls. What
the real programs cannot be brought to do in seconds, or what is decided by us alone, is held by unit tests over
captured bodies (`tests/data/payloads`).
"""

from __future__ import annotations

from dataclasses import dataclass

HERE = "tests/alertmanager/"
PAYLOAD, SERVER = "tests/unit/receive/test_payload.py", "tests/unit/receive/test_server.py"
ACCEPT, INCIDENTS = "tests/contract/test_accept.py", "tests/contract/test_incidents.py"
RECONCILE = "tests/unit/alertmanager/test_reconcile.py"
DELIVERY, CONTENTS = HERE + "test_delivery.py", HERE + "test_contents.py"
REPLICAS, RESTARTS = HERE + "test_replicas.py", HERE + "test_restarts.py"
PROOF, DEATH = HERE + "test_authentication.py", HERE + "test_watchdog.py"
WATCHDOG, TARGETS = "tests/pipeline/test_watchdog.py", "tests/unit/target/test_payloads.py"

SECTIONS = ("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "3", "5", "6")


@dataclass(frozen=True, slots=True)
class Trap:
    section: str
    trap: str
    tests: tuple[str, ...]


def _trap(section: str, trap: str, *tests: str) -> Trap:
    """`tests` are FILE::FUNCTION."""
    return Trap(section, trap, tests)


TRAPS = (
    _trap(
        "1.1",
        "escapes, raw UTF-8, a trailing newline",
        CONTENTS + "::test_what_goes_over_the_wire_is_read_as_it_is_meant",
        PAYLOAD + "::test_unescapes_what_go_escapes",
    ),
    _trap("1.1", "other encodings and types", SERVER + "::test_other_encodings_and_types_are_415"),
    _trap(
        "1.2",
        "endsAt is the zero time while it fires; fractions; fingerprints",
        CONTENTS + "::test_what_goes_over_the_wire_is_read_as_it_is_meant",
        PAYLOAD + "::test_has_no_end_while_it_fires_or_where_none_is_given",
        PAYLOAD + "::test_reads_every_captured_body_whole",
    ),
    _trap(
        "1.2",
        "the receiver's name is quoted in webhooks and not in the API",
        PROOF + "::test_every_way_over_http",
        "tests/unit/test_authority.py::test_what_alertmanager_quotes_is_unquoted",
        RECONCILE + "::test_a_name_is_quoted_as_the_webhook_does_it",
    ),
    _trap("1.2", "new fields without a new version", PAYLOAD + "::test_tolerates_unknown_fields_everywhere"),
    _trap(
        "1.2",
        "payload templates and Grafana's format are another contract",
        PAYLOAD + "::test_refuses_a_body_that_is_not_version_4",
        SERVER + "::test_malformed_is_400_with_the_place",
    ),
    _trap("1.2", "fields that may be absent", PAYLOAD + "::test_what_alertmanager_may_leave_out_may_be_absent"),
    _trap(
        "1.3",
        "max_alerts cuts off, and always the same ones",
        CONTENTS + "::test_what_max_alerts_cuts_off_is_fetched_at_once",
        RECONCILE + "::test_after_a_body_that_was_cut_off_the_young_ones_are_fetched_too",
    ),
    _trap(
        "1.3",
        "a quiet alert is left out, and `status` lies",
        CONTENTS + "::test_a_quiet_alert_is_not_over_though_the_body_says_resolved",
    ),
    _trap("1.3", "groups of several alertnames", CONTENTS + "::test_alerts_of_one_body_are_each_their_own"),
    _trap(
        "1.3",
        "old resolved alerts come back; resolved without firing",
        CONTENTS + "::test_resolved_without_firing_begins_nothing_and_old_ones_that_come_back_are_repeats",
        ACCEPT + "::test_a_repeated_resolved_alert_is_a_repeat",
        ACCEPT + "::test_a_resolved_alert_that_never_fired_queues_nothing",
    ),
    _trap(
        "1.3",
        "firing alerts come back with each member and each repeat, byte-identical",
        DELIVERY + "::test_repeats_are_byte_identical_and_begin_nothing",
        ACCEPT + "::test_a_repeat_queues_nothing_when_the_first_is_finished",
    ),
    _trap(
        "2.1",
        "5xx, reset and a lost reply are retried inside the flush",
        DELIVERY + "::test_what_is_retried_inside_a_flush_begins_once",
        SERVER + "::test_a_store_that_cannot_commit_is_503",
        SERVER + "::test_draining_is_503_and_closes_the_connection",
    ),
    _trap("2.1", "connection refused", DELIVERY + "::test_where_nobody_listens_it_is_retried"),
    _trap(
        "2.1",
        "4xx, 429 too, is not retried but sent with every interval",
        DELIVERY + "::test_4xx_of_what_lies_between_is_not_retried_but_comes_with_each_interval",
    ),
    _trap(
        "2.1",
        "301 to 303 lose the alert",
        DELIVERY + "::test_302_loses_the_alert_and_reconciling_finds_it",
        SERVER + "::test_never_redirects",
    ),
    _trap("2.1", "307 and 308 repeat the POST", DELIVERY + "::test_307_is_a_post_again"),
    _trap(
        "2.1",
        "a hanging answer is cut at the deadline",
        DELIVERY + "::test_a_hanging_answer_is_cut_at_the_deadline_and_sent_again",
    ),
    _trap(
        "2.1",
        "what failed until it was resolved is never told; what was told is resolved after the outage",
        CONTENTS + "::test_what_never_succeeded_and_is_resolved_is_silent",
        CONTENTS + "::test_a_resolution_during_an_outage_is_kept_and_retried",
    ),
    _trap(
        "2.2",
        "the body is fixed when the flush starts: firing may be older than resolved",
        CONTENTS + "::test_an_old_body_that_comes_after_the_resolution_begins_nothing",
        ACCEPT + "::test_a_firing_repeat_of_a_resolved_episode_stays_resolved",
    ),
    _trap(
        "2.2",
        "the answer waits for the commit and for nothing else",
        SERVER + "::test_answers_only_after_the_alerts_are_admitted",
    ),
    _trap(
        "2.2",
        "repeat_interval is looked at when a group has its turn: what has to come in time needs both to be short",
        DEATH + "::test_the_route_that_is_made_brings_it_as_often_as_it_is_awaited",
        "tests/unit/test_watchdog.py::test_the_turns_that_fit_a_patience_do",
    ),
    _trap(
        "2.3",
        "flapping between two flushes: a new startsAt and no resolved",
        CONTENTS + "::test_flapping_between_two_flushes_is_another_episode_without_a_resolution",
    ),
    _trap(
        "2.3",
        "fired and resolved inside group_wait",
        CONTENTS + "::test_fired_and_resolved_inside_group_wait_is_never_told",
    ),
    _trap(
        "2.4",
        "a pair: fast, slower than the peer timeout, after an outage",
        REPLICAS + "::test_a_pair_that_gossips_begins_one_incident",
        ACCEPT + "::test_many_concurrent_bodies_with_the_same_alert_queue_one",
    ),
    _trap(
        "2.4",
        "replicas that do not gossip",
        REPLICAS + "::test_replicas_that_do_not_gossip_deliver_the_same_body_each",
    ),
    _trap(
        "2.4",
        "reload and SIGTERM during a request",
        RESTARTS + "::test_a_request_that_is_aborted_is_sent_again_and_is_a_repeat",
    ),
    _trap(
        "2.4",
        "SIGKILL with an old notification log, and an empty storage",
        RESTARTS + "::test_what_is_sent_again_after_a_crash_begins_nothing",
    ),
    _trap("2.4", "several routes and receivers to one URL", REPLICAS + "::test_two_routes_to_us_begin_one_incident"),
    _trap(
        "2.5",
        "false resolved: Prometheus died",
        DEATH + "::test_the_death_of_prometheus_ends_nothing",
        WATCHDOG + "::test_what_was_resolved_is_held_until_the_watchdog_confirms_it",
        WATCHDOG + "::test_people_stay_called_until_the_watchdog_confirms_that_it_is_over",
        "tests/unit/checks/test_alert_clear.py::test_the_rule_s_own_expression_is_evaluated",
    ),
    _trap(
        "2.5",
        "a false resolution is taken back: it fires on with its old startsAt",
        CONTENTS + "::test_a_resolution_that_is_taken_back_has_the_old_beginning",
        ACCEPT + "::test_what_fires_again_long_after_its_resolution_is_taken_up_again",
        RECONCILE + "::test_a_resolution_that_was_long_ago_is_taken_back_by_the_list",
    ),
    _trap(
        "2.5",
        "missing resolved: silenced at the resolution",
        CONTENTS + "::test_the_resolution_that_never_comes_is_told_by_the_list",
        RECONCILE + "::test_what_no_replica_lists_twice_is_over",
    ),
    _trap(
        "2.6",
        "the same fingerprint with a later startsAt after a restart",
        RESTARTS + "::test_a_later_beginning_after_a_restart_joins_the_open_incident",
        INCIDENTS + "::test_a_second_alert_of_the_target_joins_its_open_incident",
    ),
    _trap(
        "2.6",
        "replicas that saw another beginning",
        REPLICAS + "::test_replicas_that_saw_another_beginning_begin_no_second_incident",
    ),
    _trap(
        "2.7",
        "413, for as long as the group is that large",
        DELIVERY + "::test_a_body_that_is_too_large_is_refused_and_its_alerts_are_fetched",
        SERVER + "::test_a_body_above_the_limit_is_413",
    ),
    _trap("2.7", "a JSON error must not be 5xx", SERVER + "::test_malformed_is_400_with_the_place"),
    _trap(
        "2.7",
        "keep-alive above five minutes",
        DELIVERY + "::test_a_connection_is_kept_for_longer_than_alertmanager_keeps_it",
    ),
    _trap(
        "3",
        "basic, user and password in the URL, bearer, OAuth 2; other schemes and headers prove nothing",
        PROOF + "::test_every_way_over_http",
    ),
    _trap("3", "client certificates", PROOF + "::test_a_client_certificate_and_a_token_over_tls"),
    _trap(
        "5",
        "reconcile: fires for us and never came",
        RECONCILE + "::test_what_fires_and_never_came_is_taken_as_the_webhook_would_have_brought_it",
        DELIVERY + "::test_302_loses_the_alert_and_reconciling_finds_it",
    ),
    _trap(
        "5",
        "the API cuts times to milliseconds",
        RECONCILE + "::test_what_is_known_is_never_new",
        RECONCILE + "::test_the_webhook_that_comes_after_all_is_a_repeat",
    ),
    _trap(
        "5",
        "absence proves little: every replica, and not right after a start",
        RECONCILE + "::test_the_silence_of_some_proves_nothing",
        RECONCILE + "::test_a_replica_that_does_not_answer_may_know_more",
        CONTENTS + "::test_the_resolution_that_never_comes_is_told_by_the_list",
    ),
    _trap(
        "5",
        "a silence or an inhibition after the delivery",
        CONTENTS + "::test_a_silence_or_an_inhibition_after_the_delivery_holds_the_action",
        "tests/pipeline/test_still_true.py::test_nothing_is_sent_when_it_is_no_longer_true",
    ),
    _trap(
        "5",
        "the watchdog proves the path; its absence blocks trust in resolved",
        DEATH + "::test_the_death_of_prometheus_ends_nothing",
        WATCHDOG + "::test_that_nothing_fires_proves_nothing_while_it_is_missing",
        "tests/unit/test_watchdog.py::test_who_may_speak_of_some_namespaces_cannot_vouch_for_the_path",
    ),
    _trap(
        "6",
        "1: acting on `status` or commonLabels",
        CONTENTS + "::test_a_quiet_alert_is_not_over_though_the_body_says_resolved",
        PAYLOAD + "::test_takes_the_fields_as_they_are_meant",
    ),
    _trap(
        "6",
        "2: resolved taken as fixed, or awaited for ever",
        WATCHDOG + "::test_nothing_is_done_for_it_and_it_ends_in_time",
        CONTENTS + "::test_the_resolution_that_never_comes_is_told_by_the_list",
    ),
    _trap(
        "6",
        "3: pod and namespace of the exporter",
        TARGETS + "::test_captured_alerts_lead_to_their_targets",
        TARGETS + "::test_nothing_ever_leads_to_the_exporter_even_where_its_namespace_is_allowed",
    ),
    _trap(
        "6",
        "4: work inside the request",
        SERVER + "::test_answers_only_after_the_alerts_are_admitted",
        REPLICAS + "::test_a_pair_that_gossips_begins_one_incident",
    ),
    _trap("6", "5: 429 to push back, 5xx for a bad body", SERVER + "::test_malformed_is_400_with_the_place"),
    _trap("6", "7: redirects", SERVER + "::test_never_redirects"),
    _trap(
        "6",
        "8: groupKey, or (fingerprint, startsAt), as the identity of an incident",
        REPLICAS + "::test_two_routes_to_us_begin_one_incident",
        RESTARTS + "::test_a_later_beginning_after_a_restart_joins_the_open_incident",
    ),
    _trap(
        "6",
        "9: duplicates by clock or evaluation skew",
        REPLICAS + "::test_replicas_that_saw_another_beginning_begin_no_second_incident",
    ),
    _trap("6", "10: strict parsing", PAYLOAD + "::test_tolerates_unknown_fields_everywhere"),
)
