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
BLOCK = 16  # channels onnxruntime takes at once with AVX-512; 8, which divides it, without
NHWC_TO_NCHW = (0, 3, 1, 2)
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


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


def to_onnx(model: bytes, any_size: bool = False) -> bytes:
    """The same network as ONNX: float32, any batch size, input (n, 3, h, w); outputs in the model's own order.

    With `any_size`, h and w are free as long as every halving comes out even (its padding is then the same at every
    size), and (n, cells, values) comes out for as many cells as fit; only for networks that are convolutions to the
    end. Zeros put around a tensor become the padding of the convolution that follows: the same sums, a third faster.
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

    def kind_of(op: Any) -> str:
        code = packed.operatorCodes[op.opcodeIndex]
        return str(op_names[max(code.builtinCode, code.deprecatedBuiltinCode)])

    def only_convolved(tensor: int) -> bool:
        users = [op for op in graph.operators if tensor in op.inputs]
        return bool(users) and all(
            kind_of(op) in CONVOLUTIONS and op.builtinOptions.padding == schema.Padding.VALID for op in users
        )

    around: dict[int, tuple[int, list[int]]] = {}  # tensor padded for a convolution -> the tensor before, its padding
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
                deep = kind == "DEPTHWISE_CONV_2D"
                before, rim = around.get(ins[0], (ins[0], None))
                edges = {"auto_pad": "SAME_UPPER" if options.padding == schema.Padding.SAME else "VALID"}
                kernel = kernel.transpose(3, 0, 1, 2) if deep else kernel.transpose(0, 3, 1, 2)
                emit(
                    "Conv",
                    [names[before], weight(f"w{out}", kernel), weight(f"b{out}", constants[ins[2]])],
                    target,
                    group=kernel.shape[0] // options.depthMultiplier if deep else 1,
                    strides=[options.strideH, options.strideW],
                    dilations=[options.dilationHFactor, options.dilationWFactor],
                    **(edges if rim is None else {"pads": rim}),
                )
            case "PRELU":
                slope = constants[ins[1]].reshape(1, 1, -1).transpose(2, 0, 1)
                plus, minus, sloping = (f"{target}_{part}" for part in ("plus", "minus", "sloping"))
                emit("Relu", [names[ins[0]]], plus)  # the same numbers as PRelu, in less than half of its time
                emit("Sub", [names[ins[0]], plus], minus)
                emit("Mul", [minus, weight(f"w{out}", slope)], sloping)
                emit("Add", [plus, sloping], target)
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
                if only_convolved(out) and not pads[[0, 1, 4, 5]].any():
                    around[out] = (ins[0], pads[[2, 3, 6, 7]].tolist())
                else:
                    emit("Pad", [names[ins[0]], weight(f"p{out}", pads)], target)
            case "RESIZE_BILINEAR":
                mode = "align_corners" if options.alignCorners else "asymmetric"
                mode = "half_pixel" if options.halfPixelCenters else mode
                small, large = graph.tensors[ins[0]].shape, constants[ins[1]]
                scales = np.array([1, 1, large[0] / small[1], large[1] / small[2]], np.float32)
                emit("Resize", [names[ins[0]], "", weight(f"s{out}", scales)], target, mode="linear",
                     coordinate_transformation_mode=mode)  # fmt: skip
            case "DEPTH_TO_SPACE":
                emit("DepthToSpace", [names[ins[0]]], target, blocksize=options.blockSize, mode="DCR")
            case "RESHAPE":
                shape = np.array([-1, *graph.tensors[out].shape[1:]], np.int64)
                if any_size:
                    shape = np.array([0, -1, graph.tensors[out].shape[-1]], np.int64)
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
    size = ["h", "w"] if any_size else [height, width]
    made = helper.make_graph(
        nodes,
        "tflite",
        [helper.make_tensor_value_info(names[source], onnx.TensorProto.FLOAT, ["n", channels, *size])],
        [helper.make_tensor_value_info(names[int(i)], onnx.TensorProto.FLOAT, None) for i in graph.outputs],
        weights,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString())


def in_blocks(model: bytes) -> bytes:
    """The same ONNX network with its channels filled up with zeros to multiples of 16.

    That is how onnxruntime's fastest convolutions want them: a fifth faster for both BlazeFace networks, whose odd
    numbers of channels (8, 24, 28, 36, ...) else have it move every tensor twice. Only for what these are made of.
    """
    import onnx
    from onnx import helper, numpy_helper

    made = onnx.load_model_from_string(model)
    graph = made.graph
    values = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    heads = {node.input[0] for node in graph.node if node.op_type in ("Transpose", "DepthToSpace")}  # they stay as they are
    true, full = ({graph.input[0].name: 3} for _ in range(2))  # channels of each tensor: before, after
    nodes: list[Any] = []
    for node in graph.node:
        first, out = node.input[0], node.output[0]
        if node.op_type == "Conv":
            kernel, bias = (values[name] for name in node.input[1:])
            true[out], full[out] = len(kernel), len(kernel) if out in heads else _blocks(len(kernel))
            group = next(a for a in node.attribute if a.name == "group")
            deep = group.i > 1
            group.i = full[out] if deep else 1
            values[node.input[1]] = _filled(kernel, (full[out], 1 if deep else full[first], *kernel.shape[2:]))
            values[node.input[2]] = _filled(bias, (full[out],))
        elif node.op_type == "Pad":
            pads = values[node.input[1]].copy()
            true[out] = true[first] + int(pads[5])
            full[out] = _blocks(true[out])
            pads[5] = full[out] - full[first]
            values[node.input[1]] = pads
            if not pads[5]:
                node = helper.make_node("Identity", [first], [out])
        elif node.op_type in ("Relu", "Add", "MaxPool", "Resize"):
            true[out], full[out] = true[first], full[first]
        nodes.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items() if name in used)
    return bytes(made.SerializeToString())


def _blocks(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK


def _filled(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.pad(values, [(0, after - before) for before, after in zip(values.shape, shape, strict=True)])


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
