// A limit on bytes that many hold at once, and one holder's share of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace intactkv {

// Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(size_t limit) : limit_(limit) {}
  // False, and nothing taken, if that many are not left.
  [[nodiscard]] bool TryTake(size_t bytes) {
    size_t taken = taken_.load();
    do {
      if (bytes > limit_ - taken) return false;
    } while (!taken_.compare_exchange_weak(taken, taken + bytes));
    return true;
  }
  void GiveBack(size_t bytes) { taken_.fetch_sub(bytes); }

 private:
  const size_t limit_;
  std::atomic<size_t> taken_{0};  // <= limit_
};

// Gives back what it took when it is destroyed or cleared. Thread-compatible; movable.
class ByteShare {
 public:
  explicit ByteShare(std::shared_ptr<ByteBudget> budget) : budget_(std::move(budget)) {}
  ByteShare(ByteShare&& other) noexcept
      : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
  ByteShare& operator=(ByteShare&&) = delete;
  ~ByteShare() { Clear(); }

  // To `bytes` in all; false, and nothing changed, if the budget has no room. Never shrinks.
  [[nodiscard]] bool TryGrowTo(size_t bytes) {
    if (bytes <= bytes_) return true;
    if (!budget_->TryTake(bytes - bytes_)) return false;
    bytes_ = bytes;
    return true;
  }
  void Clear() { budget_->GiveBack(std::exchange(bytes_, 0)); }

 private:
  std::shared_ptr<ByteBudget> budget_;
  size_t bytes_ = 0;
};

}  // namespace intactkv
