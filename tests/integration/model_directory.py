"""Writes tiny random models as the Hugging Face directories that people download: safetensors, config.json, tokenizer, chat template.

Tokenizers and templates are those of the golden tests. Standard library only. The same arguments give the same bytes.
"""

import array
import json
import math
import random
import shutil
import struct

import harness

TEXT_TESTS = harness.ROOT / "tests" / "unit" / "engine" / "text"
HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, LAYERS = 64, 96, 2, 1, 32, 2

# model_type: class, tokenizer, chat template, begin and end token.
FAMILIES = {
    "llama": ("LlamaForCausalLM", "llama3", "llama-3.2", "<|begin_of_text|>", "<|eot_id|>"),
    "mistral": ("MistralForCausalLM", "mistral", "mistral-v3", "<s>", "</s>"),
    "qwen2": ("Qwen2ForCausalLM", "qwen2", "qwen2.5", None, "<|im_end|>"),
    "qwen3": ("Qwen3ForCausalLM", "qwen2", "qwen3", None, "<|im_end|>"),
}


def shapes(family, vocab, tied):
    """{Hugging Face's tensor name: shape}"""
    out = {"model.embed_tokens.weight": (vocab, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        start = f"model.layers.{layer}."
        for name, rows in (("q", HEADS * HEAD_DIM), ("k", KV_HEADS * HEAD_DIM), ("v", KV_HEADS * HEAD_DIM)):
            out[f"{start}self_attn.{name}_proj.weight"] = (rows, HIDDEN)
            if family == "qwen2":
                out[f"{start}self_attn.{name}_proj.bias"] = (rows,)
            if family == "qwen3" and name != "v":
                out[f"{start}self_attn.{name}_norm.weight"] = (HEAD_DIM,)
        out[f"{start}self_attn.o_proj.weight"] = (HIDDEN, HEADS * HEAD_DIM)
        for name, shape in (("gate", (FFN, HIDDEN)), ("up", (FFN, HIDDEN)), ("down", (HIDDEN, FFN))):
            out[f"{start}mlp.{name}_proj.weight"] = shape
        for name in ("input_layernorm", "post_attention_layernorm"):
            out[f"{start}{name}.weight"] = (HIDDEN,)
    if not tied:
        out["lm_head.weight"] = (vocab, HIDDEN)
    return out


def safetensors(tensors, seed):
    """The bytes of a file that holds random F32 tensors of these shapes."""
    header, data = {}, bytearray()
    for name, shape in tensors.items():
        numbers = random.Random(f"{seed} {name}")
        center, spread = (1.0, 0.2) if "norm" in name else (0.0, 0.3)
        values = array.array("f", (center + numbers.uniform(-spread, spread) for _ in range(math.prod(shape))))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def write(folder, family, tied, num_shards=1):
    """Makes the directory `folder`, a path that is not there yet."""
    class_name, tokenizer_name, template, begin, end = FAMILIES[family]
    folder.mkdir()
    shutil.copy(TEXT_TESTS / "families" / f"{tokenizer_name}.tokenizer.json", folder / "tokenizer.json")
    shutil.copy(TEXT_TESTS / "templates" / f"{template}.jinja", folder / "chat_template.jinja")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    ids = {**tokenizer["model"]["vocab"], **{token["content"]: token["id"] for token in tokenizer["added_tokens"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": begin, "eos_token": end}))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [ids[end]]}))
    vocab = max(ids.values()) + 1
    (folder / "config.json").write_text(json.dumps({
        "architectures": [class_name], "model_type": family, "hidden_size": HIDDEN, "intermediate_size": FFN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM,
        "vocab_size": vocab, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
        "hidden_act": "silu", "sliding_window": None, "tie_word_embeddings": tied, "torch_dtype": "float32"}))
    tensors = shapes(family, vocab, tied)
    if num_shards == 1:
        (folder / "model.safetensors").write_bytes(safetensors(tensors, family))
        return
    names = [f"model-{shard + 1:05}-of-{num_shards:05}.safetensors" for shard in range(num_shards)]
    places = {name: names[i % num_shards] for i, name in enumerate(tensors)}
    for file in names:
        part = {name: shape for name, shape in tensors.items() if places[name] == file}
        (folder / file).write_bytes(safetensors(part, family))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
