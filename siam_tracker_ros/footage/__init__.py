"""Footage in and out: reading sources, drawing results, writing video, tables and masks. No ROS."""
