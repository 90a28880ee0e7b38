"""Prints logits of a llama GGUF file in F32 as Hugging Face Transformers computes them in float64.

Made the numbers in tests/unit/engine/model/reference_llama_test.cc:
    python tests/support/tiny_reference.py TINY.gguf 1 70 71 72 200 3 319 0
Needs torch, transformers, gguf, numpy (they were 2.15.0, 5.23.0, 0.19.0 and 2.5.5).
"""

import sys

import gguf
import torch
import transformers


def unpermute(weight, heads):
    """GGUF keeps the q and k rows of a head as neighbouring pairs; Transformers wants two halves."""
    rows = weight.shape[0] // heads
    shaped = weight.reshape(heads, rows // 2, 2, *weight.shape[1:])
    return shaped.swapaxes(1, 2).reshape(weight.shape)


def load(path):
    reader = gguf.GGUFReader(path)
    value = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {t.name: torch.tensor(t.data, dtype=torch.float64) for t in reader.tensors}
    heads, kv_heads = (value["llama.attention.head_count" + s] for s in ("", "_kv"))
    config = transformers.LlamaConfig(
        vocab_size=value["llama.vocab_size"],
        hidden_size=value["llama.embedding_length"],
        intermediate_size=value["llama.feed_forward_length"],
        num_hidden_layers=value["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=value["llama.attention.key_length"],
        rms_norm_eps=value["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": value["llama.rope.freq_base"]},
        tie_word_embeddings="output.weight" not in tensors,
        attn_implementation="eager",
    )
    state = {
        "model.embed_tokens.weight": tensors["token_embd.weight"],
        "model.norm.weight": tensors["output_norm.weight"],
        "lm_head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
    }
    names = {
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
    for layer in range(config.num_hidden_layers):
        for ours, theirs in names.items():
            weight = tensors[f"blk.{layer}.{ours}.weight"]
            if ours in ("attn_q", "attn_k"):
                weight = unpermute(weight, heads if ours == "attn_q" else kv_heads)
            state[f"model.layers.{layer}.{theirs}.weight"] = weight
    model = transformers.LlamaForCausalLM(config).to(torch.float64)
    model.load_state_dict(state, strict=True)
    return model.eval()


def main():
    ids = [int(x) for x in sys.argv[2:]]
    with torch.no_grad():
        logits = load(sys.argv[1])(torch.tensor([ids])).logits[0]
    for position in (0, len(ids) // 2, len(ids) - 1):
        picked = [f"{logits[position, i].item():.6f}" for i in range(0, logits.shape[1], 40)]
        print(f"{{{position}, {{{', '.join(picked)}}}}},")


if __name__ == "__main__":
    main()
