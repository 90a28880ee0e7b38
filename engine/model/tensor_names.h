// Names of tensors: ours, which are GGUF's, and those of Hugging Face checkpoints.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace intactkv {

// Names of tensors of layer `layer`: "blk.3.attn_q.weight" for ("attn_q.weight").
std::string LayerTensorName(int layer, std::string_view suffix);

// "model.layers.3.self_attn.q_proj.weight" for "blk.3.attn_q.weight"; a name that has no other form
// stays as it is.
std::string ToHuggingFaceName(std::string_view ours);
// The inverse; nothing for a name that no family of ours has.
std::optional<std::string> FromHuggingFaceName(std::string_view theirs);

}  // namespace intactkv
