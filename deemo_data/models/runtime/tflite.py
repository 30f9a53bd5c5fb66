"""Converts TFLite networks for the runtimes used here: adds metadata for MediaPipe Tasks, or converts to ONNX.

The TFLite files in the wheels of mediapipe 0.10 lack the normalisation metadata that MediaPipe 1.x requires. MediaPipe Tasks
cannot run full-range BlazeFace, and it hides the output of the face mesh that says whether there is a face. These two networks
are plain convolutions, so `to_onnx` writes the few operators that they use as ONNX, with the layout NHWC turned into NCHW.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray


OPSET = 13
CHANNELS_PER_BLOCK = 16  # that onnxruntime processes at once with AVX-512; without AVX-512 it is 8, which divides 16
NHWC_TO_NCHW = (0, 3, 1, 2)
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def add_normalisation(model: bytes, mean: float, std: float) -> bytes:
    """The same TFLite model with metadata that says: the image input expects (pixel - mean) / std."""
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


def to_onnx(model: bytes, any_size: bool = False) -> bytes:
    """The same network as ONNX: float32, any batch size, input (n, 3, h, w), outputs in the order of the model.

    any_size  leaves h and w free, for networks that consist of convolutions only. Every halving of the size must come out even,
              because the padding depends on it. The outputs (n, cells, values) then have as many cells as fit
    A PAD operator before convolutions becomes their padding: the same sums, a third faster. Supports only the operators of
    BlazeFace and the face mesh. Raises ModelError with the name of any other one.
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
            constants[i] = _read_constant(tensor, np.asarray(data, np.uint8).tobytes())
    nodes: list[Any] = []
    weights: list[Any] = []

    def add_weight(name: str, value: NDArray[Any]) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add_node(kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs, [output], name=f"n{len(nodes)}", **attributes))

    def kind_of(op: Any) -> str:
        code = packed.operatorCodes[op.opcodeIndex]
        return str(op_names[max(code.builtinCode, code.deprecatedBuiltinCode)])

    def feeds_only_convolutions(tensor: int) -> bool:
        users = [op for op in graph.operators if tensor in op.inputs]
        return bool(users) and all(
            kind_of(op) in CONVOLUTIONS and op.builtinOptions.padding == schema.Padding.VALID for op in users
        )

    paddings: dict[int, tuple[int, list[int]]] = {}  # padded tensor -> the tensor before, its padding
    for op in graph.operators:
        kind = kind_of(op)
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
                depthwise = kind == "DEPTHWISE_CONV_2D"
                before, padding = paddings.get(ins[0], (ins[0], None))
                edges = {"auto_pad": "SAME_UPPER" if options.padding == schema.Padding.SAME else "VALID"}
                kernel = kernel.transpose(3, 0, 1, 2) if depthwise else kernel.transpose(0, 3, 1, 2)
                add_node(
                    "Conv",
                    [names[before], add_weight(f"w{out}", kernel), add_weight(f"b{out}", constants[ins[2]])],
                    target,
                    group=kernel.shape[0] // options.depthMultiplier if depthwise else 1,
                    strides=[options.strideH, options.strideW],
                    dilations=[options.dilationHFactor, options.dilationWFactor],
                    **(edges if padding is None else {"pads": padding}),
                )
            case "PRELU":
                slope = constants[ins[1]].reshape(1, 1, -1).transpose(2, 0, 1)
                plus, minus, sloping = (f"{target}_{part}" for part in ("plus", "minus", "sloping"))
                add_node("Relu", [names[ins[0]]], plus)  # the same numbers as PRelu in less than half the time
                add_node("Sub", [names[ins[0]], plus], minus)
                add_node("Mul", [minus, add_weight(f"w{out}", slope)], sloping)
                add_node("Add", [plus, sloping], target)
            case "RELU":
                add_node("Relu", [names[ins[0]]], target)
            case "ADD":
                add_node("Add", [names[ins[0]], names[ins[1]]], target)
            case "MAX_POOL_2D":
                same = options.padding == schema.Padding.SAME
                add_node("MaxPool", [names[ins[0]]], target, kernel_shape=[options.filterHeight, options.filterWidth],
                     strides=[options.strideH, options.strideW], auto_pad="SAME_UPPER" if same else "VALID")  # fmt: skip
            case "PAD":
                pads = constants[ins[1]].astype(np.int64)[list(NHWC_TO_NCHW)].T.ravel()
                if feeds_only_convolutions(out) and not pads[[0, 1, 4, 5]].any():
                    paddings[out] = (ins[0], pads[[2, 3, 6, 7]].tolist())
                else:
                    add_node("Pad", [names[ins[0]], add_weight(f"p{out}", pads)], target)
            case "RESIZE_BILINEAR":
                mode = "align_corners" if options.alignCorners else "asymmetric"
                mode = "half_pixel" if options.halfPixelCenters else mode
                small, large = graph.tensors[ins[0]].shape, constants[ins[1]]
                scales = np.array([1, 1, large[0] / small[1], large[1] / small[2]], np.float32)
                add_node("Resize", [names[ins[0]], "", add_weight(f"s{out}", scales)], target, mode="linear",
                     coordinate_transformation_mode=mode)  # fmt: skip
            case "DEPTH_TO_SPACE":
                add_node("DepthToSpace", [names[ins[0]]], target, blocksize=options.blockSize, mode="DCR")
            case "RESHAPE":
                shape = np.array([-1, *graph.tensors[out].shape[1:]], np.int64)
                if any_size:
                    shape = np.array([0, -1, graph.tensors[out].shape[-1]], np.int64)
                add_node("Transpose", [names[ins[0]]], f"{names[out]}_nhwc", perm=[0, 2, 3, 1])
                add_node("Reshape", [f"{names[out]}_nhwc", add_weight(f"r{out}", shape)], target)
            case "CONCATENATION" if len(graph.tensors[out].shape) == 3:
                add_node("Concat", [names[i] for i in ins], target, axis=options.axis)
            case _:
                raise ModelError(f"the TFLite operator {kind} is not one we can turn into ONNX")
        if active == schema.ActivationFunctionType.RELU:
            add_node("Relu", [target], names[out])
        elif active:
            raise ModelError(f"the TFLite activation {active} is not one we can turn into ONNX")

    source = int(graph.inputs[0])
    _, height, width, channels = (int(n) for n in graph.tensors[source].shape)
    size = ["h", "w"] if any_size else [height, width]
    onnx_graph = helper.make_graph(
        nodes,
        "tflite",
        [helper.make_tensor_value_info(names[source], onnx.TensorProto.FLOAT, ["n", channels, *size])],
        [helper.make_tensor_value_info(names[int(i)], onnx.TensorProto.FLOAT, None) for i in graph.outputs],
        weights,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return bytes(helper.make_model(onnx_graph, opset_imports=opsets, ir_version=8).SerializeToString())


def pad_channels(model: bytes) -> bytes:
    """The same ONNX network with the channels of each tensor padded with zeros to a multiple of CHANNELS_PER_BLOCK.

    The fastest convolutions of onnxruntime need such numbers of channels. With the odd ones of BlazeFace (8, 24, 28, 36, ...)
    onnxruntime copies every tensor twice, so padding makes it a fifth faster. Supports only the operators of BlazeFace.
    """
    import onnx
    from onnx import helper, numpy_helper

    network = onnx.load_model_from_string(model)
    graph = network.graph
    values = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    heads = {node.input[0] for node in graph.node if node.op_type in ("Transpose", "DepthToSpace")}  # not padded
    before, after = ({graph.input[0].name: 3} for _ in range(2))  # channels of each tensor, without and with padding
    nodes: list[Any] = []
    for node in graph.node:
        first, out = node.input[0], node.output[0]
        if node.op_type == "Conv":
            kernel, bias = (values[name] for name in node.input[1:])
            before[out], after[out] = len(kernel), len(kernel) if out in heads else _round_up_channels(len(kernel))
            group = next(a for a in node.attribute if a.name == "group")
            if group.i > 1 and out in heads:  # its input is padded and its output is not, so it cannot stay depthwise
                kernel = np.eye(len(kernel), dtype=kernel.dtype)[:, :, None, None] * kernel
                group.i = 1
            depthwise = group.i > 1
            group.i = after[out] if depthwise else 1
            values[node.input[1]] = _pad_with_zeros(kernel, (after[out], 1 if depthwise else after[first], *kernel.shape[2:]))
            values[node.input[2]] = _pad_with_zeros(bias, (after[out],))
        elif node.op_type == "Pad":
            pads = values[node.input[1]].copy()
            before[out] = before[first] + int(pads[5])
            after[out] = _round_up_channels(before[out])
            pads[5] = after[out] - after[first]
            values[node.input[1]] = pads
            if not pads[5]:
                node = helper.make_node("Identity", [first], [out])
        elif node.op_type in ("Relu", "Add", "MaxPool", "Resize"):
            before[out], after[out] = before[first], after[first]
        nodes.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items() if name in used)
    return bytes(network.SerializeToString())


