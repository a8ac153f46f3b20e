"""Scenes without people, which tests draw: test pictures, noise, textures, landscapes and machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Picture = NDArray[np.uint8]
Scene = Callable[[float], Picture]
"""A time in seconds to the picture at that time, (height, width, 3)."""

WIDTH, HEIGHT = SIZE = (320, 240)


def shown(name: str, seed: int = 0, rate: float = 25.0) -> Iterator[tuple[float, Picture]]:
    """Pictures of a scene with their times, without an end; ``seed`` changes its colours, shapes and speed."""
    scene = SCENES[name](np.random.default_rng(seed))
    number = 0
    while True:
        yield number / rate, scene(number / rate)
        number += 1


def _plain(rng: np.random.Generator) -> Scene:
    picture = np.broadcast_to(rng.integers(0, 256, 3, np.uint8), (HEIGHT, WIDTH, 3)).copy()
    return lambda _: picture


def _noise(rng: np.random.Generator) -> Scene:
    return lambda _: rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def _grain(rng: np.random.Generator) -> Scene:
    """A dark picture of a camera that sees nothing: grain only."""
    base = _clouds(rng, WIDTH, HEIGHT)[..., None] * 40
    return lambda _: _bytes(base + rng.normal(12, 8, (HEIGHT, WIDTH, 3)))


def _colour_bars(rng: np.random.Generator) -> Scene:
    """The bars of a test picture, which stand still or roll."""
    colours = np.array([(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)]) * 191
    bars = np.repeat(colours[np.arange(WIDTH) * 7 // WIDTH][None], HEIGHT, axis=0).astype(np.uint8)
    speed = rng.choice([0, 0, 30, 80])
    return lambda seconds: np.roll(bars, int(seconds * speed), axis=1)


def _gradient(rng: np.random.Generator) -> Scene:
    one, other = rng.integers(0, 256, (2, 3))
    angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.4)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    way = (x * np.cos(angle) + y * np.sin(angle)) / WIDTH

    def scene(seconds: float) -> Picture:
        share = (np.sin(2 * np.pi * (way + seconds * speed)) / 2 + 0.5)[..., None]
        return _bytes(one * share + other * (1 - share))

    return scene


def _checks(rng: np.random.Generator) -> Scene:
    edge, (right, down) = int(rng.integers(8, 50)), rng.uniform(-60, 60, 2)
    colours = rng.integers(0, 256, (2, 3), np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return lambda seconds: colours[((x + int(seconds * right)) // edge + (y + int(seconds * down)) // edge) % 2]


def _texture(rng: np.random.Generator) -> Scene:
    """A cloudy texture that slides."""
    texture = _coloured(_clouds(rng, 1024, 512), rng)
    right, down = rng.uniform(-40, 40, 2)

    def scene(seconds: float) -> Picture:
        return np.roll(texture, (int(seconds * down), int(seconds * right)), axis=(0, 1))[:HEIGHT, :WIDTH]

    return scene


def _landscape(rng: np.random.Generator) -> Scene:
    """Sky, hills, a meadow and trees; the camera pans slowly."""
    picture = _draw_landscape(rng, 3 * WIDTH)
    span, period = 2 * WIDTH - 1, rng.uniform(20, 60)

    def scene(seconds: float) -> Picture:
        left = int(span * (0.5 - 0.5 * np.cos(2 * np.pi * seconds / period)))
        return picture[:, left : left + WIDTH]

    return scene


def _photograph(rng: np.random.Generator) -> Scene:
    """A slow pan over one of two photographs: a temple, a flower."""
    datasets = pytest.importorskip("sklearn.datasets")
    name = str(rng.choice(["china.jpg", "flower.jpg"]))
    picture = np.asarray(Image.fromarray(datasets.load_sample_image(name)).resize((480, 320)))
    period = rng.uniform(10, 40)

    def scene(seconds: float) -> Picture:
        way = 0.5 - 0.5 * np.cos(2 * np.pi * seconds / period)
        left, top = int((480 - WIDTH) * way), int((320 - HEIGHT) * way)
        return picture[top : top + HEIGHT, left : left + WIDTH]

    return scene


def _zoom(rng: np.random.Generator) -> Scene:
    """A slow zoom into a landscape that stands still."""
    picture = Image.fromarray(_draw_landscape(rng, 2 * WIDTH)[:, :WIDTH])
    period = rng.uniform(15, 40)

    def scene(seconds: float) -> Picture:
        inset = 0.25 * (0.5 - 0.5 * np.cos(2 * np.pi * seconds / period))
        box = (WIDTH * inset, HEIGHT * inset, WIDTH * (1 - inset), HEIGHT * (1 - inset))
        return np.asarray(picture.resize(SIZE, Image.Resampling.BILINEAR, box))

    return scene


def _still(rng: np.random.Generator) -> Scene:
    picture = _draw_landscape(rng, 2 * WIDTH)[:, :WIDTH]
    return lambda _: picture


def _sea(rng: np.random.Generator) -> Scene:
    """Waves under a sky."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    depth = np.clip((y - HEIGHT * 0.4) / (HEIGHT * 0.6), 0.02, 1)
    waves = rng.uniform((0.2, 0.5, 0), (1.5, 2.0, 2 * np.pi), (6, 3))
    sky = np.array([150, 190, 225]) - (y[..., None] / HEIGHT) * 40

    def scene(seconds: float) -> Picture:
        height = sum(np.sin(a * x / 20 / depth**0.5 + 8 / depth + b * 3 * seconds + c) for a, b, c in waves)
        sea = np.array([30, 80, 110]) + height[..., None] * np.array([6, 9, 10])
        return _bytes(np.where((y > HEIGHT * 0.4)[..., None], sea, sky))

    return scene


