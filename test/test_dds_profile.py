"""Fast DDS profiles: which variable, and how much shared memory a file gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from siam_tracker_ros.dds_profile import (
    ENOUGH_BYTES,
    DdsProfileError,
    profile_variable,
    shared_memory_bytes,
    shipped_profile,
)

PROFILE = """<?xml version="1.0"?>
<dds xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"><profiles>
  <transport_descriptors>
    <transport_descriptor><transport_id>a</transport_id><type>SHM</type><segment_size>1000</segment_size>
    </transport_descriptor>
    <transport_descriptor><transport_id>b</transport_id><type>SHM</type><segment_size>2000</segment_size>
    </transport_descriptor>
  </transport_descriptors>
  <participant profile_name="p" is_default_profile="{default}">
    <rtps><userTransports><transport_id>{used}</transport_id></userTransports></rtps>
  </participant>
</profiles></dds>
"""


@pytest.mark.parametrize(
    ("distro", "variable"),
    [
        ("humble", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("lyrical", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_variable_of_a_distribution(distro: str, variable: str) -> None:
    assert profile_variable(distro) == variable


def test_shipped_profile_is_enough() -> None:
    profile = shipped_profile()
    assert profile is not None
    assert shared_memory_bytes(profile) >= ENOUGH_BYTES


@pytest.mark.parametrize(
    ("default", "used", "expected"),
    [("true", "a", 1000), ("true", "b", 2000), ("true", "udp", 0), ("false", "b", 0)],
)
def test_only_what_the_default_participant_uses_counts(
    tmp_path: Path, default: str, used: str, expected: int
) -> None:
    file = tmp_path / "profile.xml"
    file.write_text(PROFILE.format(default=default, used=used))
    assert shared_memory_bytes(file) == expected


@pytest.mark.parametrize("content", [None, "not xml"])
def test_unreadable_profile_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "profile.xml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DdsProfileError, match=r"profile\.xml"):
        shared_memory_bytes(file)
