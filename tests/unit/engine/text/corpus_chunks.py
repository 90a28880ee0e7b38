"""Reads the corpus files that dump_corpus writes: each chunk behind its length in 8 bytes, little-endian."""
import struct


def chunks(path):
    data = open(path, "rb").read()
    pos = 0
    while pos < len(data):
        size, = struct.unpack_from("<Q", data, pos)
        yield data[pos + 8:pos + 8 + size]
        pos += 8 + size
