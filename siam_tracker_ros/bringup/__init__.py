"""Starting several nodes as one: what to start, and how, with launch_ros and without."""
