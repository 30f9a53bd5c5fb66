"""CenterFace, the anchor-free face detector that the DEEMO paper uses (Xu et al. 2019, weights MIT)."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnx

from deemo_data.models.runtime import boxes
from deemo_data.models.runtime.sessions import open_session
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


WEIGHTS = "centerface-09189d"
STRIDE = 4  # pixels of the picture per cell of the heat map
SIZE_STEP = 32  # pixels; the network halves the size five times
MAX_IOU = 0.3
OUTPUTS = ["537", "538", "539"]  # heat map, log size, offset; output 540 holds landmarks


@cache
def load(name: str = WEIGHTS) -> Any:
    """Load the network, once per process. The file fixes the batch and picture size (10 x 32 x 32); here they are free."""
    model = onnx.load_model_from_string(path_of(name).read_bytes())
    weights = {w.name for w in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for values, sizes in ((model.graph.input, ("n", "h", "w")), (model.graph.output, ("n", "rows", "columns"))):
        for value in values:
            for axis, size in zip((0, 2, 3), sizes, strict=True):
                value.type.tensor_type.shape.dim[axis].dim_param = size
    return open_session(model.SerializeToString(), threads=1)  # FindFaces runs it on two pictures at a time


def choose_input_size(width: int, height: int, longer_side: int) -> tuple[int, int]:
    """The size (width, height) at which to show a picture: multiples of 32, the longer side about `longer_side` pixels.

    Never larger than the picture rounded up. Each side differs from the exact proportion by less than half of 32 pixels.
    """
    scale = min(1.0, longer_side / max(width, height))
    is_reduced = scale < 1.0
    sides = (
        max(SIZE_STEP, SIZE_STEP * (round(s * scale / SIZE_STEP) if is_reduced else math.ceil(s / SIZE_STEP)))
        for s in (width, height)
    )
    width, height = sides
    return width, height


def detect(net: Any, bgr: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Faces in a picture (h, w, 3) whose sides are multiples of 32: (n, 5) in its pixels, best score first.

    Raises ValueError for other sides.
    """
    height, width = bgr.shape[:2]
    if height % SIZE_STEP or width % SIZE_STEP:
        raise ValueError(f"CenterFace wants sides that are multiples of {SIZE_STEP}, not {width}x{height}")
    blob = cv2.dnn.blobFromImage(bgr, swapRB=True)
    heat, size, offset = (output[0] for output in net.run(OUTPUTS, {"input.1": blob}))
    rows, columns = np.nonzero(heat[0] > threshold)
    if not len(rows):
        return boxes.make_empty_boxes()
    box_height, box_width = np.exp(size[:, rows, columns]) * STRIDE
    down, right = offset[:, rows, columns]
    middle_x, middle_y = (columns + right + 0.5) * STRIDE, (rows + down + 0.5) * STRIDE
    detections = np.stack(
        [
            np.clip(middle_x - box_width / 2, 0, width),
            np.clip(middle_y - box_height / 2, 0, height),
            np.clip(middle_x + box_width / 2, 0, width),
            np.clip(middle_y + box_height / 2, 0, height),
            heat[0, rows, columns],
        ],
        axis=1,
    ).astype(np.float32)
    return detections[boxes.suppress_overlaps(detections, MAX_IOU)]
