"""One frame in, one result out: crop, anchors, decode, mask, confidence, and the tracker itself. No ROS."""
