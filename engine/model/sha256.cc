#include "engine/model/sha256.h"

#include <openssl/evp.h>

#include "engine/base/check.h"

namespace intactkv {

struct Sha256::Context {
  Context() : evp(EVP_MD_CTX_new()) { CHECK(evp != nullptr); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(evp); }
  EVP_MD_CTX* evp;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CHECK_EQ(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr), 1);
}

Sha256::~Sha256() = default;

void Sha256::Add(std::span<const std::byte> bytes) {
  CHECK_EQ(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()), 1);
}

void Sha256::Add(std::string_view text) {
  Add(static_cast<int64_t>(text.size()));
  Add(std::as_bytes(std::span(text)));
}

void Sha256::Add(int64_t value) { Add(std::as_bytes(std::span(&value, 1))); }

std::string Sha256::HexDigest() {
  static constexpr char kHex[] = "0123456789abcdef";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK_EQ(EVP_DigestFinal_ex(context_->evp, digest, &size), 1);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) {
    out += kHex[digest[i] >> 4];
    out += kHex[digest[i] & 15];
  }
  return out;
}

}  // namespace intactkv
