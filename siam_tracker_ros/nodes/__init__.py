"""The ROS nodes and the conversion of messages: the only folder that imports rclpy."""
