"""The scenarios that an action must survive, and the test that holds each: none may go without its test.

Source: the traps that kubectl and the common tools fall into, each measured on a real control plane.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

SCENARIOS: dict[str, tuple[str, ...]] = {
    "unobserved deploy": (
        "cluster/test_rollback.py::test_an_unobserved_release_is_refused_where_kubectl_goes_back_two",
    ),
    "undo after restart": (
        "cluster/test_rollback.py::test_a_restart_is_no_release_where_kubectl_restores_the_same_image",
    ),
    "flip-flop": (
        "cluster/test_rollback.py::test_undo_twice_is_refused_where_kubectl_deploys_the_bad_release_again",
    ),
    "annotation preserved": ("cluster/test_rollback.py::test_live_annotations_stay_where_kubectl_drops_them",),
    "concurrent apply between read and patch": (
        "cluster/test_rollback_writes.py::test_a_change_between_read_and_write_wins",
    ),
    "concurrent scale": ("cluster/test_scale.py::test_a_concurrent_scale_wins",),
    "status churn does not block": (
        "cluster/test_rollback_writes.py::test_status_churn_between_read_and_write_does_not_block",
    ),
    "lost response, then read-back": (
        "cluster/test_recovery.py::test_a_crash_before_the_reply_is_read_back_and_verified",
    ),
    "quota-blocked scale undone": (
        "cluster/test_scale.py::test_a_scale_that_a_quota_blocks_is_seen_at_once_and_undone",
    ),
    "HPA revert detected": ("cluster/test_scale.py::test_an_autoscaler_that_sets_it_back_is_named",),
    "PDB 429 and API fairness 429": (
        "cluster/test_evict.py::test_a_budget_forbids_it_dry_or_not",
        "unit/kube/test_client_replies.py::test_an_answer_means",
    ),
    "two PDBs 500": ("cluster/test_evict.py::test_two_budgets_are_refused_before_the_api_server_does",),
    "evict with wrong uid 409": ("cluster/test_evict.py::test_another_pod_of_that_name_is_not_evicted",),
    "StatefulSet forced rollback": (
        "cluster/test_rollback_statefulset.py::test_a_broken_pod_of_a_stateful_set_is_taken_out_of_the_way",
    ),
    "webhook without dry run": (
        "unit/kube/test_client_writes.py::test_a_webhook_that_cannot_rehearse_is_not_a_refusal",
    ),
    "missing RBAC verb": ("contract/test_kube_writes.py::test_a_user_without_rights_is_forbidden",),
    "JSON and non-UTF-8 logs": (
        "unit/kube/test_client_logs.py::test_a_log_of_json_stays_text",
        "unit/kube/test_client_logs.py::test_bytes_that_are_no_text_are_replaced",
    ),
    "truncated tail": ("contract/test_kube_pods.py::test_logs_keep_the_newest_lines_within_a_byte_limit",),
    "event with null timestamps": (
        "cluster/test_collectors.py::test_events_of_the_scheduler_without_times_stand_in_their_order",
    ),
    "ambiguous service": ("unit/target/test_behind.py::test_service_with_a_canary_is_ambiguous_and_lists_both",),
    "ConfigMap-only change": ("cluster/test_rollback.py::test_a_config_map_edited_after_the_rollout_is_named",),
    "previous revision bad": ("cluster/test_rollback.py::test_a_previous_release_that_never_was_ready_is_refused",),
    "GitOps revert": ("cluster/test_rollback.py::test_what_gitops_would_revert_is_left_to_it",),
}


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in found)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_its_test(scenario: str) -> None:
    for place in SCENARIOS[scenario]:
        file, _, name = place.partition("::")
        assert name in names_in(file), place
