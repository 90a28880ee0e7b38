// The prefixes and requests of the invariance tests, and the answers that they are held against.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/ids.h"
#include "tests/invariance/tiny_server.h"

namespace intactkv::test {

// One token; inside a page; one less than, exactly and one more than a page; two pages; more than
// one attention item (16 pages).
inline constexpr int32_t kPrefixLengths[] = {1, 3, 31, 32, 33, 64, 525};

// Any two of them differ in the first token.
std::vector<TokenId> Prefix(int32_t length);

// The first `c` tokens of `prefix`, then `num_private` others, of which the first is not the one
// with which the prefix goes on.
std::vector<TokenId> PromptAfter(const std::vector<TokenId>& prefix, int32_t c,
                                 int32_t num_private);

// A request that matches the whole of a prefix.
struct Case {
  int32_t prefix_length = 0;
  int32_t num_private = 0;  // of the prompt
  int32_t max_new_tokens = 0;

  std::vector<TokenId> Prompt() const;
  // Rows read more than one attention item (16 pages) of stored pages.
  bool is_long() const { return num_private > 544; }
  friend auto operator<=>(const Case&, const Case&) = default;
};

// One per prefix length, and a last one with more than 512 pinned and 512 private tokens. All begin
// and most end inside a page; each has more than one private page.
const std::vector<Case>& Cases();

// Each of their prefixes, once.
void PinPrefixes(TinyServer& server, const std::vector<Case>& cases);

// The answer of a request that is alone on a server with its prefix and nothing else, cold, its
// prompt in one chunk; the server is otherwise ServerSpec's default.
const Transcript& SoloAnswer(Isa isa, const StoredTable& stored, const Case& request);

}  // namespace intactkv::test
