"""ImageNet networks as bases: from torchvision's files to video networks that see the same in equal frames."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nlvid_cli.errors import (
    CheckpointMismatch,
    ChecksumMismatch,
    ModelFileError,
    ModelUnavailable,
    UnknownName,
    UnsafeFile,
    UsageError,
)
from nlvid_cli.models import imagenet
from nlvid_cli.models.convert import has_no_head
from nlvid_cli.models.imagenet import imagenet_base
from nlvid_cli.network.build import load_network
from nlvid_cli.training.model import make_trainee
from nlvid_cli.training.plan import find_base
from nlvid_cli.training.recipe import RECIPES
from tests.models.test_inflate import features, image_network


@pytest.fixture(scope="module")
def networks() -> dict[int, nn.Module]:
    return {depth: image_network(depth) for depth in (18, 50)}


@pytest.fixture(scope="module")
def files(networks: dict[int, nn.Module], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("images")
    for depth, network in networks.items():
        torch.save(network.state_dict(), folder / f"resnet{depth}.pth")
    return {depth: folder / f"resnet{depth}.pth" for depth in networks}


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("frames", [8, 32])
def test_a_video_of_equal_frames_gives_the_image_networks_answer(
    depth: int, frames: int, networks: dict[int, nn.Module], files: dict[int, Path]
) -> None:
    card, tensors = imagenet_base(f"imagenet-c2d:{files[depth]}")
    network = load_network(card, tensors)
    pictures = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = networks[depth](pictures)
        got = network(pictures.unsqueeze(2).repeat(1, 1, frames, 1, 1)).mean(dim=(2, 3, 4))
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("kind", "frames"), [("imagenet-c2d", 32), ("imagenet", 192)])
def test_so_does_the_network_to_train_with_non_local_blocks(
    kind: str, frames: int, networks: dict[int, nn.Module], files: dict[int, Path]
) -> None:
    """Before the first step. An I3D is looked at in the middle: at the ends of a clip its kernels meet zeros."""
    base = find_base(f"{kind}:{files[50]}")
    trainee = make_trainee(base, ("walk", "run"), "single", RECIPES["paper-32"], "5", seed=0)
    assert trainee.card.architecture.nonlocal_blocks is not None
    assert trainee.card.architecture.nonlocal_blocks.after == ("res3.1", "res3.3", "res4.1", "res4.3", "res4.5")
    assert {name.split(".")[0] for name in trainee.fresh if "nonlocal" not in name} == {"head"}
    picture = torch.randn(1, 3, 32, 32)
    flat = features(networks[50], picture, ["layer4"])["layer4"]
    deep = features(trainee.network.eval(), picture.unsqueeze(2).repeat(1, 1, frames, 1, 1), ["res5"])["res5"]
    middle = deep[:, :, deep.shape[2] // 2]
    assert (middle - flat).abs().max() < 1e-5 * flat.abs().max()


def test_the_ends_of_a_clip_change_no_first_place(networks: dict[int, nn.Module], files: dict[int, Path]) -> None:
    card, tensors = imagenet_base(f"imagenet:{files[50]}")
    pictures = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        expected = networks[50](pictures)
        got = load_network(card, tensors)(pictures.unsqueeze(2).repeat(1, 1, 32, 1, 1)).mean(dim=(2, 3, 4))
    assert torch.equal(got.argmax(dim=1), expected.argmax(dim=1))
    assert torch.cosine_similarity(got, expected).min() > 0.98


def test_the_card_is_the_papers_network(files: dict[int, Path], networks: dict[int, nn.Module]) -> None:
    card, tensors = imagenet_base(f"imagenet:{files[50]}")
    assert card.name == "i3d-r50-32x2.resnet50"
    assert (card.sampling.frames, card.sampling.step) == (32, 2)
    assert card.architecture.inflate == ((0, 1, 2), (0, 2), (0, 2, 4), (1,))  # type: ignore[union-attr]
    assert card.labels.count == 10
    assert tensors["stem.conv.weight"].shape == (64, 3, 5, 7, 7)
    # torchvision's normalisation, in units of [0, 255]
    assert [mean / 255 for mean in card.preprocess.mean] == pytest.approx([0.485, 0.456, 0.406])
    assert [std / 255 for std in card.preprocess.std] == pytest.approx([0.229, 0.224, 0.225])


def test_the_depth_is_that_of_the_file(tmp_path: Path) -> None:
    import torchvision

    torch.save(torchvision.models.resnet101(weights=None).state_dict(), tmp_path / "x.pth")
    card, _ = imagenet_base(f"imagenet:{tmp_path / 'x.pth'}")
    fourth = (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22)
    assert card.name.startswith("i3d-r101-")
    assert card.architecture.inflate == ((0, 1, 2), (0, 2), fourth, (1,))  # type: ignore[union-attr]


def test_names_are_torchvisions() -> None:
    from torchvision.models import get_model_weights

    for name, file_name in imagenet.FILES.items():
        assert get_model_weights(name)["IMAGENET1K_V1"].url == imagenet.ADDRESS + file_name


def wrapped(state: dict[str, Any]) -> dict[str, Any]:
    return {"epoch": 1, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}


def self_supervised(state: dict[str, Any]) -> dict[str, Any]:
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    queries = {f"module.encoder_q.{name}": tensor for name, tensor in body.items()}
    keys = {f"module.encoder_k.{name}": tensor + 1 for name, tensor in body.items()}
    return {"state_dict": {**keys, **queries, "module.encoder_q.fc.0.weight": torch.ones(2, 2)}}


@pytest.mark.parametrize(("wrap", "headless"), [(wrapped, False), (self_supervised, True)])
def test_files_of_other_programs(wrap: Any, headless: bool, networks: dict[int, nn.Module], tmp_path: Path) -> None:
    state = networks[18].state_dict()
    torch.save(wrap(state), tmp_path / "x.pth")
    card, tensors = imagenet_base(f"imagenet-c2d:{tmp_path / 'x.pth'}")
    assert has_no_head(card) == headless
    assert torch.equal(torch.from_numpy(tensors["stem.conv.weight"])[:, :, 0], state["conv1.weight"])


def test_a_safetensors_file(networks: dict[int, nn.Module], tmp_path: Path) -> None:
    save_file(networks[18].state_dict(), tmp_path / "x.safetensors")
    assert imagenet_base(f"imagenet:{tmp_path / 'x.safetensors'}")[0].name == "i3d-r18-32x2.x"


def test_files_that_do_not_fit(files: dict[int, Path], tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(tmp_path / "canary"), "w")

    import torchvision

    torch.save({"a": Code()}, tmp_path / "evil.pth")
    torch.save({"a": 1}, tmp_path / "other.pth")
    torch.save(torchvision.models.resnext50_32x4d(weights=None).state_dict(), tmp_path / "next.pth")
    video = {"conv1.weight": torch.ones(1, 1, 1, 1, 1), "layer1.0.conv1.weight": torch.ones(1, 1, 1, 1, 1)}
    torch.save(video, tmp_path / "video.pth")
    (tmp_path / "page.pth").write_text("<html></html>")
    for name, error, words in (
        ("evil.pth", UnsafeFile, "open"),
        ("other.pth", ModelFileError, "not a ResNet"),
        ("video.pth", ModelFileError, "network for videos"),
        ("next.pth", CheckpointMismatch, r"next\.pth: .*is \(128, 64, 1, 1\)"),
        ("page.pth", ModelFileError, "web page"),
        ("none.pth", ModelFileError, "no such model file"),
    ):
        with pytest.raises(error, match=words):
            imagenet_base(f"imagenet:{tmp_path / name}")
    assert not (tmp_path / "canary").exists()
    with pytest.raises(UnknownName, match="did you mean 'resnet50'"):
        imagenet_base("imagenet:resnet51")
    with pytest.raises(UsageError, match="--as"):
        find_base(f"imagenet:{files[18]}", "i3d")


@pytest.fixture
def published(server: Any, tools: Any, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """Publish the file of resnet18 as torchvision does, on a server of the test. Return its name."""
    data = files[18].read_bytes()
    name = f"resnet18-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    server.pages[f"/models/{name}"] = tools.Page(data)
    monkeypatch.setattr(imagenet, "ADDRESS", f"{server.url}/models/")
    monkeypatch.setitem(imagenet.FILES, "resnet18", name)
    return name


def test_a_name_is_downloaded_once(published: str, server: Any, cache: Path) -> None:
    first, tensors = imagenet_base("imagenet:resnet18")
    again, _ = imagenet_base("imagenet-c2d:resnet18")
    assert (first.name, again.name) == (f"i3d-r18-32x2.{published[:-4]}", f"c2d-r18-32x2.{published[:-4]}")
    assert len(server.ranges(f"/models/{published}")) == 1
    assert [path.name[-len(published) :] for path in (cache / "downloads").iterdir()] == [published]
    assert "head.classifier.weight" in tensors


def test_another_file_than_the_published_one(published: str, server: Any) -> None:
    server.pages[f"/models/{published}"].body = b"another file"
    with pytest.raises(ChecksumMismatch, match="not the published file"):
        imagenet_base("imagenet:resnet18")


def test_an_address(server: Any, tools: Any, files: dict[int, Path]) -> None:
    server.pages["/resnet.pth"] = tools.Page(b"<html>try again</html>")
    with pytest.raises(ModelFileError, match=r"/resnet\.pth: a web page"):
        imagenet_base(f"imagenet:{server.url}/resnet.pth")
    server.pages["/resnet.pth"] = tools.Page(files[18].read_bytes())
    assert imagenet_base(f"imagenet:{server.url}/resnet.pth?token=x")[0].name == "i3d-r18-32x2.resnet"


def test_a_file_in_the_home_folder(files: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(files[18].parent))
    assert imagenet_base("imagenet:~/resnet18.pth")[0].name == "i3d-r18-32x2.resnet18"


def test_the_cache_of_torchs_hub_comes_first(
    published: str, server: Any, no_hub: Path, files: dict[int, Path], notes: list[str]
) -> None:
    (no_hub / published).write_bytes(files[18].read_bytes())
    imagenet_base("imagenet:resnet18")
    assert server.requests == []
    (no_hub / published).write_bytes(b"cut off")
    imagenet_base("imagenet:resnet18")
    assert "not torchvision's file" in notes[1]
    assert len(server.ranges(f"/models/{published}")) == 1


def test_a_host_that_does_not_answer(published: str, server: Any) -> None:
    server.pages.clear()
    with pytest.raises(ModelUnavailable, match=rf"404.*--base imagenet:{published}"):
        imagenet_base("imagenet:resnet18")
