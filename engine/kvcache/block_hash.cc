#include "engine/kvcache/block_hash.h"

#include <openssl/evp.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/page_entry.h"

namespace intactkv {
namespace {

// One digest in progress. Failures of OpenSSL here are broken installations, not conditions.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    CHECK(context_ != nullptr);
    CHECK_EQ(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr), 1);
  }
  void Bytes(const void* data, size_t size) {
    CHECK_EQ(EVP_DigestUpdate(context_.get(), data, size), 1);
  }
  void Number(uint64_t value) { Bytes(&value, sizeof(value)); }
  void String(std::string_view text) {
    Number(text.size());
    Bytes(text.data(), text.size());
  }
  void Tokens(std::span<const TokenId> tokens) {
    Number(tokens.size());
    Bytes(tokens.data(), tokens.size_bytes());
  }
  BlockHash Finish() {
    BlockHash digest;
    unsigned int size = 0;
    CHECK_EQ(EVP_DigestFinal_ex(context_.get(), digest.data(), &size), 1);
    CHECK_EQ(size, digest.size());
    return digest;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

BlockHash HashAnchor(const CacheAnchor& anchor) {
  Sha256 sha;
  sha.Number(anchor.nonce);
  sha.String(anchor.model_identity);
  sha.Number(anchor.epoch);
  sha.String(anchor.tenant);
  sha.String(anchor.cache_salt);
  sha.Tokens(anchor.pinned_tokens);
  return sha.Finish();
}

BlockHash HashBlock(const BlockHash& parent, std::span<const TokenId> tokens) {
  CHECK_EQ(tokens.size(), static_cast<size_t>(kPageTokens));
  Sha256 sha;
  sha.Bytes(parent.data(), parent.size());
  sha.Tokens(tokens);
  return sha.Finish();
}

}  // namespace intactkv
