"""Fitted pipelines as ONNX networks, which run without torch."""

from lungpatch.pipeline.export.exporting import export_onnx

__all__ = ["export_onnx"]
