"""The one colour scale of the picture: log10 of the gradient's RMS, from viridis.

Viridis grows evenly in lightness, so it can be read by the colour-blind and in grey
(Smith and van der Walt, matplotlib 2015; public domain, CC0). Sampled here at ten points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_VIRIDIS = (
    (0x44, 0x01, 0x54),
    (0x48, 0x28, 0x78),
    (0x3E, 0x49, 0x89),
    (0x31, 0x68, 0x8E),
    (0x26, 0x82, 0x8E),
    (0x1F, 0x9E, 0x89),
    (0x35, 0xB7, 0x79),
    (0x6E, 0xCE, 0x58),
    (0xB5, 0xDE, 0x2B),
    (0xFD, 0xE7, 0x25),
)
NONFINITE = "#c2003a"
ZERO = "#000000"
UNMEASURED = "#eceff1"
ABSENT = "#ffffff"
FLAG = {"error": "#c62828", "warning": "#e65100", "info": "#1565c0"}
DARK_TEXT = "#000000"
LIGHT_TEXT = "#ffffff"

MIN_DECADES = 4
"""A scale spans at least that, so that a healthy graph does not look dramatic."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Colours for gradients between ``10**low`` and ``10**high``.

    Attributes:
        low: Power of ten of the darkest colour.
        high: Power of ten of the brightest colour.
    """

    low: int
    high: int

    def position(self, rms: float) -> float:
        """Where a positive finite RMS lies between dark (0) and bright (1)."""
        place = (math.log10(rms) - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, place))

    def color(self, rms: float | None) -> str:
        """Fill colour; special values have colours that the scale does not."""
        if rms is None:
            return UNMEASURED
        if not math.isfinite(rms):
            return NONFINITE
        return ZERO if rms == 0 else _viridis(self.position(rms))

    def shade(self, position: float) -> str:
        """Colour at a position between dark (0) and bright (1)."""
        return _viridis(position)

    def ticks(self, most: int = 9) -> list[int]:
        """Powers of ten for a legend, falling, the brightest included."""
        step = max(1, math.ceil((self.high - self.low) / (most - 1)))
        return list(range(self.high, self.low - 1, -step))

    def tick_color(self, power: int) -> str:
        """Colour of ``10**power``."""
        return _viridis((power - self.low) / (self.high - self.low))


def scale_for(values: Iterable[float | None]) -> Scale:
    """A scale in whole decades around the positive finite values."""
    logs = [math.log10(v) for v in values if v is not None and math.isfinite(v) and v > 0]
    if not logs:
        return Scale(-MIN_DECADES, 0)
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return Scale(min(low, high - MIN_DECADES), high)


def text_on(color: str) -> str:
    """Black or white, whichever contrasts more with a ``#rrggbb`` (WCAG 2 relative luminance)."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Contrast with white and with black is equal at sqrt(1.05 * 0.05) - 0.05.
    return LIGHT_TEXT if luminance < 0.179 else DARK_TEXT


def _viridis(position: float) -> str:
    place = position * (len(_VIRIDIS) - 1)
    index = min(int(place), len(_VIRIDIS) - 2)
    part = place - index
    mixed = (
        round(a + (b - a) * part) for a, b in zip(_VIRIDIS[index], _VIRIDIS[index + 1], strict=True)
    )
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
