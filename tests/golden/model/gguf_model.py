"""A GGUF file of the llama or the qwen2 family as float32 arrays, a Hugging Face config and a tokenizer.

Only what the golden references need; the C++ loader is written independently of this file.
"""

import gguf
import numpy as np
import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

CONTROL_TOKEN = 3  # tokenizer.ggml.token_type of special tokens


# As Qwen's tokenizer.json has it.
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
               r"|\s*[\r\n]+|\s+(?!\S)|\s+")


class GgufModel:
    """Metadata, dequantized tensors (in float32), tokenizer and template."""

    def __init__(self, path):
        self._reader = gguf.GGUFReader(path)
        self.architecture = self.field("general.architecture")
        if self.architecture not in ("llama", "qwen2"):
            raise ValueError(f"{path}: neither of the llama nor of the qwen2 family")
        self.chat_template = self.field("tokenizer.chat_template")
        self.tied = all(tensor.name != "output.weight" for tensor in self._reader.tensors)

    def field(self, name):
        field = self._reader.get_field(name)
        if field is None:
            raise ValueError(f"missing metadata field {name}")
        return field.contents()

    def shape(self, name):
        return self.field(f"{self.architecture}.{name}")

    def vocab_size(self):
        return len(self.field("tokenizer.ggml.tokens"))

    def hugging_face_class(self):
        return {"llama": LlamaForCausalLM, "qwen2": Qwen2ForCausalLM}[self.architecture]

    def config(self):
        common = {
            "vocab_size": self.vocab_size(),
            "hidden_size": self.shape("embedding_length"),
            "intermediate_size": self.shape("feed_forward_length"),
            "num_hidden_layers": self.shape("block_count"),
            "num_attention_heads": self.shape("attention.head_count"),
            "num_key_value_heads": self.shape("attention.head_count_kv"),
            "max_position_embeddings": self.shape("context_length"),
            "rms_norm_eps": float(self.shape("attention.layer_norm_rms_epsilon")),
            "rope_parameters": {"rope_type": "default", "rope_theta": float(self.shape("rope.freq_base"))},
            "hidden_act": "silu",
            "tie_word_embeddings": self.tied,
            "bos_token_id": self.field("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self.field("tokenizer.ggml.eos_token_id"),
            "attn_implementation": "eager",
        }
        if self.architecture == "qwen2":
            return Qwen2Config(**common)
        return LlamaConfig(**common, attention_bias=False, mlp_bias=False)

    def state_dict(self):
        """Hugging Face parameter name -> float32 array [out, in] (or [n] for norms)."""
        heads = {}
        if self.architecture == "llama":  # the only family whose rows GGUF orders for interleaved RoPE
            heads = {"q_proj": self.shape("attention.head_count"), "k_proj": self.shape("attention.head_count_kv")}
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

    def pre_tokenizer(self):
        kind = self.field("tokenizer.ggml.pre")
        if kind == "smollm":
            split, regex = pre_tokenizers.Digits(individual_digits=True), True
        elif kind == "qwen2":
            split, regex = pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"), False
        else:
            raise ValueError(f"the pre-tokenizer {kind} is not known here")
        return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)])

    def tokenizer(self):
        """Byte-level BPE; the control tokens are special."""
        tokens = self.field("tokenizer.ggml.tokens")
        types = self.field("tokenizer.ggml.token_type")
        merges = [tuple(m.split(" ")) for m in self.field("tokenizer.ggml.merges")]
        vocab = {token: i for i, token in enumerate(tokens)}
        result = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
        result.pre_tokenizer = self.pre_tokenizer()
        if self.architecture == "qwen2":
            result.normalizer = normalizers.NFC()
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
    if name == "output.weight":
        return "lm_head.weight"
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
    if len(parts) != 4 or parts[0] != "blk" or parts[3] not in ("weight", "bias") or parts[2] not in inner:
        return None
    return f"model.layers.{parts[1]}.{inner[parts[2]]}.{parts[3]}"
