#include "server/main/pool_size.h"

#include <algorithm>

#include "engine/base/page_entry.h"
#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

constexpr int64_t kPoolPartOfFree = 8;
constexpr int64_t kPoolDefaultMax = int64_t{512} << 20;
constexpr int64_t kMaxPages = int64_t{1} << 27;  // what a page entry can number

absl::Status ChooseLength(const PoolQuestion& q, PoolAnswer& out) {
  if (q.max_model_len > q.trained_context) {
    return InvalidArgument("--max-model-len " + std::to_string(q.max_model_len) +
                           ": the model was trained for " + std::to_string(q.trained_context) +
                           " positions");
  }
  if (q.max_model_len > 0) {
    out.max_model_len = q.max_model_len;
    out.length_reason = "--max-model-len";
    return absl::OkStatus();
  }
  out.max_model_len = std::min(q.trained_context, kDefaultMaxModelLen);
  out.length_reason =
      out.max_model_len == q.trained_context
          ? "the model's own"
          : "of the model's " + std::to_string(q.trained_context) + "; --max-model-len sets it";
  const int64_t affordable = q.available_bytes / 2 / q.page_bytes;
  if (q.available_bytes == 0 || q.pool_bytes > 0 || BlocksFor(out.max_model_len) <= affordable) {
    return absl::OkStatus();
  }
  out.max_model_len = static_cast<int32_t>(std::max<int64_t>(affordable, 1) * kPageTokens);
  out.length_reason = "what the free memory holds; --max-model-len sets it";
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PoolAnswer> ChoosePool(const PoolQuestion& q) {
  PoolAnswer out;
  RETURN_IF_ERROR(ChooseLength(q, out));
  if (q.pool_bytes > 0) {
    out.num_pages = std::min(q.pool_bytes / q.page_bytes, kMaxPages);
    out.pool_reason = "--kv-pool-bytes";
    if (out.num_pages >= 1) return out;
    return InvalidArgument("--kv-pool-bytes " + std::to_string(q.pool_bytes) + ": one page has " +
                           std::to_string(q.page_bytes) + " bytes");
  }
  const int64_t one = BlocksFor(out.max_model_len);
  if (q.available_bytes > 0 && one * q.page_bytes > q.available_bytes) {
    return ResourceExhausted("--max-model-len " + std::to_string(out.max_model_len) +
                             ": the KV pages of one sequence need " +
                             std::to_string(one * q.page_bytes) + " bytes; " +
                             std::to_string(q.available_bytes) + " are free");
  }
  const int64_t all = one * q.max_running;
  const int64_t share =
      std::min(q.available_bytes / kPoolPartOfFree, kPoolDefaultMax) / q.page_bytes;
  out.num_pages = std::min(std::max(one, std::min(all, share)), kMaxPages);
  out.pool_reason = out.num_pages == all   ? "every running sequence at full length"
                    : out.num_pages == one ? "one sequence at full length; --kv-pool-bytes sets it"
                                           : "chosen from the memory that is free; "
                                             "--kv-pool-bytes sets it";
  return out;
}

}  // namespace intactkv
