"""PNG files whose pixels are good and whose other parts are not."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Chunks besides the critical ones that change how an image looks.
_SEEN = (b"tRNS", b"eXIf", b"acTL", b"fcTL")
_XMP = b"XML:com.adobe.xmp\0\0"  # may say which way is up; not compressed


def plain(data: bytes) -> bytes | None:
    """The file without what is not seen: texts, color profiles, and unimportant chunks with a wrong checksum.

    Pillow refuses a file for a text of more than a megabyte or for any wrong checksum; libpng, which everybody else
    uses, goes on without a chunk that is not critical (PNG specification, section 13.2).

    Returns:
        None where it is no PNG or there is nothing to leave out.
    """
    if not data.startswith(SIGNATURE):
        return None
    kept, position = [SIGNATURE], len(SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        chunk = data[position:end]
        if kind[0] < ord("a") or (_is_seen(kind, chunk) and _is_whole(chunk)):  # a critical one has a capital letter
            kept.append(chunk)
        position = end
    without = b"".join(kept) + data[position:]
    return without if len(without) < len(data) else None


def _is_seen(kind: bytes, chunk: bytes) -> bool:
    return kind in _SEEN or (kind == b"iTXt" and chunk[8 : 8 + len(_XMP)] == _XMP and len(chunk) < 1 << 20)


def _is_whole(chunk: bytes) -> bool:
    return len(chunk) >= 12 and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
