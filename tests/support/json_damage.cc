#include "tests/support/json_damage.h"

#include <cctype>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace intactkv::test {
namespace {

// What breaks careless readers: edges, other types, depth.
const char* const kWrongValues[] = {"0",
                                    "-1",
                                    "1",
                                    "33",
                                    "9223372036854775807",
                                    "18446744073709551615",
                                    "1e400",
                                    "-1e400",
                                    "0.5",
                                    "1e-320",
                                    "null",
                                    "true",
                                    "[]",
                                    "{}",
                                    "[[[[[[[[[[]]]]]]]]]]",
                                    "\"\"",
                                    "\"\\u0000\\n\"",
                                    "\"x\""};

struct Piece {
  size_t begin = 0;
  size_t size = 0;
};

// The scalars behind a colon, bracket or comma: numbers, literals, strings with their quotes.
std::vector<Piece> Scalars(const std::string& text) {
  std::vector<Piece> out;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t begin = i;
    if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\') ++i;
      }
      const size_t next = text.find_first_not_of(' ', i + 1);
      if (next != std::string::npos && text[next] == ':') continue;  // a key
      out.push_back({begin, i + 1 - begin});
    } else if (std::isalnum(static_cast<unsigned char>(text[i])) != 0 || text[i] == '-') {
      const size_t end = text.find_first_of(" ,]}", i);
      i = end == std::string::npos ? text.size() : end - 1;
      out.push_back({begin, i + 1 - begin});
    }
  }
  return out;
}

DamagedText Cut(const std::string& text, Rng* rng) {
  const size_t size = rng->Below(text.find_last_of('}'));
  return {"cut to " + std::to_string(size) + " bytes", true, text.substr(0, size)};
}

DamagedText ChangeValue(const std::string& text, Rng* rng) {
  const std::vector<Piece> scalars = Scalars(text);
  CHECK(!scalars.empty());
  const Piece piece = scalars[rng->Below(scalars.size())];
  const std::string wrong = kWrongValues[rng->Below(std::size(kWrongValues))];
  DamagedText out;
  out.what = text.substr(piece.begin, piece.size) + " at " + std::to_string(piece.begin) +
             " becomes " + wrong;
  out.text = text;
  out.text.replace(piece.begin, piece.size, wrong);
  return out;
}

DamagedText FlipBytes(const std::string& text, Rng* rng) {
  DamagedText out;
  out.text = text;
  out.what = "bytes flipped at";
  for (uint64_t i = 0, count = 1 + rng->Below(3); i < count; ++i) {
    const size_t at = rng->Below(text.size());
    out.text[at] = static_cast<char>(out.text[at] ^ static_cast<char>(1 + rng->Below(255)));
    out.what += " " + std::to_string(at);
  }
  return out;
}

DamagedText RepeatOrDrop(const std::string& text, Rng* rng) {
  const size_t begin = rng->Below(text.size());
  const size_t size = 1 + rng->Below(std::min<size_t>(64, text.size() - begin));
  DamagedText out;
  out.text = text;
  if (rng->Below(2) == 0) {
    out.text.erase(begin, size);
    out.what = "dropped";
  } else {
    out.text.insert(begin, text.substr(begin, size));
    out.what = "doubled";
  }
  out.what += " " + std::to_string(size) + " bytes at " + std::to_string(begin);
  return out;
}

// The scalar values of `keys`, wherever they stand; strings with their quotes.
std::vector<Piece> ValuesOf(const std::string& text, std::span<const std::string_view> keys) {
  std::vector<Piece> out;
  for (const std::string_view key : keys) {
    const std::string quoted = '"' + std::string(key) + "\":";
    for (size_t at = text.find(quoted); at != std::string::npos; at = text.find(quoted, at + 1)) {
      const size_t begin = text.find_first_not_of(' ', at + quoted.size());
      const bool is_string = text[begin] == '"';
      const size_t end =
          is_string ? text.find('"', begin + 1) + 1 : text.find_first_of(",]}", begin);
      out.push_back({begin, end - begin});
    }
  }
  return out;
}

std::string WrongTag(const std::string& value, Rng* rng) {
  if (value[0] == '"') {
    const std::string inner = value.substr(1, value.size() - 2);
    const std::string wrong[] = {"\"" + inner + "x\"", "\"\"", "7", "[]",
                                 "\"" + inner.substr(1) + "\""};
    return wrong[rng->Below(std::size(wrong))];
  }
  const int64_t number = std::stoll(value);
  const std::string wrong[] = {std::to_string(number + 1),
                               std::to_string(number - 1),
                               std::to_string(number * 2),
                               std::to_string(number + 32),
                               "0",
                               "-1",
                               "1099511627776",
                               "1e400",
                               "0.5",
                               "\"" + value + "\""};
  return wrong[rng->Below(std::size(wrong))];
}

}  // namespace

DamagedText DamageJsonTag(const std::string& text, std::span<const std::string_view> keys,
                          uint64_t seed, int index) {
  Rng rng(Mix64(seed) + static_cast<uint64_t>(index));
  const std::vector<Piece> values = ValuesOf(text, keys);
  CHECK(!values.empty());
  const Piece piece = values[rng.Below(values.size())];
  const std::string value = text.substr(piece.begin, piece.size);
  std::string wrong = WrongTag(value, &rng);
  while (wrong == value) wrong = WrongTag(value, &rng);
  DamagedText out{.what = value + " at " + std::to_string(piece.begin) + " becomes " + wrong,
                  .structural = true,
                  .text = text};
  out.text.replace(piece.begin, piece.size, wrong);
  return out;
}

DamagedText DamageJson(const std::string& text, uint64_t seed, int index) {
  Rng rng(Mix64(seed) + static_cast<uint64_t>(index));
  switch (index % 5) {
    case 0:
      return Cut(text, &rng);
    case 1:
    case 2:
      return ChangeValue(text, &rng);
    case 3:
      return FlipBytes(text, &rng);
    default:
      return RepeatOrDrop(text, &rng);
  }
}

}  // namespace intactkv::test
