#include "server/http/chunked_body.h"

#include <algorithm>

namespace intactkv {
namespace {

constexpr int kMaxSizeDigits = 16;
// Many tiny chunks cost more than they carry: one per 16 bytes, and 64 on top.
constexpr uint64_t kBytesPerChunk = 16;
constexpr uint64_t kFreeChunks = 64;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

ChunkedBody::Result ChunkedBody::Feed(std::string_view data, size_t& consumed, std::string& body) {
  consumed = 0;
  while (consumed < data.size()) {
    if (state_ == State::kData) {
      const auto take = static_cast<size_t>(std::min<uint64_t>(left_, data.size() - consumed));
      body.append(data.substr(consumed, take));
      consumed += take;
      left_ -= take;
      if (left_ == 0) state_ = State::kDataCr;
      continue;
    }
    const Result result = FeedByte(data[consumed++]);
    if (result != Result::kNeedMore) return result;
  }
  return Result::kNeedMore;
}

ChunkedBody::Result ChunkedBody::FeedByte(char c) {
  const auto expect = [&](char wanted, State next) {
    if (c != wanted) return Result::kMalformed;
    state_ = next;
    return Result::kNeedMore;
  };
  switch (state_) {
    case State::kSize: {
      const int digit = HexDigit(c);
      if (digit < 0) return digits_ > 0 ? expect('\r', State::kSizeLf) : Result::kMalformed;
      if (++digits_ > kMaxSizeDigits) return Result::kMalformed;
      left_ = left_ << 4 | static_cast<uint64_t>(digit);
      return Result::kNeedMore;
    }
    case State::kSizeLf:
      return c == '\n' ? BeginChunk() : Result::kMalformed;
    case State::kDataCr:
      return expect('\r', State::kDataLf);
    case State::kDataLf:
      return expect('\n', State::kSize);
    case State::kEndCr:
      return expect('\r', State::kEndLf);
    case State::kEndLf:
      return c == '\n' ? Result::kDone : Result::kMalformed;
    case State::kData:
      break;
  }
  return Result::kMalformed;
}

ChunkedBody::Result ChunkedBody::BeginChunk() {
  digits_ = 0;
  if (left_ == 0) {
    state_ = State::kEndCr;
    return Result::kNeedMore;
  }
  if (left_ > max_bytes_ - total_) return Result::kTooLarge;
  total_ += left_;
  if (++chunks_ > total_ / kBytesPerChunk + kFreeChunks) return Result::kMalformed;
  state_ = State::kData;
  return Result::kNeedMore;
}

}  // namespace intactkv
