// Request bodies: bounded parsing by Boost.JSON, and typed access that names the field at fault.
// Includes Boost.JSON: for the .cc files of this folder and their tests.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/request/request_error.h"

namespace intactkv {

inline constexpr size_t kMaxJsonDepth = 32;
inline constexpr size_t kMaxJsonKeys = 4096;
inline constexpr size_t kMaxJsonExpandedBytes = size_t{16} << 20;

// The body as an object. 400 invalid_json: not JSON (UTF-8 included), deeper than 32, more than
// 4,096 keys, a key twice in one object (two readers could each believe another one), more than 16
// MiB in memory, or not an object at the top. No exception leaves.
RequestOr<boost::json::object> ParseJsonObject(std::string_view body);

// Reads fields of one object; keeps the first fault, after which reads do nothing. null counts as
// absent. Thread-compatible.
class FieldReader {
 public:
  // `path`: what precedes a field's name in errors, e.g. "messages[0]."; "" at the top.
  explicit FieldReader(const boost::json::object& object, std::string path = "")
      : object_(object), path_(std::move(path)) {}

  // The value, or nullptr if it is absent or null.
  const boost::json::value* Find(std::string_view name) const;
  std::string Path(std::string_view name) const { return path_ + std::string(name); }

  // A number with a fraction, or outside int64, is a fault; 16.0 is 16.
  void Read(std::string_view name, std::optional<int64_t>& out);
  // Finite only: 1e400, which the parser turns into infinity, is a fault.
  void Read(std::string_view name, std::optional<double>& out);
  void Read(std::string_view name, std::optional<bool>& out);
  void Read(std::string_view name, std::optional<std::string>& out);
  void Read(std::string_view name, std::optional<std::vector<int64_t>>& out);

  void Fail(RequestError error) {
    if (!error_.has_value()) error_ = std::move(error);
  }
  const std::optional<RequestError>& error() const { return error_; }

 private:
  const boost::json::object& object_;
  std::string path_;
  std::optional<RequestError> error_;
};

// `value` as a whole number; a fault names `param`.
RequestOr<int64_t> ToInteger(const boost::json::value& value, std::string_view param);
RequestOr<std::vector<int64_t>> ToIntegers(const boost::json::value& value, std::string_view param);
std::string ToString(const boost::json::string& text);

}  // namespace intactkv
