"""Small ONNX files, written node by node."""

import pytest


def graph(nodes, outputs=(("y", "FLOAT", ["n", 3]),), weights=(), inputs=(("x", ["n", 4]),)):
    """The bytes of an ONNX file."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'onnx')")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'onnx')")
    helper, kinds = onnx.helper, onnx.TensorProto
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
            "graph",
            [helper.make_tensor_value_info(name, kinds.FLOAT, shape) for name, shape in inputs],
            [helper.make_tensor_value_info(name, getattr(kinds, kind), shape) for name, kind, shape in outputs],
            [onnx.numpy_helper.from_array(value, name) for name, value in weights],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 9
    return model.SerializeToString()