def _rain(rng: np.random.Generator) -> Scene:
    """Drops, or flakes, before a landscape."""
    back = _draw_landscape(rng, 2 * WIDTH)[:, :WIDTH] // 2
    drops, fall = rng.uniform(0, 1, (250, 3)), rng.uniform(0.2, 2.0)
    length = 2 + 6 * fall

    def scene(seconds: float) -> Picture:
        image = Image.fromarray(back)
        draw = ImageDraw.Draw(image)
        for x, y, speed in drops:
            top = ((y + seconds * fall * (0.5 + speed)) % 1) * HEIGHT
            draw.line((x * WIDTH, top, x * WIDTH + 1, top + length), fill=(190, 200, 210))
        return np.asarray(image)

    return scene


def _stars(rng: np.random.Generator) -> Scene:
    """A flight through stars."""
    stars = rng.uniform((-1, -1, 0), (1, 1, 1), (300, 3))
    speed = rng.uniform(0.05, 0.4)

    def scene(seconds: float) -> Picture:
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        depth = (stars[:, 2] - seconds * speed) % 1 + 0.02
        x, y = (WIDTH / 2 * (1 + stars[:, 0] / depth / 3)), (HEIGHT / 2 * (1 + stars[:, 1] / depth / 3))
        inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
        picture[y[inside].astype(int), x[inside].astype(int)] = _bytes(255 * (1 - depth[inside]))[:, None]
        return picture

    return scene


def _gears(rng: np.random.Generator) -> Scene:
    """Wheels with teeth, which turn."""
    back = tuple(rng.integers(40, 200, 3).tolist())
    wheels = [
        (rng.uniform(40, 280), rng.uniform(40, 200), rng.uniform(25, 70), int(rng.integers(8, 20)), rng.uniform(-2, 2))
        for _ in range(5)
    ]
    greys = rng.integers(60, 220, 5).tolist()

    def scene(seconds: float) -> Picture:
        image = Image.new("RGB", SIZE, back)
        draw = ImageDraw.Draw(image)
        for (x, y, radius, teeth, speed), grey in zip(wheels, greys, strict=True):
            angles = np.arange(teeth * 4) * (2 * np.pi / teeth / 4) + seconds * speed
            reach = np.where(np.arange(teeth * 4) % 4 < 2, radius, radius * 0.82)
            rim = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
            draw.polygon([tuple(point) for point in rim.tolist()], fill=(grey, grey, grey + 20))
            hub = radius / 4
            draw.ellipse((x - hub, y - hub, x + hub, y + hub), fill=(30, 30, 30))
        return np.asarray(image)

    return scene


def _piston(rng: np.random.Generator) -> Scene:
    """A wheel that drives a piston, over a conveyor belt with boxes."""
    speed, belt = rng.uniform(1, 6), rng.uniform(20, 80)
    colours = rng.integers(60, 220, (8, 3)).tolist()
    back = _coloured(_clouds(rng, 512, 256), rng)[:HEIGHT, :WIDTH] // 3

    def scene(seconds: float) -> Picture:
        image = Image.fromarray(back)
        draw = ImageDraw.Draw(image)
        x, y = 90 + 35 * np.cos(seconds * speed), 90 + 35 * np.sin(seconds * speed)
        head = x + np.sqrt(110**2 - (y - 90) ** 2)
        draw.ellipse((45, 45, 135, 135), fill=(110, 110, 120), outline=(20, 20, 20))
        draw.line((x, y, head, 90), fill=(200, 200, 205), width=8)
        draw.rectangle((head, 70, head + 45, 110), fill=(160, 60, 50))
        draw.rectangle((0, 200, WIDTH, 215), fill=(40, 40, 40))
        for number, colour in enumerate(colours):
            left = (number * 60 + seconds * belt) % 480 - 60
            draw.rectangle((left, 165, left + 38, 200), fill=tuple(colour))
        return np.asarray(image)

    return scene


