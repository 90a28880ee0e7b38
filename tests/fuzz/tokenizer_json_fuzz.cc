// Any bytes as a tokenizer.json: parse, build, encode, decode. Must not crash, and an error must be
// one line.
#include <cstdint>
#include <string>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/text/text_codec.h"
#include "engine/text/tokenizer_json.h"

namespace {

constexpr char kText[] = " Hello  <both> it's 2024\n\xC3\xA9 e\xCC\x81 \xE4\xBD\xA0\xFF words";

bool CheckError(const absl::Status& status) {
  CHECK(intactkv::ToStd(status.message()).find('\n') == std::string_view::npos);
  return status.ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const intactkv::TokenizerFiles files = {
      .tokenizer = std::string(reinterpret_cast<const char*>(data), size)};
  absl::StatusOr<intactkv::TokenizerData> parsed = intactkv::ParseTokenizerFiles(files, "fuzz");
  if (!CheckError(parsed.status())) return 0;
  const auto codec = intactkv::MakeTextCodec(*std::move(parsed));
  if (!CheckError(codec.status())) return 0;
  const absl::StatusOr<std::vector<intactkv::TokenId>> ids = (*codec)->Encode(kText);
  CHECK(ids.ok());
  CHECK((*codec)->Decode(*ids, true).ok());
  return 0;
}
