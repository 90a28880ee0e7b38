#include "engine/model/tensor_names.h"

#include <algorithm>

namespace intactkv {
namespace {

struct NamePair {
  std::string_view ours;
  std::string_view theirs;
};

constexpr NamePair kModelNames[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};

// Behind "blk.N." and "model.layers.N.".
constexpr NamePair kLayerNames[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
};

constexpr NamePair kLayerPrefix = {"blk.", "model.layers."};

using Side = std::string_view NamePair::*;

// `name` of side `from` on the other side, if the tables know it.
std::optional<std::string> Translate(std::string_view name, Side from, Side to) {
  for (const NamePair& pair : kModelNames) {
    if (pair.*from == name) return std::string(pair.*to);
  }
  if (!name.starts_with(kLayerPrefix.*from)) return std::nullopt;
  name.remove_prefix((kLayerPrefix.*from).size());
  const size_t dot = name.find('.');
  // "07" would be a second name of layer 7.
  if (dot == std::string_view::npos || dot == 0 || (dot > 1 && name[0] == '0')) return std::nullopt;
  const std::string_view layer = name.substr(0, dot), suffix = name.substr(dot + 1);
  if (!std::all_of(layer.begin(), layer.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  for (const NamePair& pair : kLayerNames) {
    if (pair.*from != suffix) continue;
    return std::string(kLayerPrefix.*to) + std::string(layer) + "." + std::string(pair.*to);
  }
  return std::nullopt;
}

}  // namespace

std::string LayerTensorName(int layer, std::string_view suffix) {
  return "blk." + std::to_string(layer) + "." + std::string(suffix);
}

std::string ToHuggingFaceName(std::string_view ours) {
  return Translate(ours, &NamePair::ours, &NamePair::theirs).value_or(std::string(ours));
}

std::optional<std::string> FromHuggingFaceName(std::string_view theirs) {
  return Translate(theirs, &NamePair::theirs, &NamePair::ours);
}

}  // namespace intactkv
