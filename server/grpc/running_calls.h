// Which generations run, by the id that their clients know: what Abort looks through.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "engine/base/mutex.h"

namespace intactkv {

// Thread-safe.
class RunningCalls {
 public:
  // `abort` is called at most once, on any thread, and must only post. False, and nothing is added,
  // if another one has this id.
  [[nodiscard]] bool Add(const std::string& id, const void* owner, std::function<void()> abort);
  // Nothing, if the id is not this owner's.
  void Remove(const std::string& id, const void* owner);
  // False: nobody has this id, or it has been aborted already.
  [[nodiscard]] bool Abort(const std::string& id);

 private:
  struct Call {
    const void* owner;
    std::function<void()> abort;  // nullptr: done, and the call not yet removed
  };
  Mutex mutex_;
  std::unordered_map<std::string, Call> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace intactkv
