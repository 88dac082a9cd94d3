"""Speed and quality as ratios to other libraries, measured in one process; needs the ``bench`` extra."""
