"""One module for each kind of statement about probability that an audit makes; see ../calibration.py."""