def _round_up_channels(channels: int) -> int:
    return -(-channels // CHANNELS_PER_BLOCK) * CHANNELS_PER_BLOCK


def _pad_with_zeros(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array with zeros appended along each axis, up to a shape."""
    return np.pad(values, [(0, after - before) for before, after in zip(values.shape, shape, strict=True)])


def _read_constant(tensor: Any, raw: bytes) -> NDArray[Any]:
    """The values of a constant tensor. Raises ModelError for a type other than float32, float16 and int32."""
    kind = {0: np.float32, 1: np.float16, 2: np.int32}.get(tensor.type)
    if kind is None:
        raise ModelError(f"the TFLite tensor type {tensor.type} is not one we can turn into ONNX")
    values = np.frombuffer(raw, dtype=kind)
    shape = [int(n) for n in tensor.shape]
    return values.reshape(shape) if tensor.sparsity is None else _expand_sparse(values, shape, tensor.sparsity)


def _expand_sparse(values: NDArray[Any], shape: list[int], sparsity: Any) -> NDArray[Any]:
    """Expand TFLite's sparse storage (TACO format: each dimension dense or CSR, blocks as extra dimensions) to a dense array."""
    order = [int(n) for n in sparsity.traversalOrder]
    blocks = [int(n) for n in (sparsity.blockMap if sparsity.blockMap is not None else [])]
    levels = sparsity.dimMetadata
    sizes = [1] * len(blocks)
    for level, dimension in enumerate(order):
        if dimension >= len(shape):
            sizes[dimension - len(shape)] = int(levels[level].denseSize)
    position: Any = np.zeros((1, len(order)), np.int64)  # one row per stored value so far: its index along each dimension
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
