#include "tests/invariance/workload.h"

#include <map>
#include <set>
#include <string_view>
#include <tuple>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace intactkv::test {
namespace {

constexpr uint64_t kNumIds = 259;  // the tiny model's base vocabulary

TokenId RandomId(Rng& rng) { return TokenId(static_cast<int32_t>(rng.Below(kNumIds))); }

}  // namespace

std::vector<TokenId> Prefix(int32_t length) {
  CHECK_GE(length, 1);
  Rng rng(static_cast<uint64_t>(length));
  // Even for each of kPrefixLengths, so that the id after it begins no prefix.
  std::vector<TokenId> tokens = {TokenId(2 * length % static_cast<int32_t>(kNumIds))};
  while (std::ssize(tokens) < length) tokens.push_back(RandomId(rng));
  return tokens;
}

std::vector<TokenId> PromptAfter(const std::vector<TokenId>& prefix, int32_t c,
                                 int32_t num_private) {
  CHECK(c >= 0 && c <= std::ssize(prefix) && num_private >= 1);
  Rng rng(Mix64(prefix.size()) + static_cast<uint64_t>(c));
  std::vector<TokenId> tokens(prefix.begin(), prefix.begin() + c);
  for (int32_t i = 0; i < num_private; ++i) tokens.push_back(RandomId(rng));
  if (c < std::ssize(prefix)) {
    const TokenId next = prefix[static_cast<size_t>(c)];
    tokens[static_cast<size_t>(c)] = TokenId((next.value + 1) % static_cast<int32_t>(kNumIds));
  }
  return tokens;
}

std::vector<TokenId> Case::Prompt() const {
  return PromptAfter(Prefix(prefix_length), prefix_length, num_private);
}

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {{1, 40, 10},  {3, 63, 10},  {31, 64, 10},  {32, 65, 10},
                                          {33, 97, 10}, {64, 70, 10}, {525, 45, 10}, {525, 570, 8}};
  return cases;
}

void PinPrefixes(TinyServer& server, const std::vector<Case>& cases) {
  std::set<int32_t> lengths;
  for (const Case& one : cases) lengths.insert(one.prefix_length);
  for (const int32_t length : lengths) server.Pin(Prefix(length));
}

const Transcript& SoloAnswer(Isa isa, const StoredTable& stored, const Case& request) {
  static std::map<std::tuple<Isa, std::string, Case>, Transcript> memo;
  Transcript& answer = memo[{isa, stored.Name(), request}];
  if (answer.finished) return answer;
  TinyServer server({.isa = isa, .stored = stored});
  server.Pin(Prefix(request.prefix_length));
  answer = server.Run(request.Prompt(), request.max_new_tokens);
  CHECK_EQ(server.log().max_batch, 1);
  CHECK_EQ(server.log().num_steps, request.max_new_tokens);
  CHECK_EQ(answer.info.usage.cached_tokens, request.prefix_length);
  return answer;
}

}  // namespace intactkv::test
