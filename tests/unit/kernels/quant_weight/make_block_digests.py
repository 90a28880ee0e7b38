"""Prints the digests of block_format_test.cc, computed by another implementation of the block formats.

    pip install gguf==0.19.0 && python3 tests/unit/kernels/quant_weight/make_block_digests.py

Per type 64 blocks of pseudo-random bytes are dequantized; the digest is FNV-1a over the floats' bits, NaNs made equal.
"""

import gguf
import numpy

BLOCKS = 64
TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
MASK = (1 << 64) - 1


def split_mix(seed, count):
    """`count` bytes of the SplitMix64 sequence, little-endian."""
    out = bytearray()
    while len(out) < count:
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out += (z ^ (z >> 31)).to_bytes(8, "little")
    return bytes(out[:count])


def digest(values):
    bits = values.astype(numpy.float32).view(numpy.uint32).copy()
    bits[numpy.isnan(values)] = 0x7FC00000
    out = 0xCBF29CE484222325
    for byte in bits.astype("<u4").tobytes():
        out = ((out ^ byte) * 0x100000001B3) & MASK
    return out


def main():
    numpy.seterr(all="ignore")
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        _, size = gguf.GGML_QUANT_SIZES[kind]
        data = numpy.frombuffer(split_mix(kind.value, BLOCKS * size), dtype=numpy.uint8)
        values = gguf.dequantize(data.reshape(BLOCKS, size), kind).reshape(-1)
        print(f"{name} 0x{digest(values):016x}")


if __name__ == "__main__":
    main()
