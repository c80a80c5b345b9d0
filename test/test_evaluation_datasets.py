"""Readers of benchmarks, on made-up folders in their layouts, against those of two tool kits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from siam_tracker_ros.evaluation.datasets.benchmarks import LAYOUTS, read_dataset
from siam_tracker_ros.evaluation.regions import MaskRegion, Polygon
from siam_tracker_ros.evaluation.sequence import EvaluationError

FRAMES = 5


def put_images(folder: Path, frames: int = FRAMES, pattern: str = "%04d.jpg", first: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + frames):
        cv2.imwrite(str(folder / (pattern % number)), np.full((40, 60, 3), number % 250, np.uint8))


def put_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def boxes(frames: int = FRAMES, separator: str = ",", shift: float = 0.0) -> list[str]:
    return [separator.join(map(str, (10 + i + shift, 5, 20, 15))) for i in range(frames)]


def same(ours: Any, images: list[str], truth: np.ndarray) -> None:
    assert [str(path) for path in ours.images] == [str(path) for path in images]
    np.testing.assert_allclose(ours.truth_boxes, truth)
    assert ours.frame_size == (60, 40)


@pytest.fixture
def got10k() -> Any:
    return pytest.importorskip("got10k.datasets", reason="NOT TESTED: no got10k tool kit")


def test_otb_with_its_separators_ranges_and_two_targets(tmp_path: Path, got10k: Any) -> None:
    put_images(tmp_path / "Car4" / "img")
    put_lines(tmp_path / "Car4" / "groundtruth_rect.txt", boxes(separator="\t"))
    put_lines(tmp_path / "Car4" / "attrs.txt", ["IV, SV"])
    put_images(tmp_path / "David" / "img", frames=310)
    put_lines(tmp_path / "David" / "groundtruth_rect.txt", boxes(11))
    put_images(tmp_path / "Jogging" / "img")
    for number in (1, 2):
        put_lines(tmp_path / "Jogging" / f"groundtruth_rect.{number}.txt", boxes(separator=" ", shift=number))
    dataset = read_dataset(tmp_path)
    assert sorted(dataset) == ["Car4", "David", "Jogging.1", "Jogging.2"]
    assert dataset["Car4"]().attributes == {"IV", "SV"}
    theirs = got10k.OTB.__new__(got10k.OTB)
    theirs.seq_names = list(dataset)
    theirs.seq_dirs = [str(tmp_path / name.split(".")[0]) for name in dataset]
    theirs.anno_files = [
        str(tmp_path / name.split(".")[0] / f"groundtruth_rect{name[len(name.split('.')[0]) :]}.txt")
        for name in dataset
    ]
    for name, read in dataset.items():
        same(read(), *theirs[name])


def test_got10k_with_absences(tmp_path: Path, got10k: Any) -> None:
    split = tmp_path / "val"
    put_lines(split / "list.txt", ["GOT-10k_Val_000001", "GOT-10k_Val_000002"])
    for number in (1, 2):
        folder = split / f"GOT-10k_Val_{number:06d}"
        put_images(folder, pattern="%08d.jpg")
        put_lines(folder / "groundtruth.txt", boxes(shift=number))
        put_lines(folder / "absence.label", ["0", "0", "1", "0", "0"] if number == 2 else ["0"] * FRAMES)
        put_lines(folder / "cover.label", ["8"] * FRAMES)
        put_lines(folder / "meta_info.ini", ["[METAINFO]", "url: u", "resolution: (60, 40)"])
    theirs = got10k.GOT10k(str(tmp_path), subset="val")
    for folder in (tmp_path, split):
        dataset = read_dataset(folder)
        same(dataset["GOT-10k_Val_000001"](), *theirs["GOT-10k_Val_000001"])
        hidden = dataset["GOT-10k_Val_000002"]()
        assert [region is None for region in hidden.truth] == [False, False, True, False, False]


def test_a_got10k_test_split_labels_the_first_frame_alone(tmp_path: Path) -> None:
    put_lines(tmp_path / "list.txt", ["GOT-10k_Test_000001"])
    put_images(tmp_path / "GOT-10k_Test_000001", pattern="%08d.jpg")
    put_lines(tmp_path / "GOT-10k_Test_000001" / "groundtruth.txt", boxes(1))
    put_lines(tmp_path / "GOT-10k_Test_000001" / "meta_info.ini", ["[METAINFO]"])
    sequence = read_dataset(tmp_path)["GOT-10k_Test_000001"]()
    assert sequence.labelled == (True, False, False, False, False)
    assert len(sequence.images) == FRAMES


def test_lasot_with_the_target_out_of_view(tmp_path: Path, got10k: Any) -> None:
    for number in (1, 2):
        folder = tmp_path / "airplane" / f"airplane-{number}"
        put_images(folder / "img", pattern="%08d.jpg")
        put_lines(folder / "groundtruth.txt", boxes(shift=number))
        put_lines(folder / "full_occlusion.txt", ["0,1,0,0,0" if number == 2 else "0,0,0,0,0"])
        put_lines(folder / "out_of_view.txt", ["0,0,0,0,1" if number == 2 else "0,0,0,0,0"])
    dataset = read_dataset(tmp_path)
    theirs = got10k.LaSOT.__new__(got10k.LaSOT)
    theirs.seq_names, theirs.return_meta = ["airplane-1"], False
    theirs.seq_dirs = [str(tmp_path / "airplane" / "airplane-1")]
    theirs.anno_files = [str(tmp_path / "airplane" / "airplane-1" / "groundtruth.txt")]
    theirs.seq_datasets = [(theirs.seq_dirs, theirs.anno_files)]
    images, truth = (
        sorted((tmp_path / "airplane" / "airplane-1" / "img").glob("*")),
        np.loadtxt(theirs.anno_files[0], delimiter=","),
    )
    same(dataset["airplane-1"](), images, truth)
    hidden = dataset["airplane-2"]()
    assert [region is None for region in hidden.truth] == [False, True, False, False, True]
    assert hidden.attributes == {"airplane"}
    put_lines(tmp_path / "testing_set.txt", ["airplane-2", "zebra-1"])
    with pytest.raises(EvaluationError, match="zebra-1"):
        read_dataset(tmp_path)


def test_trackingnet_in_the_order_of_numbers(tmp_path: Path) -> None:
    put_images(tmp_path / "TEST" / "frames" / "abc_0", frames=11, pattern="%d.jpg", first=0)
    put_lines(tmp_path / "TEST" / "anno" / "abc_0.txt", boxes(1))
    sequence = read_dataset(tmp_path)["abc_0"]()
    assert [path.stem for path in sequence.images] == [str(number) for number in range(11)]
    assert sequence.labelled.count(True) == 1


def test_uav123_cuts_sequences_out_of_longer_ones(tmp_path: Path, got10k: Any) -> None:
    put_images(tmp_path / "data_seq" / "UAV123" / "bike1", frames=3085, pattern="%06d.jpg")
    put_images(tmp_path / "data_seq" / "UAV123" / "person8", frames=1525, pattern="%06d.jpg")
    put_lines(tmp_path / "anno" / "UAV123" / "bike1.txt", boxes(3085))
    put_lines(
        tmp_path / "anno" / "UAV123" / "person8_2.txt",
        ["NaN,NaN,NaN,NaN" if i == 7 else b for i, b in enumerate(boxes(451))],
    )
    put_lines(tmp_path / "anno" / "UAV123" / "att" / "bike1.txt", ["1,0,0,1,0,0,0,0,0,0,0,0"])
    dataset = read_dataset(tmp_path)
    theirs = got10k.UAV123.__new__(got10k.UAV123)
    theirs.version = "UAV123"
    import json

    metas = Path(got10k.__file__).parent / "uav123.json"
    theirs.seq_metas = json.loads(metas.read_text())
    theirs.seq_names = ["bike1", "person8_2"]
    theirs.seq_dirs = [str(tmp_path / "data_seq" / "UAV123" / name) for name in ("bike1", "person8")]
    theirs.anno_files = [str(tmp_path / "anno" / "UAV123" / f"{name}.txt") for name in theirs.seq_names]
    for name in theirs.seq_names:
        same(dataset[name](), *theirs[name])
    assert dataset["bike1"]().attributes == {"SV", "FM"}
    assert dataset["person8_2"]().truth[7] is None


def test_every_cut_of_uav123_starts_where_the_tool_kit_starts_it(got10k: Any) -> None:
    import json

    from siam_tracker_ros.evaluation.datasets.uav123 import _FIRST_IMAGE

    theirs = json.loads((Path(got10k.__file__).parent / "uav123.json").read_text())["UAV123"]
    ours = {
        f"{whole}_{i}": (whole, first)
        for whole, all_ in _FIRST_IMAGE.items()
        for i, first in enumerate(all_, 1)
    }
    cut = {name: meta for name, meta in theirs.items() if meta["folder_name"] != name}
    assert {name: (meta["folder_name"], meta["start_frame"]) for name, meta in cut.items()} == ours


def test_nfs_with_labels_at_240_frames_a_second(tmp_path: Path, got10k: Any) -> None:
    put_images(tmp_path / "ball" / "30" / "ball", pattern="%05d.jpg")
    rows = [f'{0} {10 + i} {5} {30 + i} {20} {i} 0 0 0 "ball"' for i in range(FRAMES * 8 - 3)]
    put_lines(tmp_path / "ball" / "30" / "ball.txt", rows)
    theirs = got10k.NfS(str(tmp_path), fps=30)
    same(read_dataset(tmp_path)["ball"](), *theirs["ball"])


@pytest.mark.parametrize("color", ["", "color"])
def test_vot_polygons_tags_and_anchors(tmp_path: Path, color: str) -> None:
    dataset_module = pytest.importorskip("vot.dataset", reason="NOT TESTED: no VOT tool kit")
    folder = tmp_path / "bag"
    put_images(folder / color, pattern="%08d.jpg")
    put_lines(folder / "groundtruth.txt", ["10,5,30,5,30,20,10,20"] * 3 + ["nan,nan,nan,nan"] + ["1,2,3,4"])
    put_lines(folder / "occlusion.tag", ["0", "1", "0", "0", "0"])
    put_lines(folder / "anchor.value", ["1", "0", "0", "0", "-1"])
    if color:
        put_lines(folder / "sequence", ["channels.color=color/%08d.jpg", "fps=25", "name=bag"])
    put_lines(tmp_path / "list.txt", ["bag"])
    sequence = read_dataset(tmp_path)["bag"]()
    theirs = dataset_module.load_sequence(str(folder))
    assert len(sequence.images) == len(theirs) == FRAMES
    assert [Path(theirs.frame(i).filename()) for i in range(FRAMES)] == list(sequence.images)
    assert isinstance(sequence.truth[0], Polygon)
    np.testing.assert_allclose(
        sequence.truth[0].points,
        [(p.x, p.y) if hasattr(p, "x") else p for p in theirs.groundtruth(0)._points],
    )
    assert sequence.truth[3] is None
    assert sequence.anchors == (0, -4)
    assert sequence.frame_attributes["occlusion"].tolist() == [False, True, False, False, False]
    assert sequence.attributes == {"occlusion"}
    assert sequence.rate == (25 if color else 30)
    # The box to start on has the polygon's centre, here a rectangle of 20 by 15, and one px more each way.
    assert sequence.start_box(0).center_box()[2:] == pytest.approx((21, 16))


def test_vot_masks(tmp_path: Path) -> None:
    put_images(tmp_path / "one", frames=1, pattern="%08d.jpg")
    put_lines(tmp_path / "one" / "groundtruth.txt", ["m3,4,4,2,1,2,3,2"])
    put_lines(tmp_path / "list.txt", ["one"])
    region = read_dataset(tmp_path)["one"]().truth[0]
    assert isinstance(region, MaskRegion)
    assert (region.x, region.y) == (3, 4)
    assert region.mask.astype(int).tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]


def test_davis_gives_every_object_a_sequence(tmp_path: Path) -> None:
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * (256 * 3 - 9)
    put_images(tmp_path / "JPEGImages" / "480p" / "two-dogs", pattern="%05d.jpg", first=0)
    masks = tmp_path / "Annotations" / "480p" / "two-dogs"
    masks.mkdir(parents=True)
    for number in range(FRAMES):
        values = np.zeros((40, 60), np.uint8)
        values[5:20, 10 + number : 30 + number] = 1
        if number < 4:
            values[25:35, 40:50] = 2
        image = Image.fromarray(values, mode="P")
        image.putpalette(palette)
        image.save(masks / f"{number:05d}.png")
    put_lines(tmp_path / "ImageSets" / "2017" / "val.txt", ["two-dogs"])
    put_lines(tmp_path / "ImageSets" / "2016" / "val.txt", ["/JPEGImages/480p/two-dogs/00000.jpg"])
    dataset = read_dataset(tmp_path)
    assert list(dataset) == ["two-dogs.1", "two-dogs.2"]
    first, second = dataset["two-dogs.1"](), dataset["two-dogs.2"]()
    np.testing.assert_allclose(first.truth_boxes, [[10 + i, 5, 20, 15] for i in range(FRAMES)])
    assert second.truth[4] is None
    assert second.masks[0] is not None
    assert second.masks[0].read().mask.sum() == 100


def test_the_layout_of_the_evaluation_sequences(data_dir: Path) -> None:
    dataset = read_dataset(data_dir / "sequences")
    assert len(dataset) == 11
    sequence = dataset["davis_dog"]()
    assert len(sequence.images) == 60
    assert all(sequence.masks)
    assert sequence.frame_size == (854, 480)


def test_what_is_no_benchmark_is_refused_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no folder"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(EvaluationError, match="it looks like none"):
        read_dataset(tmp_path)
    with pytest.raises(EvaluationError, match="uav123"):
        read_dataset(tmp_path, "uva")


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("davis", "got10k", "vot")])
def test_an_empty_folder_of_a_named_layout_is_refused(tmp_path: Path, layout: str) -> None:
    with pytest.raises(EvaluationError, match="no sequence"):
        read_dataset(tmp_path, layout)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (boxes(3), "5 images, but 3 labels"),
        (["a,b,c,d"], ":1: not a region"),
        (["nan,nan,nan,nan"], "no target"),
    ],
)
def test_labels_that_do_not_fit_are_named(tmp_path: Path, lines: list[str], complaint: str) -> None:
    put_images(tmp_path / "one", pattern="%08d.jpg")
    put_lines(tmp_path / "one" / "groundtruth.txt", lines)
    put_lines(tmp_path / "list.txt", ["one"])
    with pytest.raises(EvaluationError, match=complaint):
        read_dataset(tmp_path)["one"]()
