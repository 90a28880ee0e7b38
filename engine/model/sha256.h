// SHA-256 over a stream of bytes, as lower-case hex. Thin owner of OpenSSL's digest context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace intactkv {

// Thread-compatible. Add any number of times, then HexDigest once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Add(std::span<const std::byte> bytes);
  void Add(std::string_view text);  // its length first, so that neighbours cannot run together
  void Add(int64_t value);
  std::string HexDigest();  // 64 characters

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace intactkv
