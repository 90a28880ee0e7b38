// What one rendering may cost. Time is counted in operations, so that a limit means the same on
// every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "engine/base/status_macros.h"

namespace intactkv::jinja {

struct Limits {
  uint64_t operations = 1'000'000;
  uint64_t output_bytes = uint64_t{4} << 20;
};

// Thread-compatible; one per rendering. Errors: kResourceExhausted.
class Budget {
 public:
  static constexpr size_t kBytesPerOperation = 64;
  static constexpr size_t kNamesPerOperation = 16;

  explicit Budget(const Limits& limits) : limits_(limits) {}

  absl::Status Spend(uint64_t operations) {
    if (operations > limits_.operations - used_.operations) {
      return ResourceExhausted("chat template: more than " + std::to_string(limits_.operations) +
                               " operations");
    }
    used_.operations += operations;
    return absl::OkStatus();
  }

  // For reading or making a string of this size.
  absl::Status SpendBytes(size_t bytes) { return Spend(1 + bytes / kBytesPerOperation); }

  // For one search for a string in another (FindBytes: linear in both).
  absl::Status SpendSearch(size_t haystack, size_t needle) { return SpendBytes(haystack + needle); }

  // Each stripped character is looked for among `characters`.
  absl::Status SpendStrip(size_t text, size_t characters) {
    return Spend(1 + characters / kBytesPerOperation * (1 + text / kNamesPerOperation));
  }

  // For one look at each of `names`, which are short.
  absl::Status SpendScan(size_t names) { return Spend(names / kNamesPerOperation); }

  // For text that is written out, also into a variable.
  absl::Status SpendOutput(size_t bytes) {
    if (bytes > limits_.output_bytes - used_.output_bytes) {
      return ResourceExhausted("chat template: more than " + std::to_string(limits_.output_bytes) +
                               " bytes of output");
    }
    used_.output_bytes += bytes;
    return SpendBytes(bytes);
  }

  const Limits& used() const { return used_; }

 private:
  Limits limits_;
  Limits used_{.operations = 0, .output_bytes = 0};
};

}  // namespace intactkv::jinja
