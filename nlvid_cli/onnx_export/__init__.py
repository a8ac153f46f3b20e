"""Write models as ONNX files, compared with torch before they take their place."""

from __future__ import annotations

from nlvid_cli.onnx_export.export import Exported, export_onnx

__all__ = ["Exported", "export_onnx"]
