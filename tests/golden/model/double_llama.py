"""A second, independent forward pass of the llama family in torch, in any dtype.

Hugging Face's modules compute RMSNorm, softmax and RoPE angles in float32 whatever the model's
dtype; this one keeps every operation in `dtype`, so that float64 says how far float32 is from the
exact numbers.
"""

import torch


class PlainLlama:
    """`float32_angles`: RoPE angles rounded as Hugging Face rounds them (position * inverse
    frequency in float32), else computed in float64."""

    def __init__(self, state, config, dtype=torch.float64, float32_angles=False):
        self.weights = {name: torch.from_numpy(w).to(dtype) for name, w in state.items()}
        self.config = config
        self.dtype = dtype
        self.float32_angles = float32_angles
        self.head_dim = config.hidden_size // config.num_attention_heads

    def angles(self, length):
        kind = torch.float32 if self.float32_angles else torch.float64
        exponent = torch.arange(0, self.head_dim, 2, dtype=kind) / self.head_dim
        frequency = 1.0 / (self.config.rope_parameters["rope_theta"] ** exponent)
        angle = torch.outer(torch.arange(length, dtype=kind), frequency)
        angle = torch.cat([angle, angle], dim=-1)
        return angle.cos().to(self.dtype), angle.sin().to(self.dtype)

    def norm(self, x, name):
        mean = x.pow(2).mean(-1, keepdim=True)
        return self.weights[name] * (x * torch.rsqrt(mean + self.config.rms_norm_eps))

    def linear(self, x, name):
        """[rows, in] -> [rows, out]; overridden to study other number formats."""
        return x @ self.weights[name].T

    def attention(self, x, prefix, rope):
        heads, kv_heads = self.config.num_attention_heads, self.config.num_key_value_heads
        length = x.shape[0]

        def split(name, count):
            return self.linear(x, prefix + name).view(length, count, self.head_dim).transpose(0, 1)

        def rotate(y):
            half = self.head_dim // 2
            turned = torch.cat([-y[..., half:], y[..., :half]], dim=-1)
            return y * rope[0] + turned * rope[1]

        q = rotate(split("q_proj.weight", heads))
        k = rotate(split("k_proj.weight", kv_heads)).repeat_interleave(heads // kv_heads, dim=0)
        v = split("v_proj.weight", kv_heads).repeat_interleave(heads // kv_heads, dim=0)
        scores = q @ k.transpose(1, 2) / self.head_dim**0.5
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        p = torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1)
        return self.linear((p @ v).transpose(0, 1).reshape(length, -1), prefix + "o_proj.weight")

    def logits(self, ids, first):
        """Logits [len(ids) - first, vocab] of the rows from `first` on."""
        x = self.weights["model.embed_tokens.weight"][torch.tensor(ids)]
        rope = self.angles(len(ids))
        for layer in range(self.config.num_hidden_layers):
            prefix = f"model.layers.{layer}."
            h = self.norm(x, prefix + "input_layernorm.weight")
            x = x + self.attention(h, prefix + "self_attn.", rope)
            h = self.norm(x, prefix + "post_attention_layernorm.weight")
            gate = self.linear(h, prefix + "mlp.gate_proj.weight")
            up = self.linear(h, prefix + "mlp.up_proj.weight")
            gated = torch.nn.functional.silu(gate) * up
            x = x + self.linear(gated, prefix + "mlp.down_proj.weight")
        x = self.norm(x[first:], "model.norm.weight")
        return self.linear(x, "model.embed_tokens.weight")
