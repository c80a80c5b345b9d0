"""Installs the Python package and the files that ROS 2 looks for beside it."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = "siam_tracker_ros"
SHARE = f"share/{NAME}"


def installed_files(folder: str) -> list[tuple[str, list[str]]]:
    """(target, sources) for every file below a folder of the repository, tree kept; none if it is absent."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
    return [(f"{SHARE}/{path.parent}", [str(path)]) for path in files]


setup(
    name=NAME,
    version=ElementTree.parse("package.xml").findtext("version"),
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"], f"{NAME}.evaluation": ["*.jinja"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        *installed_files("config"),
        *installed_files("launch"),
        *installed_files("weights"),
    ],
    # What is needed at run time stands in package.xml and requirements/runtime.txt. Named here, it would be
    # looked for by names that a distro's OpenCV or a robot's PyTorch do not bear.
    install_requires=[],
    extras_require={"test": ["pytest"], "export": ["onnx", "onnxruntime"]},
    python_requires=">=3.10",
    zip_safe=True,
    author="siam_tracker maintainers",
    maintainer="siam_tracker maintainers",
    maintainer_email="maintainers@siam-tracker.example",
    description="Siamese visual object tracking (SiamRPN++, SiamMask) for ROS 2.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "siam-tracker = siam_tracker_ros.cli:main",
            "gimbal_sim_node = siam_tracker_ros.nodes.gimbal_sim_node:main",
            "servo_node = siam_tracker_ros.nodes.servo_node:main",
            "tracker_node = siam_tracker_ros.nodes.tracker_node:main",
            "follow_once = siam_tracker_ros.nodes.follow_once:main",
            "init_target_once = siam_tracker_ros.nodes.init_target_once:main",
            "overlay_node = siam_tracker_ros.nodes.overlay_node:main",
            "video_source_node = siam_tracker_ros.nodes.video_source_node:main",
            "select_target_node = siam_tracker_ros.nodes.select_target_node:main",
        ]
    },
)
