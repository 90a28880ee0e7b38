#include "server/grpc/running_calls.h"

#include <utility>

namespace intactkv {

bool RunningCalls::Add(const std::string& id, const void* owner, std::function<void()> abort) {
  MutexLock lock(&mutex_);
  return calls_.try_emplace(id, Call{owner, std::move(abort)}).second;
}

void RunningCalls::Remove(const std::string& id, const void* owner) {
  MutexLock lock(&mutex_);
  const auto found = calls_.find(id);
  if (found != calls_.end() && found->second.owner == owner) calls_.erase(found);
}

bool RunningCalls::Abort(const std::string& id) {
  std::function<void()> abort;
  {
    MutexLock lock(&mutex_);
    const auto found = calls_.find(id);
    if (found == calls_.end()) return false;
    abort = std::exchange(found->second.abort, nullptr);
  }
  if (!abort) return false;
  abort();
  return true;
}

}  // namespace intactkv
