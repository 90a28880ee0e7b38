// Deterministic damage to JSON texts: what "a damaged config.json" means in the tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace intactkv::test {

struct DamagedText {
  std::string what;  // for the test's message
  // A cut, or another value for one of DamageJsonTag's keys: no reader may take it. Otherwise it
  // must be refused or read as what it then says.
  bool structural = false;
  std::string text;
};

// Damaged text number `index` of the stream `seed`; the kinds of damage take turns: a cut, another
// value for a number, string or literal, flipped bytes, a doubled or dropped piece.
DamagedText DamageJson(const std::string& text, uint64_t seed, int index);

// The same for a key that states a version, type, count, length or shape: one place where one of
// `keys` stands gets another value, of the same type or not. CHECK-fails if none stands anywhere.
DamagedText DamageJsonTag(const std::string& text, std::span<const std::string_view> keys,
                          uint64_t seed, int index);

}  // namespace intactkv::test
