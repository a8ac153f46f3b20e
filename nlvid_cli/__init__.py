"""nlvid names the human actions in a video.

The public names are loaded on first use, so that ``import nlvid_cli`` costs nothing::

    import nlvid_cli

    recognizer = nlvid_cli.load("i3d")
    print(recognizer.classify("video.mp4").predictions[0])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nlvid_cli._version import __version__

if TYPE_CHECKING:
    from nlvid_cli.errors import NlvidError
    from nlvid_cli.evaluation.evaluate import Evaluation, evaluate
    from nlvid_cli.onnx_export import export_onnx
    from nlvid_cli.recognize.answer import Answer
    from nlvid_cli.recognize.explain.places import Point
    from nlvid_cli.recognize.explain.run import ExplainOptions
    from nlvid_cli.recognize.explain.values import Explanation
    from nlvid_cli.recognize.prediction import Failure, Prediction
    from nlvid_cli.recognize.recognizer import Recognizer, list_models, load
    from nlvid_cli.recognize.timeline import Timeline
    from nlvid_cli.recognize.timeline_run import RuleOptions
    from nlvid_cli.training.api import train
    from nlvid_cli.video.segment import Segment, Stretch

_HOMES = {
    "Answer": "nlvid_cli.recognize.answer",
    "Evaluation": "nlvid_cli.evaluation.evaluate",
    "ExplainOptions": "nlvid_cli.recognize.explain.run",
    "Explanation": "nlvid_cli.recognize.explain.values",
    "Failure": "nlvid_cli.recognize.prediction",
    "NlvidError": "nlvid_cli.errors",
    "Point": "nlvid_cli.recognize.explain.places",
    "Prediction": "nlvid_cli.recognize.prediction",
    "Recognizer": "nlvid_cli.recognize.recognizer",
    "RuleOptions": "nlvid_cli.recognize.timeline_run",
    "Segment": "nlvid_cli.video.segment",
    "Stretch": "nlvid_cli.video.segment",
    "Timeline": "nlvid_cli.recognize.timeline",
    "evaluate": "nlvid_cli.evaluation.evaluate",
    "export_onnx": "nlvid_cli.onnx_export",
    "list_models": "nlvid_cli.recognize.recognizer",
    "load": "nlvid_cli.recognize.recognizer",
    "train": "nlvid_cli.training.api",
}

__all__ = ["Answer", "Evaluation", "Failure", "NlvidError", "Prediction", "Recognizer", "RuleOptions", "Segment"]
__all__ += ["ExplainOptions", "Explanation", "Point"]
__all__ += ["Stretch", "Timeline", "__version__", "evaluate", "export_onnx", "list_models", "load", "train"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
