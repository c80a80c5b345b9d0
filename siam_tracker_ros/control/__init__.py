"""From pixels to motion: bearing, target filter, servo law, limits, safety. Knows neither ROS nor PyTorch."""
