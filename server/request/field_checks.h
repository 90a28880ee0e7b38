// Checks of single fields that the validator's parts share. Each fault names the field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/base/ids.h"
#include "server/request/request_error.h"
#include "server/request/validated_request.h"

namespace intactkv {

using Fault = std::optional<RequestError>;

template <typename T>
std::string Text(T value) {
  std::string text = std::to_string(value);
  if constexpr (std::is_floating_point_v<T>) {  // "2.000000" -> "2"
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

// NaN is out of every range.
template <typename T>
Fault CheckRange(std::string_view param, std::optional<T> value, T low, T high) {
  // Written so that NaN fails.
  if (!value.has_value() || (*value >= low && *value <= high)) return std::nullopt;
  return InvalidValue(param, "must be between " + Text(low) + " and " + Text(high) + ".");
}

// Every id in the vocabulary.
RequestOr<std::vector<TokenId>> ToTokenIds(std::string_view param, const std::vector<int64_t>& ids,
                                           const ServedModel& model);

// Every string has 1 to `max_bytes` bytes.
Fault CheckStrings(std::string_view param, const std::vector<std::string>& strings,
                   size_t max_bytes);

// Penalties, bias, allowed ids and bad words.
Fault TakeEdits(RawRequest& raw, const ServedModel& model, ValidatedRequest::Fields& out);

}  // namespace intactkv
