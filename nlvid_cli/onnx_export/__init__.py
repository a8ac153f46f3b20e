"""Models as ONNX files: written, compared with torch, and only then put where they were asked for."""

from __future__ import annotations

from nlvid_cli.onnx_export.run import Exported, export_onnx

__all__ = ["Exported", "export_onnx"]
