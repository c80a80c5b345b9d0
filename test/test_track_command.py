"""`siam-tracker track` as a user runs it: real footage in, files out, one line where something is wrong."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from siam_tracker_ros.cli import main
from siam_tracker_ros.models.checkpoint import save_weights
from siam_tracker_ros.models.siamese import SiameseNetwork
from siam_tracker_ros.models.zoo import get_entry

WIDTH, HEIGHT, COUNT = 160, 120, 8
BOX = "60,40,36,30"
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended."""

    status: int
    out: str
    err: str


def environment() -> dict[str, str]:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "SIAM_TRACKER_WEIGHTS"}
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH", ""))))
    # One thread: the networks are small, and tests may run beside each other.
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "siam_tracker_ros.cli", "track", *map(str, args)]


def track(folder: Path, *args: object, before: Callable[[], None] | None = None) -> Ended:
    done = subprocess.run(
        command(*args),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=before,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def track_here(capfd: pytest.CaptureFixture[str], *args: object) -> Ended:
    """As `track`, in this process: to start another takes longer than to fail."""
    capfd.readouterr()
    status = main(["track", *map(str, args)])
    return Ended(status, *capfd.readouterr())


def texture(height: int, width: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def moving_patch(count: int) -> list[np.ndarray]:
    """Frames of a textured patch that moves over a textured background; in the first it fills BOX."""
    background, patch = texture(HEIGHT, WIDTH, seed=1), texture(30, 36, seed=2)
    frames = []
    for index in range(count):
        frame = background.copy()
        x = 60 + 2 * (index % 20)
        frame[40:70, x : x + 36] = patch
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small networks with seeded weights: they follow nothing, but compute all that a trained one does."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name in ("siammask_mobilev2_w10", "siamrpn_mobilev2_w10"):
        torch.manual_seed(0)
        paths[name] = folder / f"{name}.safetensors"
        save_weights(SiameseNetwork(get_entry(name).model), paths[name], name)
    return paths


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage") / "patch"
    folder.mkdir()
    for index, frame in enumerate(moving_patch(COUNT)):
        # Without leading zeros: only the natural order is right.
        cv2.imwrite(str(folder / f"frame{index + 5}.png"), frame)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "patch.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in moving_patch(COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> tuple[av.VideoFrame, ...]:
    with av.open(str(path)) as container:
        return tuple(container.decode(video=0))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def left_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_writes_all_that_is_asked_from_an_image_folder(images, weights, tmp_path):
    ended = track(
        tmp_path,
        *(images, "--box", BOX, "--weights", weights["siammask_mobilev2_w10"]),
        *("--out", "a/v.mp4", "--csv", "a/t.csv", "--jsonl", "a/t.jsonl", "--masks", "a/m", "--fps", "12.5"),
    )
    assert ended.status == 0, ended.err
    assert "siammask_mobilev2_w10" in ended.out
    assert ended.err == ""
    assert f"{COUNT} frames" in ended.out
    assert "mean confidence" in ended.out
    assert all(f"wrote a/{name}" in ended.out for name in ("v.mp4", "t.csv", "t.jsonl", "m"))

    with av.open(str(tmp_path / "a/v.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 12.5
    video = decoded(tmp_path / "a/v.mp4")
    assert len(video) == COUNT
    assert {(frame.width, frame.height) for frame in video} == {(WIDTH, HEIGHT)}
    assert [frame.time for frame in video] == pytest.approx([index / 12.5 for index in range(COUNT)])

    rows, lines = rows_of(tmp_path / "a/t.csv"), lines_of(tmp_path / "a/t.jsonl")
    assert [int(row["frame"]) for row in rows] == list(range(COUNT))
    assert [{k: "" if v is None else str(v) for k, v in line.items()} for line in lines] == rows
    assert [rows[0][side] for side in "xywh"] == ["60.0", "40.0", "36.0", "30.0"]
    assert rows[0]["state"] == "ACQUIRING"
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)
    assert all(float(row["rotated_w"]) > 0 for row in rows)
    assert all(float(row["track_ms"]) > 0 for row in rows[1:])

    masks = sorted((tmp_path / "a/m").iterdir())
    assert [path.name for path in masks] == [f"{index:06d}.png" for index in range(COUNT)]
    for path in masks:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (HEIGHT, WIDTH)
        assert set(np.unique(mask)) <= {0, 255}
    assert left_in(tmp_path / "a")[-2:] == ["t.jsonl", "v.mp4"]


def test_video_source_range_and_stride_without_a_mask_branch(clip, weights, tmp_path):
    ended = track(
        tmp_path,
        *(clip, "--box", BOX, "--weights", weights["siamrpn_mobilev2_w10"]),
        *("--frames", "2:7", "--stride", "2", "--csv", "t.csv", "--out", "v.mkv"),
    )
    assert ended.status == 0, ended.err
    rows = rows_of(tmp_path / "t.csv")
    assert [int(row["frame"]) for row in rows] == [2, 4, 6]
    assert [float(row["time"]) for row in rows] == pytest.approx([0.08, 0.16, 0.24])
    assert {row["rotated_w"] for row in rows} == {""}
    # Played at the speed of the source.
    assert [frame.time for frame in decoded(tmp_path / "v.mkv")] == pytest.approx([0, 0.08, 0.16], abs=1e-3)


def test_several_targets_have_ids_and_mask_folders_of_their_own(images, weights, tmp_path):
    ended = track(
        tmp_path,
        *(images, "--box", BOX, "--box", "10,10,30,30", "--frames", ":3"),
        *("--weights", weights["siammask_mobilev2_w10"], "--csv", "t.csv", "--masks", "m"),
    )
    assert ended.status == 0, ended.err
    rows = rows_of(tmp_path / "t.csv")
    assert [(row["frame"], row["id"]) for row in rows] == [(f, i) for f in "012" for i in "12"]
    assert [rows[1][side] for side in "xywh"] == ["10.0", "10.0", "30.0", "30.0"]
    names = [f"{index:06d}.png" for index in range(3)]
    assert left_in(tmp_path / "m" / "1") == names
    assert left_in(tmp_path / "m" / "2") == names


def test_default_is_the_video_and_it_replaces_the_one_before(images, weights, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/patch.mp4").write_text("of an earlier run")
    args = (images, "--box", BOX, "--weights", weights["siamrpn_mobilev2_w10"], "--frames", ":2")
    ended = track(tmp_path, *args)
    assert ended.status == 0, ended.err
    assert "wrote out/patch.mp4" in ended.out
    assert left_in(tmp_path) == ["out", "out/patch.mp4"]
    assert len(decoded(tmp_path / "out/patch.mp4")) == 2


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_finishes_the_files(images, weights, tmp_path, signum, status):
    """The sixth image is a pipe: the run has opened it, and waits for it, when the signal is sent."""
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(images, source)
    pipe = source / "frame10.png"
    picture = pipe.read_bytes()
    pipe.unlink()
    os.mkfifo(pipe)
    run = subprocess.Popen(
        command(
            *(source, "--box", BOX, "--weights", weights["siammask_mobilev2_w10"], "--out", out / "v.mp4"),
            *("--csv", out / "t.csv", "--jsonl", out / "t.jsonl", "--masks", out / "m"),
        ),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=let_interrupt,
    )
    open_if_ended(run, pipe)
    with pipe.open("wb") as writer:
        under_final_names = [path.name for path in out.iterdir() if not path.name.startswith(".")]
        run.send_signal(signum)
        if run.poll() is None:
            writer.write(picture)
    told, error = run.communicate(timeout=60)
    assert run.returncode == status, error
    assert under_final_names == []
    assert "interrupted" in told
    assert "6 frames" in told
    assert [int(row["frame"]) for row in rows_of(out / "t.csv")] == list(range(6))
    assert [line["frame"] for line in lines_of(out / "t.jsonl")] == list(range(6))
    assert len(decoded(out / "v.mp4")) == 6
    assert len(list((out / "m").iterdir())) == 6
    assert sorted(path.name for path in out.iterdir()) == ["m", "t.csv", "t.jsonl", "v.mp4"]


def let_interrupt() -> None:
    # Where tests run in the background, Ctrl-C would be ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def open_if_ended(run: subprocess.Popen[str], pipe: Path) -> None:
    """Open the pipe's other end should `run` end before it does, so that nothing waits for ever."""

    def watch() -> None:
        run.wait()
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))

    threading.Thread(target=watch, daemon=True).start()


def test_unreadable_image_on_the_way_is_named_left_out_and_counted(images, weights, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(images, source)
    (source / "frame7.png").write_bytes(b"no picture")
    ended = track(
        tmp_path,
        *(source, "--box", BOX, "--weights", weights["siamrpn_mobilev2_w10"]),
        *("--csv", "t.csv", "--frames", ":4"),
    )
    assert ended.status == 0, ended.err
    assert [row["frame"] for row in rows_of(tmp_path / "t.csv")] == ["0", "1", "3"]
    assert ended.err.count("\n") == 1
    assert "frame 2" in ended.err
    assert "frame7.png" in ended.err
    assert "1 unreadable left out" in ended.out


def test_unreadable_first_image_has_no_box(images, weights, tmp_path, capfd):
    source = tmp_path / "source"
    shutil.copytree(images, source)
    (source / "frame7.png").write_bytes(b"no picture")
    ended = track_here(
        capfd,
        *(source, "--box", BOX, "--weights", weights["siamrpn_mobilev2_w10"]),
        *("--csv", tmp_path / "t.csv", "--frames", "2:4"),
    )
    assert_one_line(ended, "frame7.png", "box belongs to it")


def test_change_of_frame_size_ends_the_run_and_keeps_what_came_before(images, weights, tmp_path, capfd):
    source = tmp_path / "source"
    shutil.copytree(images, source)
    cv2.imwrite(str(source / "frame7.png"), texture(90, 100, seed=3))
    ended = track_here(
        capfd,
        *(source, "--box", BOX, "--weights", weights["siamrpn_mobilev2_w10"]),
        *("--csv", tmp_path / "t.csv", "--out", tmp_path / "v.mp4"),
    )
    assert_one_line(ended, "frame 2 is 100x90", "160x120")
    assert len(rows_of(tmp_path / "t.csv")) == 2
    assert len(decoded(tmp_path / "v.mp4")) == 2


def test_full_disk_is_one_line_and_leaves_nothing_new(images, weights, tmp_path):
    (tmp_path / "v.mp4").write_text("of an earlier run")
    ended = track(
        tmp_path,
        *(images, "--box", BOX, "--weights", weights["siammask_mobilev2_w10"], "--masks", "m"),
        *("--out", "v.mp4", "--csv", "t.csv"),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert_one_line(ended, "cannot write", "v.mp4", "File too large")
    assert left_in(tmp_path) == ["v.mp4"]
    assert (tmp_path / "v.mp4").read_text() == "of an earlier run"


def assert_one_line(ended: Ended, *words: str) -> None:
    assert ended.status not in (0, 130), ended.out
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("siam-tracker: error: ")
    for word in words:
        assert word in ended.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param(("none.mp4", "--box", BOX), ("none.mp4",), id="missing file"),
        pytest.param(("words.txt", "--box", BOX), ("words.txt", "no video track"), id="text"),
        pytest.param(("noise.mp4", "--box", BOX), ("noise.mp4", "Invalid data"), id="no video"),
        pytest.param(("empty", "--box", BOX), ("empty is empty",), id="empty folder"),
        pytest.param(("texts", "--box", BOX), ("texts", "no image"), id="folder without images"),
        pytest.param(("97", "--box", BOX), ("camera 97",), id="camera"),
        pytest.param(("rtsp://me:secret@127.0.0.1:9/a", "--box", BOX), ("***@127.0.0.1:9/a",), id="stream"),
        pytest.param(("IMAGES",), ("no display", "--box"), id="no box, no display"),
        pytest.param(("IMAGES", "--box", BOX, "--show"), ("no display", "--show"), id="no window"),
        pytest.param(("IMAGES", "--box", "1,2,3"), ("x,y,w,h", "'1,2,3'"), id="three numbers"),
        pytest.param(("IMAGES", "--box", "200,2,9,9"), ("outside the frame", "160"), id="box outside"),
        pytest.param(("IMAGES", "--box", BOX, "--frames", "5-9"), ("A:B", "'5-9'"), id="range"),
        pytest.param(("IMAGES", "--box", BOX, "--frames", "9:5"), ("9:5",), id="empty range"),
        pytest.param(("IMAGES", "--box", BOX, "--frames", "80:"), ("8 images",), id="beyond the folder"),
        pytest.param(("CLIP", "--box", BOX, "--frames", "80:"), ("8 frames",), id="beyond the video"),
        pytest.param(("CLIP", "--box", BOX, "--fps", "10"), ("has its own",), id="rate of a video"),
        pytest.param(("IMAGES", "--box", BOX, "--out", "v.avi"), (".mp4", ".avi"), id="container"),
        pytest.param(("IMAGES", "--box", BOX, "--csv", "noise.mp4/t"), ("noise.mp4",), id="file as folder"),
        pytest.param(("IMAGES", "--box", BOX, "--csv", "/proc/t.csv"), ("/proc/t.csv",), id="unwritable"),
        pytest.param(("IMAGES", "--box", BOX, "--jsonl", "texts"), ("is a folder",), id="folder as file"),
        pytest.param(("IMAGES", "--box", BOX, "--masks", "texts"), ("not empty",), id="folder in use"),
        pytest.param(
            ("IMAGES", "--box", BOX, "--masks", "m", "--model", "siamrpn"), ("siamrpn",), id="model"
        ),
        pytest.param(("IMAGES", "--box", BOX, "--masks", "m"), ("no mask branch",), id="no masks"),
        pytest.param(("CLIP", "--box", BOX, "--out", "CLIP"), ("source itself",), id="source as output"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    images, clip, weights, tmp_path, monkeypatch, capfd, args, words
):
    (tmp_path / "words.txt").write_text("nothing to see\n" * 99)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(4000))
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.md").write_text("words")
    before = left_in(tmp_path)
    stand_for = {"IMAGES": images, "CLIP": clip}
    given = [stand_for.get(arg, arg) for arg in args]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    ended = track_here(capfd, *given, "--weights", weights["siamrpn_mobilev2_w10"])
    assert_one_line(ended, *words)
    assert left_in(tmp_path) == before
