"""Colours and dashes of components and the two looks, the same as in the widgets.

The other half is widgets/shared/palette.js, which is told the hues; a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

Rgb = tuple[int, int, int]
Hues = tuple[str, ...]

#: After Okabe and Ito (2008) and Tol's muted scheme (2021), told apart by most colour-blind readers; adjusted to both
#: backgrounds. Seven patterns of dashes have no factor in common with eight or nine hues.
PALETTES: dict[str, dict[str, Hues]] = {
    "okabe": {
        "light": ("0072b2", "d55e00", "009e73", "b8609a", "d18f00", "3fa0dc", "9a8a00", "66717f"),
        "dark": ("4ba6e6", "f5824a", "2cc295", "e29ac4", "f2b434", "86d0f7", "e6dc55", "b4bdc9"),
    },
    "tol": {
        "light": ("cc6677", "332288", "c4a01a", "117733", "3aabe3", "882255", "44aa99", "7f7f1e", "aa4499"),
        "dark": ("cc6677", "7a67d9", "ddcc77", "148b3c", "88ccee", "d04389", "44aa99", "999933", "b951a8"),
    },
}
#: A neutral grey for rows that belong to no component.
NOISE = {"light": (110, 120, 132), "dark": (150, 160, 172)}
#: What rows get that are not marked while others are: they step back, so that a few marked ones are seen.
UNMARKED = {"light": (180, 186, 194), "dark": (85, 93, 102)}
#: Ends of the ramp from a row that is certain to one that is not.
FAINT = {"light": (226, 230, 235), "dark": (42, 48, 56)}  # beside those, a row that is not marked
DOUBT = {"light": ((190, 200, 212), (158, 12, 86)), "dark": ((72, 82, 95), (255, 150, 84))}
#: Colour never stands alone: lengths of strokes and gaps, repeated along an ellipse; none is a solid line.
DASHES = ((), (7, 4), (2, 4), (10, 4, 2, 4), (14, 5), (5, 3, 1.5, 3, 1.5, 3), (1, 3))
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Style:
    """What a picture is drawn with."""

    theme: str
    hues: Hues
    paper: str
    ink: str
    quiet: str
    grid: str


STYLES = {
    "light": Style(
        "light", PALETTES["okabe"]["light"], paper="#ffffff", ink="#1b1f24", quiet="#59626d", grid="#e3e6ea"
    ),
    "dark": Style("dark", PALETTES["okabe"]["dark"], paper="#111418", ink="#e8ebef", quiet="#9aa4b0", grid="#272c33"),
}


def style(theme: str | Style, palette: str | Sequence[str] | None = None) -> Style:
    """The look of a theme, "light" or "dark", with the hues of a palette; a look is itself."""
    if isinstance(theme, str) and theme not in STYLES:
        raise ValueError(f"theme={theme!r}; expected one of {', '.join(map(repr, STYLES))}.")
    look = STYLES[theme] if isinstance(theme, str) else theme
    return look if palette is None else replace(look, hues=palette_hues(palette)[look.theme])


def palette_hues(palette: str | Sequence[str]) -> dict[str, Hues]:
    """The hues of both themes: of "okabe" or "tol", or colours of one's own, written as #rrggbb, in both."""
    if isinstance(palette, str) and palette in PALETTES:
        return PALETTES[palette]
    own = [] if isinstance(palette, str) or not isinstance(palette, Sequence) else [*palette]
    if not own or not all(isinstance(hue, str) and re.fullmatch("#[0-9a-fA-F]{6}", hue) for hue in own):
        names = ", ".join(map(repr, PALETTES))
        raise ValueError(f"palette={palette!r}; expected {names} or a list of colours such as '#4477aa'.")
    return dict.fromkeys(STYLES, tuple(hue[1:].lower() for hue in own))


def colour(k: int, theme: str | Style = "light") -> Rgb:
    """The colour of component k; later rounds through the hues are darker, then lighter."""
    hues = style(theme).hues
    base, lap = parse(hues[k % len(hues)]), k // len(hues) % 5
    if not lap:
        return base
    return _mix(base, BLACK if lap % 2 else WHITE, 0.3 if lap < 3 else 0.5)


def line(k: int, theme: str | Style = "light") -> Rgb:
    """A colour for thin lines over points of the same hue."""
    return _mix(colour(k, theme), WHITE if style(theme).theme == "dark" else BLACK, 0.18)


def dash(k: int) -> tuple[float, ...]:
    """Strokes and gaps of component k's ellipse."""
    return DASHES[k % len(DASHES)]


def luminance(colour: Rgb) -> float:
    """Relative luminance (WCAG 2), from 0 to 1."""
    parts = [v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def ink(colour: Rgb) -> str:
    """Near black or white, whichever is read better on this colour."""
    return "#111418" if luminance(colour) > 0.179 else "#ffffff"


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
