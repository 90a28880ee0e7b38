#!/usr/bin/env python3
"""Writes families/NAME.golden: what the `tokenizers` package makes of each chunk of a family's corpus.

VOCAB is a vocabulary-only GGUF file, from which the family's tokenizer is built, or a tokenizer.json. Names of special
tokens count as plain text (encode_special_tokens), those of other added tokens do not: what the server promises for text
that is not its template's. One line a chunk: the first 16 digits of the SHA-256 of the text, number of ids, the same of the ids as
little-endian int32.

Usage: make_family_golden.py VOCAB CORPUS OUTPUT     (CORPUS: written by dump_corpus)
"""
import hashlib
import struct
import sys

import tokenizers
from corpus_chunks import chunks
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(pattern=None):
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    if pattern is None:
        return level
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level])


def merges_of_scores(tokens, scores):
    """As transformers' SentencePieceExtractor."""
    ids = {t: i for i, t in enumerate(tokens)}
    merges = []
    for merged, score in zip(tokens, scores):
        local = [(merged[:i], merged[i:]) for i in range(1, len(merged)) if merged[:i] in ids and merged[i:] in ids]
        local.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges += [(pair, score) for pair in local]
    merges.sort(key=lambda item: item[1], reverse=True)
    return [pair for pair, _ in merges]


def from_gguf(path):
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    get = lambda key, default=None: fields[key].contents() if key in fields else default
    tokens, types = get("tokenizer.ggml.tokens"), get("tokenizer.ggml.token_type")
    vocab = {t: i for i, t in enumerate(tokens)}
    pre = get("tokenizer.ggml.pre")
    if get("tokenizer.ggml.model") == "llama":
        unknown = tokens[get("tokenizer.ggml.unknown_token_id", 0)]
        tokenizer = Tokenizer(models.BPE(vocab, merges_of_scores(tokens, get("tokenizer.ggml.scores")), fuse_unk=True,
                                         byte_fallback=True, unk_token=unknown))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    else:
        merges = [tuple(m.split(" ")) for m in get("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=pre == "llama-bpe"))
        tokenizer.pre_tokenizer = byte_level({"llama-bpe": PATTERN.replace("DIGITS", "{1,3}"),
                                              "qwen2": PATTERN.replace("DIGITS", "")}.get(pre))
        if pre == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
    for token, kind in zip(tokens, types):
        if kind == 4:
            tokenizer.add_tokens([AddedToken(token, normalized=False)])
    default = get("tokenizer.ggml.model") == "llama" or pre == "llama-bpe"
    prefix = [get("tokenizer.ggml.bos_token_id")] if get("tokenizer.ggml.add_bos_token", default) else []
    return lambda text: prefix + tokenizer.encode(text, add_special_tokens=False).ids


def from_json(path):
    tokenizer = Tokenizer.from_file(path)
    tokenizer.encode_special_tokens = True
    return lambda text: tokenizer.encode(text).ids


def main():
    vocabulary, corpus, output = sys.argv[1:]
    encode = from_json(vocabulary) if vocabulary.endswith(".json") else from_gguf(vocabulary)
    with open(output, "w", encoding="utf-8") as out:
        out.write(f"# make_family_golden.py, tokenizers {tokenizers.__version__}\n")
        for chunk in chunks(corpus):
            ids = encode(chunk.decode("utf-8"))
            digest = hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()
            out.write(f"{hashlib.sha256(chunk).hexdigest()[:16]} {len(ids)} {digest[:16]}\n")


if __name__ == "__main__":
    main()
