#include "tests/unit/engine/text/golden_ids.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <fstream>
#include <sstream>

namespace intactkv::testing {
namespace {

std::string Sha256(std::string_view bytes, size_t digits) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex.substr(0, digits);
}

}  // namespace

void ExpectGoldenIds(const std::string& path, size_t hash_digits,
                     const std::vector<std::string>& chunks,
                     const std::function<std::vector<int32_t>(std::string_view)>& encode) {
  std::ifstream golden(path);
  std::string line;
  ASSERT_TRUE(std::getline(golden, line));
  size_t total = 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    ASSERT_TRUE(std::getline(golden, line)) << "chunk " << i;
    std::istringstream fields(line);
    std::string text_hash, ids_hash;
    size_t count = 0;
    fields >> text_hash >> count >> ids_hash;
    ASSERT_EQ(Sha256(chunks[i], hash_digits), text_hash)
        << "the corpus changed: run the script that the first line names";
    const std::vector<int32_t> ids = encode(chunks[i]);
    EXPECT_EQ(ids.size(), count) << "chunk " << i;
    EXPECT_EQ(Sha256({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t)},
                     hash_digits),
              ids_hash)
        << "chunk " << i;
    total += chunks[i].size();
  }
  EXPECT_FALSE(std::getline(golden, line));
  EXPECT_GE(total, 1'000'000u);
}

}  // namespace intactkv::testing
