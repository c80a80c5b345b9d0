"""cv_bridge is used where it works, and its absence or breakage is survived."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from siam_tracker_ros.nodes.cv_bridge_fallback import CvBridgeError, find_cv_bridge


def install(monkeypatch: pytest.MonkeyPatch, imgmsg_to_cv2: object) -> None:
    module = ModuleType("cv_bridge")
    module.CvBridge = lambda: SimpleNamespace(imgmsg_to_cv2=imgmsg_to_cv2)
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def working(message: SimpleNamespace, encoding: str) -> np.ndarray:
    """Knows rgb8 and nothing else, as a cv_bridge would."""
    assert encoding == "bgr8"
    if message.encoding != "rgb8":
        raise RuntimeError(f"Unrecognized image encoding [{message.encoding}]")
    pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
    return pixels[..., ::-1]


def test_used_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, working)
    found = find_cv_bridge(SimpleNamespace)
    assert found.trouble == ""
    image = SimpleNamespace(height=1, width=1, encoding="rgb8", data=bytes([1, 2, 3]))
    assert found.convert(image).tolist() == [[[3, 2, 1]]]
    image.encoding = "no_such"
    with pytest.raises(CvBridgeError, match="'no_such'"):
        found.convert(image)


def test_other_shapes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda m, e: working(m, e) if m.encoding == "rgb8" else np.zeros((2, 2), np.float32))
    with pytest.raises(CvBridgeError, match="float32"):
        find_cv_bridge(SimpleNamespace).convert(SimpleNamespace(encoding="32FC1"))


def test_absent_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    found = find_cv_bridge(SimpleNamespace)
    assert (found.convert, found.trouble) == (None, "")


def broken(message: object, encoding: str) -> np.ndarray:
    raise AttributeError("_ARRAY_API not found")


def test_broken_is_named_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, broken)
    found = find_cv_bridge(SimpleNamespace)
    assert found.convert is None
    assert "_ARRAY_API not found" in found.trouble


def test_wrong_colours_are_named_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda m, e: working(m, e)[..., ::-1])
    found = find_cv_bridge(SimpleNamespace)
    assert found.convert is None
    assert "colours" in found.trouble
