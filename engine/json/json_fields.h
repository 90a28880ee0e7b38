// Typed, range-checked reading of one JSON object of a model's files; errors name file and key.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/json/parse_json.h"

namespace intactkv {

// The text of the file `path` as an object. kInvalidArgument, naming the file.
absl::StatusOr<boost::json::object> ParseJsonFile(const std::string& path, std::string_view text,
                                                  const JsonLimits& limits);

// A view: the object outlives it. A key whose value is null counts as missing. Every error is one
// line, "FILE: key 'a.b': why". Thread-compatible.
class JsonFields {
 public:
  // `prefix`: what precedes a key in messages, e.g. "rope_scaling."; "" at the top.
  JsonFields(const boost::json::object& object, std::string path, std::string prefix = "")
      : object_(&object), path_(std::move(path)), prefix_(std::move(prefix)) {}

  std::vector<std::string> Keys() const;  // in the document's order
  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  bool IsNull(std::string_view key) const;  // it is there, and null
  // nullptr if it is missing or null.
  const boost::json::value* Find(std::string_view key) const;

  // kInvalidArgument if the key is missing, of another type, or out of range (edges included).
  absl::StatusOr<int64_t> GetInt(std::string_view key, int64_t min, int64_t max) const;
  // In (min, max), both excluded; finite. A whole number is one, too.
  absl::StatusOr<double> GetFloat(std::string_view key, double min, double max) const;
  absl::StatusOr<bool> GetBool(std::string_view key) const;
  absl::StatusOr<std::string> GetString(std::string_view key) const;
  absl::StatusOr<std::vector<std::string>> GetStrings(std::string_view key) const;
  absl::StatusOr<std::vector<int64_t>> GetInts(std::string_view key, int64_t min,
                                               int64_t max) const;
  // One whole number or an array of them.
  absl::StatusOr<std::vector<int64_t>> GetIntOrInts(std::string_view key, int64_t min,
                                                    int64_t max) const;
  absl::StatusOr<JsonFields> GetObject(std::string_view key) const;

  // How a message about `key` begins.
  std::string Where(std::string_view key) const;
  absl::Status Error(std::string_view key, std::string_view why) const;  // kInvalidArgument

 private:
  absl::StatusOr<const boost::json::value*> Need(std::string_view key) const;
  absl::StatusOr<int64_t> ToInt(std::string_view key, const boost::json::value& value, int64_t min,
                                int64_t max) const;

  const boost::json::object* object_;
  std::string path_;
  std::string prefix_;
};

}  // namespace intactkv
