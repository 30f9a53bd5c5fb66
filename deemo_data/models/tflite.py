"""TFLite networks made fit for what runs them here: metadata for MediaPipe Tasks, or ONNX for onnxruntime.

The tflite files in the mediapipe 0.10 wheels carry no normalisation metadata, which MediaPipe 1.x asks for; and its
Tasks neither run full-range BlazeFace nor give away the face mesh's "is this a face" output. These nets are plain
convolutions, so the few operators they use are written out as ONNX, layout NHWC -> NCHW.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPSET = 13
NHWC_TO_NCHW = (0, 3, 1, 2)


def with_normalisation(model: bytes, mean: float, std: float) -> bytes:
    """The same TFLite model, saying in its metadata that its one image input wants (pixel - mean) / std."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as meta
    from mediapipe.tasks.metadata import schema_py_generated as schema

    image = meta.ImagePropertiesT()
    image.colorSpace = meta.ColorSpaceType.RGB
    content = meta.ContentT()
    content.contentPropertiesType = meta.ContentProperties.ImageProperties
    content.contentProperties = image
    options = meta.NormalizationOptionsT()
    options.mean, options.std = [mean], [std]
    unit = meta.ProcessUnitT()
    unit.optionsType, unit.options = meta.ProcessUnitOptions.NormalizationOptions, options
    tensor_in = meta.TensorMetadataT()
    tensor_in.name, tensor_in.content, tensor_in.processUnits = "image", content, [unit]

    packed = schema.ModelT.InitFromPackedBuf(model, 0)
    outputs = []
    for i in range(len(packed.subgraphs[0].outputs)):
        out = meta.TensorMetadataT()
        out.name = f"output_{i}"
        outputs.append(out)
    graph = meta.SubGraphMetadataT()
    graph.inputTensorMetadata, graph.outputTensorMetadata = [tensor_in], outputs
    root = meta.ModelMetadataT()
    root.subgraphMetadata = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(root.Pack(builder), b"M001")

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(bytes(builder.Output()), dtype=np.uint8)
    packed.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(packed.buffers) - 1
    packed.metadata = [*(packed.metadata or []), entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(packed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def to_onnx(model: bytes) -> bytes:
    """The same network as ONNX: float32, any batch size, input (n, 3, h, w); outputs in the model's own order.

    Only what BlazeFace and the face mesh use is known; another operator is a ModelError that names it.
    """
    import onnx
    from mediapipe.tasks.metadata import schema_py_generated as schema
    from onnx import helper, numpy_helper

    packed = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = packed.subgraphs[0]
    op_names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    names = [f"t{i}" for i in range(len(graph.tensors))]
    constants: dict[int, NDArray[Any]] = {}
    for i, tensor in enumerate(graph.tensors):
        data = packed.buffers[tensor.buffer].data
        if data is not None and len(data):
            constants[i] = _constant(tensor, np.asarray(data, np.uint8).tobytes())
    nodes: list[Any] = []
    weights: list[Any] = []

    def weight(name: str, value: NDArray[Any]) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def emit(kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs, [output], name=f"n{len(nodes)}", **attributes))

    for op in graph.operators:
        code = packed.operatorCodes[op.opcodeIndex]
        kind = op_names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        ins = [int(i) for i in op.inputs]
        out = int(op.outputs[0])
        if kind in ("DEQUANTIZE", "DENSIFY"):
            constants[out] = constants[ins[0]].astype(np.float32)
            continue
        options = op.builtinOptions
        active = getattr(options, "fusedActivationFunction", 0)
        target = names[out] if not active else f"{names[out]}_raw"
        match kind:
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                kernel = constants[ins[1]]
                deep = kind == "DEPTHWISE_CONV_2D"
                kernel = kernel.transpose(3, 0, 1, 2) if deep else kernel.transpose(0, 3, 1, 2)
                emit(
                    "Conv",
                    [names[ins[0]], weight(f"w{out}", kernel), weight(f"b{out}", constants[ins[2]])],
                    target,
                    group=kernel.shape[0] // options.depthMultiplier if deep else 1,
                    strides=[options.strideH, options.strideW],
                    dilations=[options.dilationHFactor, options.dilationWFactor],
                    auto_pad="SAME_UPPER" if options.padding == schema.Padding.SAME else "VALID",
                )
            case "PRELU":
                slope = constants[ins[1]].reshape(1, 1, -1).transpose(2, 0, 1)
                emit("PRelu", [names[ins[0]], weight(f"w{out}", slope)], target)
            case "RELU":
                emit("Relu", [names[ins[0]]], target)
            case "ADD":
                emit("Add", [names[ins[0]], names[ins[1]]], target)
            case "MAX_POOL_2D":
                same = options.padding == schema.Padding.SAME
                emit("MaxPool", [names[ins[0]]], target, kernel_shape=[options.filterHeight, options.filterWidth],
                     strides=[options.strideH, options.strideW], auto_pad="SAME_UPPER" if same else "VALID")  # fmt: skip
            case "PAD":
                pads = constants[ins[1]].astype(np.int64)[list(NHWC_TO_NCHW)].T.ravel()
                emit("Pad", [names[ins[0]], weight(f"p{out}", pads)], target)
            case "RESIZE_BILINEAR":
                mode = "align_corners" if options.alignCorners else "asymmetric"
                mode = "half_pixel" if options.halfPixelCenters else mode
                before, after = graph.tensors[ins[0]].shape, constants[ins[1]]
                scales = np.array([1, 1, after[0] / before[1], after[1] / before[2]], np.float32)
                emit("Resize", [names[ins[0]], "", weight(f"s{out}", scales)], target, mode="linear",
                     coordinate_transformation_mode=mode)  # fmt: skip
            case "DEPTH_TO_SPACE":
                emit("DepthToSpace", [names[ins[0]]], target, blocksize=options.blockSize, mode="DCR")
            case "RESHAPE":
                shape = np.array([-1, *graph.tensors[out].shape[1:]], np.int64)
                emit("Transpose", [names[ins[0]]], f"{names[out]}_nhwc", perm=[0, 2, 3, 1])
                emit("Reshape", [f"{names[out]}_nhwc", weight(f"r{out}", shape)], target)
            case "CONCATENATION" if len(graph.tensors[out].shape) == 3:
                emit("Concat", [names[i] for i in ins], target, axis=options.axis)
            case _:
                raise ModelError(f"the TFLite operator {kind} is not one we can turn into ONNX")
        if active == schema.ActivationFunctionType.RELU:
            emit("Relu", [target], names[out])
        elif active:
            raise ModelError(f"the TFLite activation {active} is not one we can turn into ONNX")

    source = int(graph.inputs[0])
    _, height, width, channels = (int(n) for n in graph.tensors[source].shape)
    made = helper.make_graph(
        nodes,
        "tflite",
        [helper.make_tensor_value_info(names[source], onnx.TensorProto.FLOAT, ["n", channels, height, width])],
        [helper.make_tensor_value_info(names[int(i)], onnx.TensorProto.FLOAT, None) for i in graph.outputs],
        weights,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString())


def _constant(tensor: Any, raw: bytes) -> NDArray[Any]:
    kind = {0: np.float32, 1: np.float16, 2: np.int32}.get(tensor.type)
    if kind is None:
        raise ModelError(f"the TFLite tensor type {tensor.type} is not one we can turn into ONNX")
    values = np.frombuffer(raw, dtype=kind)
    shape = [int(n) for n in tensor.shape]
    return values.reshape(shape) if tensor.sparsity is None else _dense(values, shape, tensor.sparsity)


def _dense(values: NDArray[Any], shape: list[int], sparsity: Any) -> NDArray[Any]:
    """TFLite's sparse storage (TACO format: per dimension dense or CSR, blocks as extra dimensions) made dense."""
    order = [int(n) for n in sparsity.traversalOrder]
    blocks = [int(n) for n in (sparsity.blockMap if sparsity.blockMap is not None else [])]
    levels = sparsity.dimMetadata
    sizes = [1] * len(blocks)
    for level, dimension in enumerate(order):
        if dimension >= len(shape):
            sizes[dimension - len(shape)] = int(levels[level].denseSize)
    position: Any = np.zeros((1, len(order)), np.int64)  # one row a stored value so far: its index along each dimension
    address: Any = np.zeros(1, np.int64)
    for level, dimension in enumerate(order):
        if levels[level].format == 0:
            size = int(levels[level].denseSize)
            index = np.tile(np.arange(size), len(position))
            position = np.repeat(position, size, axis=0)
            address = np.repeat(address, size) * size + index
        else:
            segments = np.asarray(levels[level].arraySegments.values, np.int64)
            indices = np.asarray(levels[level].arrayIndices.values, np.int64)
            counts = segments[address + 1] - segments[address]
            starts = np.repeat(segments[address], counts)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            position = np.repeat(position, counts, axis=0)
            address = starts + within
            index = indices[address]
        position[:, dimension] = index
    at = position[:, : len(shape)].copy()
    for block, dimension in enumerate(blocks):
        at[:, dimension] = at[:, dimension] * sizes[block] + position[:, len(shape) + block]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(at.T)] = values[address]
    return dense
