"""The sub-commands of `siam-tracker`, one module each; what a module offers is told in `siam_tracker_ros.cli`."""
