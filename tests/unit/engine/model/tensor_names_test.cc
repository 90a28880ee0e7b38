#include "engine/model/tensor_names.h"

#include <gtest/gtest.h>

namespace intactkv {
namespace {

TEST(TensorNamesTest, EachNameHasOneOtherForm) {
  for (const auto& [ours, theirs] : {
           std::pair<const char*, const char*>{"token_embd.weight", "model.embed_tokens.weight"},
           {"output.weight", "lm_head.weight"},
           {"blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"},
           {"blk.31.attn_k.bias", "model.layers.31.self_attn.k_proj.bias"},
           {"blk.120.ffn_norm.weight", "model.layers.120.post_attention_layernorm.weight"},
           {"blk.7.attn_k_norm.weight", "model.layers.7.self_attn.k_norm.weight"},
       }) {
    EXPECT_EQ(ToHuggingFaceName(ours), theirs);
    EXPECT_EQ(FromHuggingFaceName(theirs), ours);
  }
}

TEST(TensorNamesTest, WhatNoFamilyHasStaysUnknown) {
  for (const char* theirs :
       {"", "model.norm.bias", "model.layers.", "model.layers.0", "model.layers.0.",
        "model.layers..input_layernorm.weight", "model.layers.x.input_layernorm.weight",
        "model.layers.-1.input_layernorm.weight", "model.layers.07.input_layernorm.weight",
        "model.layers.0.self_attn.o_proj.bias", "model.layers.0.mlp.experts.0.up_proj.weight",
        "blk.0.attn_q.weight", "transformer.model.norm.weight"}) {
    EXPECT_EQ(FromHuggingFaceName(theirs), std::nullopt) << theirs;
  }
  EXPECT_EQ(ToHuggingFaceName("rope_freqs.weight"), "rope_freqs.weight");
  EXPECT_EQ(LayerTensorName(3, "attn_q.weight"), "blk.3.attn_q.weight");
}

}  // namespace
}  // namespace intactkv