def _clock(rng: np.random.Generator) -> Scene:
    """A clock with a pendulum."""
    back, face = rng.integers(60, 200, 3).tolist(), rng.integers(200, 256, 3).tolist()
    swing = rng.uniform(2, 6)

    def scene(seconds: float) -> Picture:
        image = Image.new("RGB", SIZE, tuple(back))
        draw = ImageDraw.Draw(image)
        angle = 0.35 * np.sin(seconds * swing)
        end = (160 + 110 * np.sin(angle), 100 + 110 * np.cos(angle))
        draw.line((160, 100, *end), fill=(90, 60, 20), width=4)
        draw.ellipse((end[0] - 16, end[1] - 16, end[0] + 16, end[1] + 16), fill=(200, 160, 60))
        draw.ellipse((90, 30, 230, 170), fill=tuple(face), outline=(20, 20, 20))
        for turn, length in ((seconds / 60, 60), (seconds / 3600 + 0.3, 50), (0.83, 35)):
            way = 2 * np.pi * turn
            draw.line((160, 100, 160 + length * np.sin(way), 100 - length * np.cos(way)), fill=(10, 10, 10), width=3)
        return np.asarray(image)

    return scene


def _credits(rng: np.random.Generator) -> Scene:
    """Lines of text that roll up."""
    letters = "abcdefghijklmnopqrstuvwxyz     "
    lines = ["".join(rng.choice(list(letters), rng.integers(10, 30))).title() for _ in range(40)]
    roll = Image.new("RGB", (WIDTH, 40 * 24 + HEIGHT))
    for number, line in enumerate(lines):
        position = (WIDTH // 2, HEIGHT + number * 24)
        ImageDraw.Draw(roll).text(position, line, (230, 230, 230), ImageFont.load_default(14), anchor="mt")
    pixels, speed = np.asarray(roll), rng.uniform(15, 50)
    return lambda seconds: np.roll(pixels, -int(seconds * speed), axis=0)[:HEIGHT]


def _ball(rng: np.random.Generator) -> Scene:
    """A disc that bounces off the edges, as a screen saver."""
    colours, speed = rng.integers(0, 256, (2, 3)).tolist(), rng.uniform(40, 150, 2)

    def scene(seconds: float) -> Picture:
        image = Image.new("RGB", SIZE, tuple(colours[0]))
        x, y = (
            edge - abs((seconds * fast) % (2 * edge) - edge)
            for edge, fast in zip((WIDTH - 40, HEIGHT - 40), speed, strict=True)
        )
        ImageDraw.Draw(image).ellipse((x, y, x + 40, y + 40), fill=tuple(colours[1]))
        return np.asarray(image)

    return scene


SCENES: dict[str, Callable[[np.random.Generator], Scene]] = {
    "plain": _plain,
    "noise": _noise,
    "grain": _grain,
    "colour bars": _colour_bars,
    "gradient": _gradient,
    "checks": _checks,
    "texture": _texture,
    "landscape": _landscape,
    "photograph": _photograph,
    "zoom": _zoom,
    "still": _still,
    "sea": _sea,
    "rain": _rain,
    "stars": _stars,
    "gears": _gears,
    "piston": _piston,
    "clock": _clock,
    "credits": _credits,
    "ball": _ball,
}


def _bytes(values: NDArray[np.float64]) -> Picture:
    return np.clip(values, 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    """Noise whose power falls with the square of the frequency, in [0, 1]; it repeats at its edges."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    spectrum = rng.normal(size=(2, *frequency.shape)) / frequency**1.2
    clouds: NDArray[np.float64] = np.fft.irfft2(spectrum[0] + 1j * spectrum[1], s=(height, width))
    return (clouds - clouds.min()) / (clouds.max() - clouds.min())


def _coloured(values: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    low, high = rng.integers(0, 120, 3), rng.integers(120, 256, 3)
    return _bytes(low + (high - low) * values[..., None])


def _draw_landscape(rng: np.random.Generator, width: int) -> Picture:
    sky = np.linspace((90, 140, 210), (210, 220, 230), HEIGHT)[:, None] * np.ones((1, width, 1))
    clouds = np.clip(_clouds(rng, width, HEIGHT) * 3 - 1.4, 0, 1)[..., None]
    picture = Image.fromarray(_bytes(sky * (1 - clouds) + 245 * clouds))
    draw = ImageDraw.Draw(picture)
    for layer in range(3):
        ridge = _clouds(rng, width, 2)[0]
        top = HEIGHT * (0.35 + 0.18 * layer) + 70 * (0.5 - ridge)
        colour = tuple((np.array([120, 135, 140]) * (1 - layer / 3) + np.array([60, 110, 40]) * layer / 3).astype(int))
        draw.polygon([(0, HEIGHT), *enumerate(top.tolist()), (width, HEIGHT)], fill=colour)
    for x in rng.uniform(0, width, width // 40):
        y, size = rng.uniform(HEIGHT * 0.7, HEIGHT * 0.95), rng.uniform(8, 30)
        draw.rectangle((x - size / 10, y - size, x + size / 10, y), fill=(70, 50, 30))
        draw.ellipse((x - size * 0.6, y - size * 2.2, x + size * 0.6, y - size * 0.7), fill=(30, 80 + int(size), 30))
    grained = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)), np.float64)
    return _bytes(grained + rng.normal(0, 6, grained.shape))
