"""CenterFace, the anchor-free face detector the DEEMO paper uses (Xu et al. 2019, weights MIT)."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnx

from deemo_data.models.runtime import boxes
from deemo_data.models.runtime.sessions import session
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


WEIGHTS = "centerface-09189d"
STRIDE = 4  # pixels of the picture per cell of the heat map
STEP = 32  # the network halves five times
OVERLAP = 0.3
OUTPUTS = ["537", "538", "539"]  # heat map, log size, offset; 540 would be landmarks


@cache
def load(name: str = WEIGHTS) -> Any:
    """The network, once per process, with the batch and picture size the file fixes (10 x 32 x 32) set free."""
    model = onnx.load_model_from_string(path_of(name).read_bytes())
    weights = {w.name for w in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for values, sizes in ((model.graph.input, ("n", "h", "w")), (model.graph.output, ("n", "rows", "columns"))):
        for value in values:
            for axis, size in zip((0, 2, 3), sizes, strict=True):
                value.type.tensor_type.shape.dim[axis].dim_param = size
    return session(model.SerializeToString(), threads=1)  # find_faces looks at two pictures at a time


def working_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """(width, height) to show a picture at: sides are multiples of 32, the longer one about `longest` pixels.

    Never larger than the picture rounded up; the shape changes by less than half a step a side.
    """
    scale = min(1.0, longest / max(width, height))
    small = scale < 1.0
    sides = (max(STEP, STEP * (round(s * scale / STEP) if small else math.ceil(s / STEP))) for s in (width, height))
    wide, high = sides
    return wide, high


def detect(net: Any, bgr: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Faces in one picture (h, w, 3) whose sides are multiples of 32: (n, 5) in its pixels, best score first."""
    height, width = bgr.shape[:2]
    if height % STEP or width % STEP:
        raise ValueError(f"CenterFace wants sides that are multiples of {STEP}, not {width}x{height}")
    blob = cv2.dnn.blobFromImage(bgr, swapRB=True)
    heat, size, offset = (output[0] for output in net.run(OUTPUTS, {"input.1": blob}))
    rows, columns = np.nonzero(heat[0] > threshold)
    if not len(rows):
        return boxes.none()
    high, wide = np.exp(size[:, rows, columns]) * STRIDE
    down, right = offset[:, rows, columns]
    middle_x, middle_y = (columns + right + 0.5) * STRIDE, (rows + down + 0.5) * STRIDE
    found = np.stack(
        [
            np.clip(middle_x - wide / 2, 0, width),
            np.clip(middle_y - high / 2, 0, height),
            np.clip(middle_x + wide / 2, 0, width),
            np.clip(middle_y + high / 2, 0, height),
            heat[0, rows, columns],
        ],
        axis=1,
    ).astype(np.float32)
    return found[boxes.strongest(found, OVERLAP)]
