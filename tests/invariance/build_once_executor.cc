#include "tests/invariance/build_once_executor.h"

#include <map>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace intactkv::test {
namespace {

using Pages = std::vector<std::vector<std::byte>>;  // canonical
using Key = std::pair<Isa, std::vector<TokenId>>;

std::map<Key, Pages>& BuiltPages() {
  static std::map<Key, Pages> pages;
  return pages;
}

Key KeyOf(Isa isa, const StepPlan& plan) {
  Key key = {isa, {}};
  for (const PlanRow& row : plan.rows) key.second.push_back(row.token);
  return key;
}

}  // namespace

BuildOnceExecutor::BuildOnceExecutor(Isa isa, KvPool& pages,
                                     std::function<std::unique_ptr<Executor>()> make)
    : isa_(isa), pages_(pages), make_(std::move(make)) {}

absl::StatusOr<StepResult> BuildOnceExecutor::Execute(const StepPlan& plan) {
  CHECK(plan.sequences.size() == 1 && plan.samples.empty()) << "no prefix build";
  CHECK(plan.rows.front().position == 0 && plan.promotions.size() == plan.stored_entries.size())
      << "not a whole prefix";
  const Key key = KeyOf(isa_, plan);
  const auto built = BuiltPages().find(key);
  if (built == BuiltPages().end()) {
    ASSIGN_OR_RETURN(const StepResult result, make_()->Execute(plan));
    CHECK(!result.sequences[0].non_finite);
    Pages pages;
    for (const PageEntry entry : plan.stored_entries) {
      pages.emplace_back(CanonicalPageBytes(pages_.layout()));
      pages_.ExportPage(entry.slot(), pages.back());
    }
    BuiltPages().emplace(key, std::move(pages));
    return result;
  }
  for (size_t i = 0; i < plan.stored_entries.size(); ++i) {
    pages_.ImportPage(plan.stored_entries[i].slot(), built->second[i]);
  }
  StepResult result;
  result.sequences.resize(1);
  return result;
}

}  // namespace intactkv::test
