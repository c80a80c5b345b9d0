"""The roofline of a step: its work by hand, its ceiling as measured, and the share between them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from siam_tracker_ros.benchmark.roofline import Ceiling, Work, measure_ceiling, under_roof, work_of
from siam_tracker_ros.benchmark.trace import write_trace
from siam_tracker_ros.footage.whole_file import OutputError
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry


def test_the_work_of_a_network_counted_by_hand() -> None:
    """SiamFC's AlexNet on three scales of 255 px: grouped convolutions, and one correlation."""
    entry = get_entry("siamfc_alexnet")
    sides, macs = (123, 57, 26, 24, 22), 0
    shapes = ((3, 96, 11, 1), (96, 256, 5, 2), (256, 384, 3, 1), (384, 384, 3, 2), (384, 256, 3, 2))
    for side, (inputs, outputs, kernel, groups) in zip(sides, shapes, strict=True):
        macs += side * side * outputs * inputs // groups * kernel * kernel
    # The exemplar's 6 x 6 cells at every one of 17 x 17 places.
    macs += 17 * 17 * 256 * 6 * 6
    work = work_of(entry, torch.float32)
    assert work.operations == 2 * 3 * macs
    weights = sum(p.numel() for p in SiameseNetwork(entry.model).parameters())
    assert work.bytes == 4 * weights + 3 * 3 * 255 * 255


def test_targets_masks_and_half_precision_count() -> None:
    entry = get_entry("siammask_mobilev2_w10")
    one = work_of(entry, torch.float16)
    four, masked = work_of(entry, torch.float16, targets=4), work_of(entry, torch.float16, masks=True)
    assert four.operations == 4 * one.operations
    assert one.bytes < four.bytes < 2 * one.bytes
    assert masked.operations > one.operations
    larger = replace(entry, tracking=replace(entry.tracking, instance_size=383))
    assert work_of(larger, torch.float16).operations > 2 * one.operations
    single = work_of(entry, torch.float32)
    weights = single.bytes - one.bytes
    assert single.bytes - 2 * weights == one.bytes - weights == 3 * 255 * 255


@pytest.mark.parametrize(
    ("work", "least_ms", "bound"),
    [(Work(2_000_000, 1_000), 2.0, "compute"), (Work(1_000, 500_000), 5.0, "memory")],
)
def test_the_lower_roof_counts(work: Work, least_ms: float, bound: str) -> None:
    share = under_roof(work, Ceiling(operations_per_s=1e9, bytes_per_s=1e8), measured_ms=10.0)
    assert share.least_ms == pytest.approx(least_ms)
    assert share.share == pytest.approx(least_ms / 10)
    assert share.bound == bound


def test_a_ceiling_is_measured() -> None:
    """Between what a microcontroller and what a thousand GPUs would do."""
    ceiling = measure_ceiling(torch.device("cpu"), torch.float32)
    assert 1e7 < ceiling.operations_per_s < 1e18
    assert 1e7 < ceiling.bytes_per_s < 1e16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT TESTED: no CUDA device on this machine")
def test_half_precision_is_faster_than_single_on_a_gpu() -> None:
    device = torch.device("cuda")
    half, single = measure_ceiling(device, torch.float16), measure_ceiling(device, torch.float32)
    assert half.operations_per_s > single.operations_per_s
    assert half.bytes_per_s == pytest.approx(single.bytes_per_s, rel=0.5)


def test_a_trace_has_the_operators_of_one_call(tmp_path: Path) -> None:
    x = torch.ones(8, 8)
    calls = []

    def call() -> None:
        calls.append(torch.mm(x, x))

    write_trace(call, tmp_path / "new" / "trace.json", warm_up=2)
    assert len(calls) == 3
    events = json.loads((tmp_path / "new" / "trace.json").read_text())["traceEvents"]
    assert sum(event.get("name") == "aten::mm" for event in events) == 1
    with pytest.raises(OutputError, match="cannot write"):
        write_trace(call, tmp_path / "new" / "trace.json" / "no folder")
