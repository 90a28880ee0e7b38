// Formats of stored KV pages as the command line names them, and the file that names one per layer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace intactkv {

enum class KvMode : uint8_t { kAuto, kF32, kBf16, kInt8, kK8v4, kInt4 };

// The flag's own word ("int8").
std::string_view Name(KvMode mode);
// kInvalidArgument, listing the words, for any other.
absl::StatusOr<KvMode> ParseKvMode(std::string_view word);

// The rows of a --kv-table file: lines of "LAYER FORMAT" or "FIRST-LAST FORMAT", layers counted
// from 0, each named once; '#' begins a comment.
struct KvTable {
  struct Row {
    int first = 0;
    int last = 0;  // included
    KvMode format = KvMode::kAuto;
    int line = 0;  // of the file, from 1
  };
  std::string path;  // for messages
  std::vector<Row> rows;
};

// Errors: kInvalidArgument, "PATH:LINE: why" in one line.
absl::StatusOr<KvTable> ParseKvTable(std::string_view text, const std::string& path);

// The format of each layer; never kAuto. kInvalidArgument if the table names a layer that the model
// does not have, or leaves one out.
absl::StatusOr<std::vector<KvMode>> FormatsOfLayers(const KvTable& table, int num_layers);

}  // namespace intactkv
