"""Write the README of a model on the Hub: what it is, how to use it, how it was tested, and who made it."""

from __future__ import annotations

from nlvid_cli.card.card import Card

COMBINE_WORDS = {
    "mean": "the mean of the scores of all views",
    "maximum": "the maximum over all views, class by class",
    "softmax_of_mean_logits": "the softmax of the mean of the logits of all views",
}
HEAD_WORDS = {
    "softmax_of_mean": "softmax of the logits' mean over positions",
    "mean_of_softmax": "mean over positions of the softmax at each",
    "mean_of_sigmoid": "mean over positions of the sigmoid at each",
}


def model_readme(card: Card, address: str, has_onnx: bool) -> str:
    """Return Markdown, without the metadata block that precedes it on the Hub.

    Args:
        card: The model's card.
        address: Address of the uploaded file, ``hf://owner/repo/model.safetensors``.
        has_onnx: Whether ``model.onnx`` is uploaded beside it.
    """
    parts = (_summary(card), _usage(address, has_onnx), _protocol(card), _accuracy(card), _origin(card))
    return "\n\n".join(parts) + "\n"


def _summary(card: Card) -> str:
    labels = f"{card.labels.count} classes, " + (
        "one per video" if card.labels.kind == "single" else "any number of them per video"
    )
    return f"# {card.name}\n\n{card.summary}\n\nIt names the human actions in a video: {labels}."


def _usage(address: str, has_onnx: bool) -> str:
    onnx = (
        "\n\n`model.onnx` is the same network for ONNX Runtime, with the same model card in its metadata."
        if has_onnx
        else ""
    )
    return f"""## Use it

With the command line tool nlvid:

```
nlvid classify video.mp4 --model {address}
```

or in Python:

```python
import nlvid_cli

print(nlvid_cli.load("{address}").classify("video.mp4").predictions[0])
```

`model.safetensors` contains the weights. Programs find everything on this page under the key `nlvid_card` of its
metadata.{onnx}"""


def _protocol(card: Card) -> str:
    sampling, preprocess, labels = card.sampling, card.preprocess, card.labels
    rate = f", counted at {sampling.frame_rate:g} frames/s" if sampling.frame_rate else ""
    rule = labels.combine or ("mean" if labels.kind == "single" else "maximum")
    rows = (
        ("clips per video", f"{sampling.clips}, placed by the rule `{sampling.clip_starts}`"),
        ("frames per clip", f"{sampling.frames}, step {sampling.step}{rate}"),
        ("short videos", f"`{sampling.short_video}`"),
        ("size", f"short side {preprocess.short_side} (`{preprocess.size}`, `{preprocess.resize}`)"),
        (
            "crops per clip",
            f"{preprocess.crops} of {preprocess.crop} x {preprocess.crop} (`{preprocess.crop_positions}`)",
        ),
        ("mean of R, G, B", ", ".join(f"{value:g}" for value in preprocess.mean) + ", of values from 0 to 255"),
        ("divided by", ", ".join(f"{value:g}" for value in preprocess.std)),
        ("scores of a view", HEAD_WORDS[card.architecture.head.scores]),
        ("scores of the video", COMBINE_WORDS[rule]),
    )
    return "## Protocol\n\nnlvid follows this protocol by default.\n\n" + _table(("what", "how"), rows)


def _accuracy(card: Card) -> str:
    if not card.accuracy:
        return "## Accuracy\n\nNo figures are published for these weights."
    rows = tuple(
        (figure.data_set, figure.metric, f"{figure.value:g} %", figure.protocol, figure.measured_by)
        for figure in card.accuracy
    )
    return "## Accuracy\n\n" + _table(("data set", "metric", "value", "protocol", "measured by"), rows)


def _origin(card: Card) -> str:
    limit = (
        "" if card.commercial_use else "\n\n**Not for commercial use**: the licence of the weights does not allow it."
    )
    return (
        f"## Origin and licence\n\nWeights: {card.origin}.\n\nLicence: {card.licence}.{limit}\n\nPaper: {card.paper}."
    )


def _table(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    cells = [head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)
