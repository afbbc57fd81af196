"""Colours and dashes of components and the two looks, the same as in the widgets.

The other half is widgets/shared/palette.js; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[int, int, int]

#: After Okabe and Ito (2008), told apart by most colour-blind readers; adjusted to both backgrounds.
HUES = {
    "light": ("0072b2", "d55e00", "009e73", "b8609a", "d18f00", "3fa0dc", "9a8a00", "66717f"),
    "dark": ("4ba6e6", "f5824a", "2cc295", "e29ac4", "f2b434", "86d0f7", "e6dc55", "b4bdc9"),
}
#: A neutral grey for rows that belong to no component.
NOISE = {"light": (110, 120, 132), "dark": (150, 160, 172)}
#: Ends of the ramp from a row that is certain to one that is not.
FAINT = {"light": (226, 230, 235), "dark": (42, 48, 56)}  # beside those, a row that is not marked
DOUBT = {"light": ((190, 200, 212), (158, 12, 86)), "dark": ((72, 82, 95), (255, 150, 84))}
#: Colour never stands alone: lengths of strokes and gaps, repeated along an ellipse; none is a solid line.
DASHES = ((), (7, 4), (2, 4), (10, 4, 2, 4), (14, 5), (5, 3, 1.5, 3, 1.5, 3), (1, 3))
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Style:
    """What a picture is drawn with, besides the colours of components."""

    theme: str
    paper: str
    ink: str
    quiet: str
    grid: str


STYLES = {
    "light": Style("light", paper="#ffffff", ink="#1b1f24", quiet="#59626d", grid="#e3e6ea"),
    "dark": Style("dark", paper="#111418", ink="#e8ebef", quiet="#9aa4b0", grid="#272c33"),
}


def style(theme: str) -> Style:
    """The look of a theme, "light" or "dark"."""
    if theme not in STYLES:
        raise ValueError(f"theme={theme!r}; expected one of {', '.join(map(repr, STYLES))}.")
    return STYLES[theme]


def colour(k: int, theme: str = "light") -> Rgb:
    """The colour of component k; later rounds through the hues are darker, then lighter."""
    hues = HUES[theme]
    base, lap = parse(hues[k % len(hues)]), k // len(hues) % 5
    if not lap:
        return base
    return _mix(base, BLACK if lap % 2 else WHITE, 0.3 if lap < 3 else 0.5)


def line(k: int, theme: str = "light") -> Rgb:
    """A colour for thin lines over points of the same hue."""
    return _mix(colour(k, theme), WHITE if theme == "dark" else BLACK, 0.18)


def dash(k: int) -> tuple[float, ...]:
    """Strokes and gaps of component k's ellipse."""
    return DASHES[k % len(DASHES)]


def ink(colour: Rgb) -> str:
    """Near black or white, whichever is read better on this colour (WCAG 2)."""
    parts = [v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
    luminance = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return "#111418" if luminance > 0.179 else "#ffffff"


def css(colour: Rgb) -> str:
    """As #rrggbb."""
    return "#" + "".join(f"{part:02x}" for part in colour)


def blend(paper: str, colour: Rgb, share: float) -> Rgb:
    """This share of a colour (0 to 1) on paper: the ramp of maps, from nothing to all."""
    return _mix(parse(paper), colour, share)


def parse(hexa: str) -> Rgb:
    """A colour written as rrggbb or #rrggbb."""
    hexa = hexa.removeprefix("#")
    return int(hexa[0:2], 16), int(hexa[2:4], 16), int(hexa[4:6], 16)


def _mix(a: Rgb, b: Rgb, t: float) -> Rgb:
    red, green, blue = (int(v + (w - v) * t + 0.5) for v, w in zip(a, b, strict=True))
    return red, green, blue
