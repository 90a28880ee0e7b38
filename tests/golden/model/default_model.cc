#include "tests/golden/model/default_model.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace intactkv::golden {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What `variable` names, else `file` in the cache.
std::string ModelPath(const char* variable, const char* file) {
  if (const std::string path = Variable(variable); !path.empty()) return path;
  std::string cache = Variable("XDG_CACHE_HOME");
  if (cache.empty()) cache = Variable("HOME") + "/.cache";
  return cache + "/intactkv/" + file;
}

}  // namespace

std::string DefaultModelPath() {
  return ModelPath("INTACTKV_TEST_MODEL", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

std::string SecondModelPath() {
  return ModelPath("INTACTKV_TEST_SECOND_MODEL", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf");
}

absl::Status CheckSha256(const std::string& path, const std::array<uint8_t, 32>& want) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound("cannot open " + path);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  CHECK(context != nullptr);
  CHECK_EQ(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr), 1);
  std::vector<char> buffer(1 << 20);
  while (file) {
    file.read(buffer.data(), std::ssize(buffer));
    CHECK_EQ(EVP_DigestUpdate(context.get(), buffer.data(), static_cast<size_t>(file.gcount())), 1);
  }
  std::array<uint8_t, 32> got{};
  CHECK_EQ(EVP_DigestFinal_ex(context.get(), got.data(), nullptr), 1);
  if (got != want) {
    return FailedPrecondition(path + " is not the file that the reference was made with");
  }
  return absl::OkStatus();
}

}  // namespace intactkv::golden
