#include "engine/exec/memory_plan.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/model/inspect.h"

namespace intactkv {
namespace {

struct Row {
  std::string_view name;
  int64_t bytes;
  std::string detail;
};

std::string Pages(const PagePlan& plan) {
  return std::to_string(plan.num_pages) + " pages of 32 tokens, " +
         std::to_string(plan.page_bytes) + " bytes each";
}

std::string PadRight(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string PadLeft(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

}  // namespace

std::string FormatMemoryPlan(const MemoryPlan& plan) {
  std::vector<Row> rows = {
      {"process", plan.process_bytes, "code, libraries, tokenizer"},
      {"weights", plan.weights_bytes, ""},
      {"pinned pages", plan.pinned.bytes(), Pages(plan.pinned)},
      {"stored pages", plan.stored.bytes(), Pages(plan.stored)},
      {"hot slots", plan.hot.bytes(), Pages(plan.hot)},
      {"scratch", plan.scratch_bytes, ""},
  };
  if (plan.runtime_pin_weights_bytes > 0) {
    rows.push_back({"run-time pins", plan.runtime_pin_weights_bytes,
                    "full-precision weights while a prefix is built"});
  }
  rows.push_back({"total", plan.total_bytes(), std::to_string(plan.total_bytes()) + " bytes"});
  std::string out;
  for (const Row& row : rows) {
    out += "  " + PadRight(std::string(row.name), 14) + PadLeft(FormatBytes(row.bytes), 10);
    if (!row.detail.empty()) out += "  (" + row.detail + ")";
    out += "\n";
  }
  return out;
}

}  // namespace intactkv
