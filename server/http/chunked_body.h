// Strict decoder of Transfer-Encoding: chunked: no extensions, no trailers, bounded overhead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace intactkv {

// Fed with whatever pieces arrive; equal for every way of cutting the stream. Thread-compatible.
class ChunkedBody {
 public:
  enum class Result : uint8_t { kNeedMore, kDone, kMalformed, kTooLarge };

  explicit ChunkedBody(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Appends decoded bytes to `body` and sets `consumed` to how many of `data` were used: all of
  // them with kNeedMore, up to the end of the last chunk's line with kDone.
  Result Feed(std::string_view data, size_t& consumed, std::string& body);

 private:
  enum class State : uint8_t { kSize, kSizeLf, kData, kDataCr, kDataLf, kEndCr, kEndLf };
  Result FeedByte(char c);
  Result BeginChunk();

  size_t max_bytes_;
  State state_ = State::kSize;
  int digits_ = 0;
  uint64_t left_ = 0;   // of this chunk
  uint64_t total_ = 0;  // announced so far
  uint64_t chunks_ = 0;
};

}  // namespace intactkv
