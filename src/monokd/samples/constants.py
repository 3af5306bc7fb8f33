"""What inputs, targets and networks agree on."""

import numpy as np

MEAN_SIZES_M = np.array(  # height, width, length, by class
    [
        [1.76255119, 0.66068622, 0.84422524],
        [1.52563191462, 1.62856739989, 3.88311640418],
        [1.73698127, 0.59706367, 1.76282397],
    ]
)
MAX_OBJECTS = 50
HEADING_BINS = 12
STRIDE = 4
CELLS = 7
IMAGE_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGE_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
