// JSON text from outside to a tree, within limits on depth, keys and memory.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <string_view>
#include <variant>

namespace intactkv {

struct JsonLimits {
  size_t max_depth = 32;
  size_t max_keys = 4096;
  size_t max_expanded_bytes = size_t{16} << 20;  // of the tree in memory
};

enum class JsonFault {
  kInvalid,      // not JSON, UTF-8 included
  kTooDeep,      // beyond max_depth
  kTooManyKeys,  // beyond max_keys
  kRepeatedKey,  // a key twice in one object: two readers could each believe another one
  kTooLarge,     // beyond max_expanded_bytes
};

// The tree, or what is wrong. No exception leaves. O(size of the text).
std::variant<boost::json::value, JsonFault> ParseJson(std::string_view text,
                                                      const JsonLimits& limits);

}  // namespace intactkv
