"""The sub-commands of `siam-tracker`, one module each; `siam_tracker_ros.cli` tells what one offers."""
