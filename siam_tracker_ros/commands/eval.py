"""`siam-tracker eval`: measure trackers on labelled sequences, as the benchmarks do."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siam_tracker_ros.compute_options import add_compute_options, compute_options
from siam_tracker_ros.models.default_weights import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from siam_tracker_ros.evaluation.recording import Recording
    from siam_tracker_ros.evaluation.trackers import TrackerSpec

HELP = "measure trackers on labelled sequences"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `eval`."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--dataset", type=Path, metavar="FOLDER", help="folder of the benchmark, as it is handed out"
    )
    source.add_argument(
        "--bag",
        type=Path,
        metavar="BAG",
        help="a recorded run: rate, drops and latency of the live tracker, and with a truth its scores; with "
        "--tracker these run over its images too",
    )
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="FILE",
        help="of --bag: a box x,y,w,h for each image, or nan,nan,nan,nan",
    )
    parser.add_argument("--target", metavar="ID", help="of --bag: the target (default: the first)")
    for kind in ("image", "tracks", "truth"):
        parser.add_argument(
            f"--{kind}-topic",
            metavar="TOPIC",
            help=f"of --bag: the topic of the {kind} (default: looked for)",
        )
    parser.add_argument(
        "--layout",
        default="auto",
        metavar="NAME",
        help="sequences (NAME/img, NAME/groundtruth.txt), otb (DTB70), uav123, lasot, trackingnet, got10k, "
        "vot, nfs or davis; auto (default) looks at the files",
    )
    parser.add_argument(
        "--weights",
        metavar="NAME|PATH",
        help="weights by name or path, as --tracker (default, where nothing else is named on a --dataset: "
        f"those named as --model, else {DEFAULT_WEIGHTS})",
    )
    parser.add_argument(
        "--tracker",
        nargs="+",
        default=[],
        metavar="T",
        help="weights by name or path, opencv:csrt, opencv:kcf, opencv:mil, opencv:nano=FOLDER (of its two "
        "models), or a folder of result files",
    )
    parser.add_argument(
        "--experiment",
        default="ope",
        choices=("ope", "realtime", "supervised", "anchored", "longterm"),
        help="one pass (default), one pass in real time, restarts as VOT2016 to 2019, anchors as VOT2020 on, "
        "long-term",
    )
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="frames a second of realtime (default: the sequence's)"
    )
    parser.add_argument(
        "--eao-lengths",
        type=int,
        nargs=2,
        default=(115, 755),
        metavar=("LOW", "HIGH"),
        help="lengths, frames, that the expected average overlap is taken over (default: VOT2020's, 115 755)",
    )
    parser.add_argument("--model", metavar="NAME", help="model of the zoo, where the weights do not say")
    add_compute_options(parser)
    parser.add_argument(
        "--long-term",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="search further and further once the target is lost (default: as the model says)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="keep results there; what is there already is not run again (default: keep nothing)",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at once (default: 1)")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="run on the Ray cluster there (auto: the one of this machine)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the scores there")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these sequences alone")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table for each tracker, write the JSON; the exit status."""
    from siam_tracker_ros.evaluation.datasets.benchmarks import read_dataset
    from siam_tracker_ros.evaluation.sequence import EvaluationError

    specs = _trackers(args)
    if args.bag is not None:
        _write_json(args.json, _measure_bag(args, specs))
        return 0
    names = list(read_dataset(args.dataset, args.layout))
    if args.only:
        unknown = set(args.only) - set(names)
        if unknown:
            raise EvaluationError(f"{args.dataset} has no sequence called {', '.join(sorted(unknown))}")
        names = [name for name in names if name in args.only]
    with tempfile.TemporaryDirectory(prefix="siam_tracker_eval_") as nowhere:
        out = args.out or Path(nowhere)
        found = {spec.name: _measure(args, spec, names, out) for spec in specs}
    _write_json(args.json, next(iter(found.values())) if len(found) == 1 else {"trackers": found})
    return 0


