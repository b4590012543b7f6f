"""A tiny PNG writer for pictures that are one pixel per number, such as a heat map."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_COLORS = 256


def png_data_uri(pixels: Sequence[Sequence[int]], palette: Sequence[str | None]) -> str:
    """A ``data:`` URI of an indexed PNG.

    Args:
        pixels: Rows of equal length of indices into the palette.
        palette: Up to 256 colours ``#rrggbb``; None is transparent.

    Raises:
        ValueError: There is no pixel, or too many colours.
    """
    if not pixels or not pixels[0] or len(palette) > _MOST_COLORS:
        raise ValueError("a picture needs a pixel and at most 256 colours")
    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 3, 0, 0, 0)
    colors = b"".join(bytes.fromhex((color or "#000000")[1:]) for color in palette)
    opacity = bytes(0 if color is None else 255 for color in palette)
    rows = b"".join(b"\0" + bytes(row) for row in pixels)
    data = _SIGNATURE + b"".join(
        _chunk(kind, body)
        for kind, body in (
            (b"IHDR", header),
            (b"PLTE", colors),
            (b"tRNS", opacity),
            (b"IDAT", zlib.compress(rows, 9)),
            (b"IEND", b""),
        )
    )
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
