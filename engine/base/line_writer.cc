#include "engine/base/line_writer.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"

namespace intactkv {
namespace {

// How long a stop may stay unseen while nobody reads.
constexpr absl::Duration kSlice = absl::Milliseconds(100);

}  // namespace

size_t WriteSome(int fd, std::string_view text, absl::Duration timeout) {
  // poll() lets a write of PIPE_BUF bytes into a pipe through without blocking, not of more.
  pollfd target{.fd = fd, .events = POLLOUT, .revents = 0};
  if (::poll(&target, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) <= 0) return 0;
  const ssize_t written = ::write(fd, text.data(), std::min(text.size(), size_t{PIPE_BUF}));
  if (written >= 0) return static_cast<size_t>(written);
  // A broken stderr is not our business.
  return errno == EAGAIN || errno == EINTR ? 0 : text.size();
}

LineWriter::LineWriter(int fd, size_t max_bytes, DropNotice notice)
    : fd_(fd), max_bytes_(max_bytes), notice_(std::move(notice)), owner_(::getpid()) {
  thread_ = std::thread([this] { Loop(); });
}

LineWriter::~LineWriter() {
  (void)Flush(kGrace);
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void LineWriter::Write(std::string_view line) {
  if (::getpid() != owner_) {
    (void)WriteSome(fd_, line, kGrace);
    return;
  }
  MutexLock lock(&mutex_);
  // After a loss nothing enters before the notice has its place behind what was queued.
  if (num_dropped_ > 0 || queue_.size() + line.size() > max_bytes_) {
    ++num_dropped_;
    return;
  }
  queue_ += line;
  changed_.NotifyAll();
}

bool LineWriter::Flush(absl::Duration timeout) {
  if (::getpid() != owner_) return false;
  const absl::Time deadline = absl::Now() + timeout;
  MutexLock lock(&mutex_);
  while (writing_ || !queue_.empty() || num_dropped_ > 0) {
    if (!changed_.WaitWithDeadline(&mutex_, deadline)) return false;
  }
  return true;
}

bool LineWriter::TakeBatch(std::string& batch) {
  MutexLock lock(&mutex_);
  writing_ = false;
  changed_.NotifyAll();
  while (!stopping_ && queue_.empty() && num_dropped_ == 0) changed_.Wait(&mutex_);
  if (stopping_) return false;
  batch.clear();
  std::swap(batch, queue_);
  if (num_dropped_ > 0) batch += notice_(std::exchange(num_dropped_, 0));
  writing_ = true;
  return true;
}

bool LineWriter::stopping() const {
  MutexLock lock(&mutex_);
  return stopping_;
}

void LineWriter::Loop() {
  std::string batch;
  while (TakeBatch(batch)) {
    std::string_view rest = batch;
    while (!rest.empty() && !stopping()) rest.remove_prefix(WriteSome(fd_, rest, kSlice));
  }
}

}  // namespace intactkv
