"""A GGUF file of the llama family as float32 arrays, a Hugging Face config and a tokenizer.

Only what the golden reference needs; the C++ loader is written independently of this file.
"""

import gguf
import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers
from transformers import LlamaConfig

CONTROL_TOKEN = 3  # tokenizer.ggml.token_type of special tokens


class GgufLlama:
    """Metadata, dequantized tensors (exactly d*q or d*q+m in float32), tokenizer and template."""

    def __init__(self, path):
        self._reader = gguf.GGUFReader(path)
        if self.field("general.architecture") != "llama":
            raise ValueError(f"{path}: not a file of the llama family")
        self.chat_template = self.field("tokenizer.chat_template")

    def field(self, name):
        field = self._reader.get_field(name)
        if field is None:
            raise ValueError(f"missing metadata field {name}")
        return field.contents()

    def config(self):
        return LlamaConfig(
            vocab_size=self.field("llama.vocab_size"),
            hidden_size=self.field("llama.embedding_length"),
            intermediate_size=self.field("llama.feed_forward_length"),
            num_hidden_layers=self.field("llama.block_count"),
            num_attention_heads=self.field("llama.attention.head_count"),
            num_key_value_heads=self.field("llama.attention.head_count_kv"),
            max_position_embeddings=self.field("llama.context_length"),
            rms_norm_eps=float(self.field("llama.attention.layer_norm_rms_epsilon")),
            rope_parameters={
                "rope_type": "default",
                "rope_theta": float(self.field("llama.rope.freq_base")),
            },
            hidden_act="silu",
            attention_bias=False,
            mlp_bias=False,
            tie_word_embeddings=True,
            bos_token_id=self.field("tokenizer.ggml.bos_token_id"),
            eos_token_id=self.field("tokenizer.ggml.eos_token_id"),
            attn_implementation="eager",
        )

    def state_dict(self):
        """Hugging Face parameter name -> float32 array [out, in] (or [n] for norms)."""
        heads = {"q_proj": self.field("llama.attention.head_count"),
                 "k_proj": self.field("llama.attention.head_count_kv")}
        state = {}
        for tensor in self._reader.tensors:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            if values.dtype != np.float32:
                raise ValueError(f"{tensor.name}: dequantized to {values.dtype}")
            name = _hugging_face_name(tensor.name)
            if name is None:
                raise ValueError(f"unknown tensor {tensor.name}")
            for projection, num_heads in heads.items():
                if f".{projection}." in name:
                    values = _unpermute(values, num_heads)
            state[name] = np.array(values, dtype=np.float32)
        return state

    def tokenizer(self):
        """Byte-level BPE with individual digits; the control tokens are special."""
        if self.field("tokenizer.ggml.pre") != "smollm":
            raise ValueError("only the smollm pre-tokenizer is known here")
        tokens = self.field("tokenizer.ggml.tokens")
        types = self.field("tokenizer.ggml.token_type")
        merges = [tuple(m.split(" ")) for m in self.field("tokenizer.ggml.merges")]
        vocab = {token: i for i, token in enumerate(tokens)}
        result = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
        result.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ])
        result.decoder = tokenizers.decoders.ByteLevel()
        result.add_special_tokens([t for t, kind in zip(tokens, types) if kind == CONTROL_TOKEN])
        if result.get_vocab_size() != len(tokens):
            raise ValueError("adding the special tokens changed the vocabulary's size")
        return result


def _unpermute(weight, num_heads):
    """GGUF's llama family stores q and k rows for interleaved RoPE; Hugging Face rotates halves."""
    rows, columns = weight.shape
    return (weight.reshape(num_heads, rows // num_heads // 2, 2, columns)
            .swapaxes(1, 2).reshape(rows, columns))


def _hugging_face_name(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    parts = name.split(".")
    inner = {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    if len(parts) != 4 or parts[0] != "blk" or parts[3] != "weight" or parts[2] not in inner:
        return None
    return f"model.layers.{parts[1]}.{inner[parts[2]]}.weight"
