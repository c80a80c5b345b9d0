"""What engines and precisions are called where a user names them. Nothing here takes time to import."""

from __future__ import annotations

from typing import Literal, get_args

EngineName = Literal["auto", "torch", "openvino", "onnxruntime", "tensorrt"]
Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ENGINE_HELP = "What runs the network. auto: what was measured to be the fastest on this machine."
PRECISION_HELP = (
    "Number type of the network. auto: on a GPU fp16; on the CPU the fastest of those whose accuracy is "
    "held, or fp32 with engine torch."
)
