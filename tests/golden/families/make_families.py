"""Records what Hugging Face Transformers computes for a tiny model of each served family.

    python make_families.py            # writes cases/*.txt next to this file
    python make_families.py --save DIR # also each model as Transformers saves it, for a look or a try

Weights are no file: weight i of tensor NAME is a formula of both (values_of below, and
family_case.cc). They are odd integers below 256 times a power of two, so the same numbers in F32, F16
and BF16, and one record stands for all three. Torch on the CPU, float64, eager attention.
Needs torch, transformers, numpy (they were 2.15.0, 5.23.0, 2.4.6).

The cases NAME_wide are the same families at widths that are multiples of 256, the block of the K-quants. Their matrices
have four levels, times a factor per group of 32 (exact_values_of): every tensor type of GGUF holds such numbers exactly, so
here too one record stands for all types.

A case file holds one line per fact: "config JSON", "levels exact" for a wide case, "tensor NAME SIZES...", "tokens IDS...",
and "row POSITION LOGITS..." for a few positions.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
NUM_TOKENS = 70  # two full pages and a part
ROWS = (0, 33, 69)
WIDE_ROWS = (33, 69)
TOKEN_SEED = 7

# Powers of two that bring activations, scores and logits to a few units; the first match counts.
SCALES = [
    ("embed_tokens", 7), ("lm_head", 7), ("model.norm", 10), ("norm", 7), (".bias", 9),
    ("q_proj", 11), ("k_proj", 11), ("gate_proj", 11), ("up_proj", 11), ("", 10),
]

SHAPE = dict(vocab_size=272, hidden_size=128, intermediate_size=192, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
             bos_token_id=1, eos_token_id=2)
LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def rope(theta):
    return {"rope_type": "default", "rope_theta": theta}


def llama(**changes):
    return transformers.LlamaConfig(**{**SHAPE, "rms_norm_eps": 1e-5, **changes})


def mistral(**changes):
    return transformers.MistralConfig(**{**SHAPE, "rms_norm_eps": 1e-5, "head_dim": None, **changes})


def qwen2(**changes):
    return transformers.Qwen2Config(**{**SHAPE, "vocab_size": 275, "rope_parameters": rope(1e6), **changes})


def qwen3(**changes):
    return transformers.Qwen3Config(**{**SHAPE, "hidden_size": 96, "head_dim": 64, "vocab_size": 275,
                                       "rope_parameters": rope(1e6), **changes})


CASES = {
    "llama2_untied": lambda: llama(num_key_value_heads=4, rope_parameters=rope(10000.0)),
    "llama3_untied": lambda: llama(rope_parameters=LLAMA3_ROPE),
    "llama3_tied": lambda: llama(rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True),
    "llama_linear_untied": lambda: llama(
        rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
    "smollm2_tied": lambda: llama(hidden_size=288, num_attention_heads=9, num_key_value_heads=3,
                                  rope_parameters=rope(100000.0), tie_word_embeddings=True),
    "mistral_untied": lambda: mistral(sliding_window=None, rope_parameters=rope(1e6)),
    # Its window of 80 covers all 70 tokens.
    "mistral_tied": lambda: mistral(sliding_window=80, tie_word_embeddings=True),
    "qwen2_untied": lambda: qwen2(),
    "qwen2_tied": lambda: qwen2(tie_word_embeddings=True),
    "qwen3_untied": lambda: qwen3(),
    "qwen3_tied": lambda: qwen3(tie_word_embeddings=True),
}


def wide(name):
    """The case with every matrix's columns a multiple of 256; as many heads per KV head as before."""
    config = CASES[name]()
    changes = dict(hidden_size=256, intermediate_size=256, vocab_size=97 if name.startswith("qwen") else 96)
    if name.startswith("smollm2"):
        changes |= dict(num_attention_heads=12, num_key_value_heads=4, head_dim=64)
    elif name.startswith("llama2"):
        changes |= dict(num_attention_heads=8, num_key_value_heads=8, head_dim=32)
    else:
        changes |= dict(num_attention_heads=4, num_key_value_heads=2, head_dim=64)
    for key, value in changes.items():
        setattr(config, key, value)
    return config


def mix64(x):
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_bits(seed, count):
    """RandomBits(seed, 0..count) of engine/base/rng.h."""
    counters = np.arange(count, dtype=np.uint64)
    return mix64(mix64(np.array([seed], dtype=np.uint64)) ^ mix64(~counters))


def fnv1a(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def values_of(name, count):
    exponent = next(scale for part, scale in SCALES if part in name)
    steps = (random_bits(fnv1a(name), count) >> np.uint64(56)).astype(np.int64) * 2 - 255
    return steps.astype(np.float64) * 2.0**-exponent


def exact_values_of(name, count):
    exponent = next(scale for part, scale in SCALES if part in name)
    seed = fnv1a(name)
    levels = (random_bits(seed, count) >> np.uint64(62)).astype(np.int64) * 2 - 3
    factors = 1 + (random_bits(~seed % 2**64, -(-count // 32)) % np.uint64(3)).astype(np.int64)
    return (levels * np.repeat(factors, 32)[:count]).astype(np.float64) * 2.0 ** (5 - exponent)


def make_model(config, exact):
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).to(torch.float64).eval()
    state = model.state_dict()
    if config.tie_word_embeddings:
        state.pop("lm_head.weight")
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    with torch.no_grad():
        for name, tensor in state.items():
            formula = exact_values_of if exact and tensor.dim() == 2 else values_of
            tensor.copy_(torch.from_numpy(formula(name, tensor.numel()).reshape(tensor.shape)))
    return model, shapes


def config_text(config, model):
    fields = config.to_diff_dict()
    fields["architectures"] = [type(model).__name__]
    return json.dumps(fields, sort_keys=True)


def record(name, config, save):
    exact = name.endswith("_wide")
    model, shapes = make_model(config, exact)
    tokens = (random_bits(TOKEN_SEED, NUM_TOKENS) % np.uint64(config.vocab_size)).astype(np.int64)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens)[None]).logits[0]
    lines = ["config " + config_text(config, model)]
    lines += ["levels exact"] if exact else []
    lines += [" ".join(["tensor", tensor, *map(str, shape)]) for tensor, shape in sorted(shapes.items())]
    lines.append("tokens " + " ".join(map(str, tokens)))
    for row in WIDE_ROWS if exact else ROWS:
        lines.append(f"row {row} " + " ".join(f"{value:.7g}" for value in logits[row].tolist()))
    (HERE / "cases" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    if save:
        model.to(torch.float32).save_pretrained(save / name)
    print(f"{name}: {sum(np.prod(s) for s in shapes.values())} weights, "
          f"logits of standard deviation {logits.std().item():.3f}, largest {logits.abs().max().item():.3f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", type=pathlib.Path)
    save = parser.parse_args().save
    (HERE / "cases").mkdir(exist_ok=True)
    with np.errstate(over="ignore"):
        for name in CASES:
            record(name, CASES[name](), save)
            record(f"{name}_wide", wide(name), save)


if __name__ == "__main__":
    main()
