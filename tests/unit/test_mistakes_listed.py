"""The likeliest mistakes of a newcomer, and where each is made: a list that no test may silently drop out of."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HERE = "contract/test_mistakes.py"
MISTAKES = {
    "not root": (HERE, "test_not_root"),
    "no clang": (HERE, "test_no_clang"),
    "an old kernel": (HERE, "test_an_old_kernel"),
    "a port in use, metrics": ("contract/test_metrics.py", "test_given_a_port_that_is_taken_then_nothing_is_started"),
    "a port in use, console": ("contract/test_console.py", "test_an_address_that_is_taken_is_said_with_the_remedy"),
    "no NATS": (HERE, "test_nats_does_not_run"),
    "no address of NATS": (HERE, "test_a_nats_url_that_is_none"),
    "no JetStream": (HERE, "test_nats_runs_without_jetstream"),
    "a wrong subject": (HERE, "test_a_subject_or_a_message_that_no_service_understands"),
    "an expired certificate": (HERE, "test_an_expired_certificate"),
    "somebody else's authority": (HERE, "test_a_server_that_another_authority_signed"),
    "a key that is not known": (HERE, "test_a_key_that_nats_does_not_know"),
    "another service's key": (HERE, "test_a_service_with_anothers_key"),
    "two writers on one switch": (HERE, "test_two_writers_on_one_switch"),
    "MTU of an endpoint": (
        "contract/test_cli_doctor.py",
        "test_an_endpoint_whose_frames_do_not_fit_with_vxlan_is_named",
    ),
    "MTU of a ToR's port": ("contract/test_tor_ports.py", "test_an_mtu_that_is_too_small_is_refused_at_start"),
    "clock skew": (HERE, "test_a_clock_is_wrong"),
    "stale namespaces": ("lab/test_main_job.py", "test_down_removes_what_a_killed_run_left"),
    "another lab": ("lab/test_main_job.py", "test_two_labs_do_not_get_into_each_others_way"),
    "no such interface": (HERE, "test_no_such_interface"),
    "a missing bridge": ("contract/test_host_writer_host.py", "test_a_missing_bridge_is_named_with_the_remedy"),
    "no inventory": (HERE, "test_no_inventory"),
    "a misspelt key": (HERE, "test_a_key_of_the_inventory_is_misspelt"),
    "a misspelt setting": (HERE, "test_settings_that_are_none"),
    "a misspelt command": (HERE, "test_a_command_or_an_option_is_misspelt"),
    "a pair that is none": (HERE, "test_a_pair_that_is_none"),
    "a switch that is away": (HERE, "test_a_switch_and_a_host_that_do_not_answer"),
    "nobody to answer": (HERE, "test_nobody_runs_who_would_answer"),
    "a habit from another tool": ("contract/test_cli_hostile.py", "test_other_tools_habits_are_answered_with_ours"),
}


@pytest.mark.parametrize(("file", "test"), MISTAKES.values(), ids=MISTAKES)
def test_each_is_made_by_a_test(file: str, test: str) -> None:
    assert f"def {test}" in (TESTS / file).read_text()
