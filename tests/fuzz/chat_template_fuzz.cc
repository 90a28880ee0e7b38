// Any text as a chat template: compile it, render conversations with it. Must not crash or run on,
// an error of the compiler must be one line, and what a message says must never count as the
// template's own text, whatever the template does to it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/text/chat_template.h"

namespace {

// Two characters that stand in messages only. A template could write them itself, or take them
// apart, only by naming them.
constexpr char kMark[] = "\xEE\x80\x80";
constexpr char kOther[] = "\xEE\x80\x81";

const intactkv::ChatMessage kMessages[] = {
    {"system", std::string(" Be brief. ") + kMark},
    {"user", std::string(kMark) + "Hi <b> 'x'\n" + kOther},
    {"assistant", "",
     R"({"tool_calls": [{"id": "abc123XYZ", "type": "function", "function": {"name": "add", )"
     R"("arguments": {"a": 1, "b": [2.5, null, true]}}}], "reasoning_content": "so\n"})"},
    {"tool", "3", R"({"tool_call_id": "abc123XYZ"})"},
    {"user", "1 + 1?"},
};
constexpr char kTools[] =
    R"([{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": )"
    R"({"type": "object", "properties": {"a": {"type": "number"}}}}}])";

void Check(const absl::StatusOr<std::vector<intactkv::Segment>>& segments) {
  if (!segments.ok()) return;
  for (size_t i = 0; i < segments->size(); ++i) {
    const intactkv::Segment& segment = (*segments)[i];
    CHECK(!segment.text.empty());
    CHECK(i == 0 || segment.from_template != (*segments)[i - 1].from_template);
    if (!segment.from_template) continue;
    CHECK(segment.text.find(kMark) == std::string::npos) << "a message's text became special";
    CHECK(segment.text.find(kOther) == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<intactkv::ChatTemplate> compiled = intactkv::ChatTemplate::Compile(
      source, {.bos_token = "<s>",
               .eos_token = "</s>",
               .now_unix_seconds = 1'722'384'000,
               .limits = {.operations = 20'000, .output_bytes = 100'000}});
  if (!compiled.ok()) {
    CHECK(intactkv::ToStd(compiled.status().message()).find('\n') == std::string_view::npos);
    return 0;
  }
  const bool names_marks =
      source.find('\xEE') != std::string_view::npos || source.find('\\') != std::string_view::npos;
  const std::span<const intactkv::ChatMessage> messages = kMessages;
  for (const size_t count : {0u, 2u, 5u}) {
    const auto segments = compiled->Render({.messages = messages.first(count),
                                            .add_generation_prompt = count == 5,
                                            .tools_json = count == 5 ? kTools : "",
                                            .arguments_json = R"({"enable_thinking": false})"});
    if (!names_marks) Check(segments);
  }
  return 0;
}
