"""How a file is cut into the parts of a multipart upload.

S3: at most 10,000 parts of 5 MiB to 5 GiB, the last may be smaller; an object has at most 5 TiB
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html). The size of a part follows from the file's alone,
so that a client can hash part by part before it has asked for anything.
"""

MIB = 1024 * 1024
LEAST_PART = 8 * MIB
MOST_PARTS = 10_000
MOST_BYTES = 5 * 1024 * 1024 * MIB


def part_size(size: int) -> int:
    """Bytes of every part but the last, of a file of ``size`` bytes. ValueError above 5 TiB."""
    if not 0 <= size <= MOST_BYTES:
        raise ValueError(f"a file has 0 to {MOST_BYTES:,} bytes")
    needed = -(-size // MOST_PARTS)
    return max(LEAST_PART, -(-needed // MIB) * MIB)  # whole MiB: offsets that people can read


def part_count(size: int) -> int:
    """Parts of a file of ``size`` bytes; an empty file has one, which is empty."""
    return max(1, -(-size // part_size(size)))


def part_range(size: int, number: int) -> tuple[int, int]:
    """First byte and length of part ``number``, from 1."""
    each = part_size(size)
    start = (number - 1) * each
    return start, min(each, size - start)