def _write_json(path: Path | None, content: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _trackers(args: argparse.Namespace) -> list[TrackerSpec]:
    from siam_tracker_ros.evaluation.sequence import EvaluationError
    from siam_tracker_ros.evaluation.trackers import TrackerSpec

    texts = [*([args.weights] if args.weights else []), *args.tracker]
    if not texts and args.bag is None:
        texts = [args.model or DEFAULT_WEIGHTS]
    specs = [
        TrackerSpec(text, args.model, long_term=args.long_term, **compute_options(args)) for text in texts
    ]
    doubled = {spec.name for spec in specs if [one.name for one in specs].count(spec.name) > 1}
    if doubled:
        raise EvaluationError(
            f"trackers need names of their own, and several are called {', '.join(doubled)}"
        )
    return specs


def _measure_bag(args: argparse.Namespace, specs: list[TrackerSpec]) -> dict[str, Any]:
    """What a recorded run was like, its scores and those of trackers run over it: printed, and returned."""
    from siam_tracker_ros.evaluation.recording import read_recording, truth_of
    from siam_tracker_ros.evaluation.replay import LIVE, ReplaySettings, compare
    from siam_tracker_ros.evaluation.scores import comparison_table, plain, summarise
    from siam_tracker_ros.evaluation.sequence import EvaluationError

    if args.experiment not in ("ope", "realtime"):
        raise EvaluationError(f"over a bag the experiments are ope and realtime, not {args.experiment}")
    recording = read_recording(args.bag, args.image_topic, args.tracks_topic, args.truth_topic)
    if not recording.tracks and not specs:
        raise EvaluationError(
            f"bag {args.bag} has no tracks: name trackers to run over its images, --tracker NAME"
        )
    content: dict[str, Any] = plain(recording.live_json())
    _print_live(recording)
    has_truth = args.truth is not None or bool(recording.truth)
    if not has_truth and not specs:
        return content
    target = args.target or next(iter(recording.tracks), None)
    truth = truth_of(recording, args.truth, target or "") if has_truth else None
    with tempfile.TemporaryDirectory(prefix="siam_tracker_eval_") as nowhere:
        settings = ReplaySettings(specs, args.experiment, args.out or Path(nowhere), args.rate)
        compared = compare(recording, target, truth, settings, lambda what: print(f"warning: {what}"))
    told = (
        "against the truth" if has_truth else f"agreement with the live run of {target}, as there is no truth"
    )
    print(f"{told}, from image {compared.scored_from} on:")
    print(comparison_table(compared.scores))
    if LIVE in compared.scores:
        content |= summarise({str(target): compared.scores[LIVE]}).to_json()
    return content | ({"replay": {"experiment": args.experiment, **compared.to_json()}} if specs else {})


def _print_live(recording: Recording) -> None:
    live = recording.live_json()
    for loss in recording.losses:
        print(f"lost: {loss}")
    images = f"{live['images']} images of {recording.images_from} at {recording.image_rate:.1f} a second"
    if not recording.tracks:
        print(f"{images}, no tracks")
        return
    print(
        f"{images}, {live['images_tracked']} tracked in, {live['dropped_by_tracker']} dropped by the tracker"
    )
    for name, told in (("latency_ms", "arrival to tracks"), ("age_ms", "camera's stamp to tracks")):
        print(f"{told}: " + "  ".join(f"{key} {value:.1f} ms" for key, value in live[name].items()))
    print("states: " + (", ".join(f"{name} {count}" for name, count in live["states"].items()) or "none"))


def _measure(args: argparse.Namespace, spec: TrackerSpec, names: list[str], out: Path) -> dict[str, Any]:
    """Run what is not there yet, print the table; the scores as plain values."""
    from tqdm import tqdm

    from siam_tracker_ros.evaluation.challenges import challenge_scores
    from siam_tracker_ros.evaluation.evaluate import Job, do_all, sequences_of
    from siam_tracker_ros.evaluation.results import read_one_pass
    from siam_tracker_ros.evaluation.scores import plain, score_one_pass, summarise, table

    jobs = [Job(spec, args.dataset, args.layout, name, args.experiment, out, args.rate) for name in names]
    if not spec.is_results:
        with tqdm(total=len(jobs), desc=spec.name, unit="sequence", disable=None) as bar:
            for _ in do_all(jobs, args.jobs, args.ray):
                bar.update()
    sequences = sequences_of(jobs)
    folder = jobs[0].folder
    print(f"{spec.name}, {args.experiment}")
    if args.experiment in ("ope", "realtime"):
        scored = summarise(
            {name: score_one_pass(one, read_one_pass(folder, one)) for name, one in sequences.items()}
        )
        print(table(scored))
        return scored.to_json()
    measured = challenge_scores(args.experiment, folder, sequences, tuple(args.eao_lengths)).measures
    print("  ".join(f"{name} {value:.3f}" for name, value in measured.items()))
    content: dict[str, Any] = plain(measured)
    return content
