// Any bytes as the body of a generation request, on both endpoints, through the parser and the
// validator. An error is a 4xx of known code whose words are one line; what passes keeps the
// limits.
#include <cstdint>
#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "server/openai/request_parser.h"
#include "server/request/request_limits.h"
#include "server/request/validated_request.h"

namespace {

using intactkv::Endpoint;

void CheckError(const intactkv::RequestError& error) {
  CHECK(error.http_status >= 400 && error.http_status < 500);
  CHECK(!error.code.empty() && !error.message.empty());
  CHECK(error.message.find('\n') == std::string::npos);
  CHECK(error.param.size() < 400);
}

void CheckRequest(const intactkv::ValidatedRequest& request, Endpoint endpoint) {
  CHECK(request->n >= 1 && request->n <= intactkv::kMaxChoices);
  CHECK(!request->max_tokens.has_value() || *request->max_tokens >= (request->echo ? 0 : 1));
  CHECK(!request->echo || endpoint == Endpoint::kCompletions);
  CHECK(request->min_tokens >= 0);
  CHECK(request->sampling.temperature >= 0 &&
        static_cast<double>(request->sampling.temperature) <= intactkv::kMaxTemperature);
  CHECK(request->stop.size() <= intactkv::kMaxStopStrings);
  for (const std::string& stop : request->stop) {
    CHECK(!stop.empty() && stop.size() <= intactkv::kMaxStopBytes);
  }
  CHECK(request->stop_token_ids.size() <= intactkv::kMaxStopTokenIds);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const intactkv::ServedModel model = {.name = "m", .max_model_len = 4096, .vocab_size = 1000};
  for (const Endpoint endpoint : {Endpoint::kChat, Endpoint::kCompletions}) {
    intactkv::RequestOr<intactkv::RawRequest> raw =
        intactkv::ParseGenerationRequest(body, endpoint);
    if (!raw.ok()) {
      CheckError(raw.error());
      continue;
    }
    const auto request = intactkv::ValidateRequest(std::move(raw).value(), model);
    if (request.ok()) {
      CheckRequest(*request, endpoint);
    } else {
      CheckError(request.error());
    }
  }
  return 0;
}
