"""Images: checked by their heads, never decoded in the kernel.

Guarantees: what comes out is canonical base64 of data that starts as its type says and announces a
size that a page can hold.
Assumes: browsers decode images in a confined process.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import Final

__all__ = ["IMAGE_TYPES", "check_image", "is_image"]

IMAGE_TYPES: Final = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
_AREA: Final = 50_000_000
_EDGE: Final = 32_767
_SPACE: Final = re.compile(r"[\r\n]+")
# ITU T.81, table B.1: SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def check_image(mime: str, text: str) -> str | None:
    """Return an image's canonical base64, or None when it is not what its type says."""
    try:
        raw = base64.b64decode(_SPACE.sub("", text), validate=True)
    except (ValueError, binascii.Error):
        return None
    return base64.b64encode(raw).decode("ascii") if is_image(mime, raw) else None


def is_image(mime: str, raw: bytes) -> bool:
    """Tell whether data start as their type says, and announce a size that a page can hold."""
    try:
        size = _SIZES[mime](raw)
    except (struct.error, IndexError):
        return False
    if size is None:
        return False
    width, height = size
    return 0 < width <= _EDGE and 0 < height <= _EDGE and width * height <= _AREA


def _png(raw: bytes) -> tuple[int, int] | None:
    # PNG specification, 5.2 and 11.2.2: the signature, then IHDR.
    if raw[:16] != b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR":
        return None
    width, height = struct.unpack_from(">II", raw, 16)
    return width, height


def _gif(raw: bytes) -> tuple[int, int] | None:
    if raw[:6] not in {b"GIF87a", b"GIF89a"}:
        return None
    width, height = struct.unpack_from("<HH", raw, 6)
    return width, height


def _jpeg(raw: bytes) -> tuple[int, int] | None:
    # ITU T.81, B.1: segments with a marker and a length, up to the frame's head.
    if raw[:3] != b"\xff\xd8\xff":
        return None
    at = 2
    while raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", raw, at + 5)
            return width, height
        if marker in {0xD9, 0xDA}:
            return None
        at += 2 + max(2, struct.unpack_from(">H", raw, at + 2)[0])
    return None


def _webp(raw: bytes) -> tuple[int, int] | None:
    # RFC 9649: RIFF, then a lossy, lossless or extended head.
    if raw[:4] != b"RIFF" or raw[8:12] != b"WEBP":
        return None
    match raw[12:16]:
        case b"VP8 " if raw[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack_from("<HH", raw, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L" if raw[20] == 0x2F:
            bits = int.from_bytes(raw[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X" if len(raw) >= 30:
            return (
                int.from_bytes(raw[24:27], "little") + 1,
                int.from_bytes(raw[27:30], "little") + 1,
            )
    return None


_SIZES: Final = {
    "image/gif": _gif,
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
}
