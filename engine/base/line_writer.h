// Lines to a file descriptor from any thread without waiting for whoever reads it: a bounded queue
// and one thread that writes. A reader that stops reading costs lines, never a caller's time.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"

namespace intactkv {

// Writes the start of `text` as soon as `fd` takes it, at most `timeout` later. Returns how many
// bytes are done with: 0 after the timeout, all of them if `fd` is broken.
size_t WriteSome(int fd, std::string_view text, absl::Duration timeout);

// Thread-safe. Lines are written whole, in the order of the calls.
class LineWriter {
 public:
  // Makes the line that stands for `count` lost ones, where they are missing.
  using DropNotice = std::function<std::string(int64_t count)>;

  // `fd` must outlive this. `max_bytes` wait at most; as many again are being written.
  LineWriter(int fd, size_t max_bytes, DropNotice notice);
  // What cannot be written within `kGrace` is lost.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // `line` ends with a newline. Never waits for `fd`; a line that finds the queue full is lost.
  void Write(std::string_view line);
  // Waits until everything so far is written, at most `timeout`. False if it is not.
  bool Flush(absl::Duration timeout);

  static constexpr absl::Duration kGrace = absl::Seconds(1);

 private:
  void Loop();
  // Waits for lines; false when there is nothing to do any more.
  bool TakeBatch(std::string& batch);
  bool stopping() const;

  const int fd_;
  const size_t max_bytes_;
  const DropNotice notice_;
  const pid_t owner_;  // a forked child has no writer thread
  mutable Mutex mutex_;
  CondVar changed_;
  std::string queue_ ABSL_GUARDED_BY(mutex_);
  int64_t num_dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace intactkv
