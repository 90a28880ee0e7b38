#include "tests/support/safetensors_damage.h"

#include <array>
#include <cctype>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "tests/support/json_damage.h"

namespace intactkv::test {
namespace {

constexpr size_t kLengthBytes = sizeof(uint64_t);

std::string HeaderOf(const SafetensorsImage& image) {
  return {reinterpret_cast<const char*>(image.bytes.data()) + kLengthBytes,
          image.data_start - kLengthBytes};
}

// The file with another header, its length before it right.
std::vector<std::byte> WithHeader(const SafetensorsImage& image, const std::string& header) {
  return SafetensorsBytes(header, std::span(image.bytes).subspan(image.data_start));
}

DamagedFile Cut(const SafetensorsImage& image, Rng* rng) {
  const size_t limit = rng->Below(2) == 0 ? image.data_start : image.bytes.size();
  const size_t size = rng->Below(limit);
  return {"cut to " + std::to_string(size) + " bytes",
          true,
          {image.bytes.begin(), image.bytes.begin() + static_cast<std::ptrdiff_t>(size)}};
}

DamagedFile ChangeLength(const SafetensorsImage& image, Rng* rng) {
  uint64_t length = 0;
  std::memcpy(&length, image.bytes.data(), kLengthBytes);
  const std::array<uint64_t, 8> wrong = {
      0,       length + 8, length - 8,        length * 2,
      ~length, (*rng)(),   uint64_t{1} << 63, length ^ (uint64_t{1} << rng->Below(64))};
  DamagedFile out;
  out.bytes = image.bytes;
  uint64_t value = wrong[rng->Below(wrong.size())];
  if (value == length) value = 0;
  std::memcpy(out.bytes.data(), &value, kLengthBytes);
  out.structural = true;
  out.what = "header length from " + std::to_string(length) + " to " + std::to_string(value);
  return out;
}

// Begin of a random whole number of the header, outside strings.
size_t PickNumber(const std::string& header, Rng* rng) {
  std::vector<size_t> begins;
  bool in_string = false;
  for (size_t i = 1; i < header.size(); ++i) {
    in_string = in_string != (header[i] == '"');
    const bool digit = std::isdigit(static_cast<unsigned char>(header[i])) != 0;
    if (!in_string && digit && std::isdigit(static_cast<unsigned char>(header[i - 1])) == 0) {
      begins.push_back(i);
    }
  }
  CHECK(!begins.empty());
  return begins[rng->Below(begins.size())];
}

DamagedFile ChangeNumber(const SafetensorsImage& image, Rng* rng) {
  std::string header = HeaderOf(image);
  const size_t begin = PickNumber(header, rng);
  const size_t end = header.find_first_not_of("0123456789", begin);
  const std::string old = header.substr(begin, end - begin);
  const uint64_t value = std::stoull(old);
  const std::array<std::string, 8> wrong = {
      "-1",   "4611686018427387904",     "18446744073709551616",    "1.5",
      "null", std::to_string(value + 1), std::to_string(value + 4), std::to_string(value * 2 + 32)};
  const std::string& text = wrong[rng->Below(wrong.size())];
  header.replace(begin, old.size(), text);
  return {old + " at " + std::to_string(begin) + " of the header becomes " + text, true,
          WithHeader(image, header)};
}

DamagedFile ChangeDtype(const SafetensorsImage& image, Rng* rng) {
  static constexpr const char* kWrong[] = {"\"I64\"", "\"F64\"", "\"F8_E4M3\"", "\"Q4\"",
                                           "\"\"",    "32",      "null"};
  std::string header = HeaderOf(image);
  std::vector<size_t> begins;
  constexpr std::string_view kKey = "\"dtype\":";
  for (size_t at = header.find(kKey); at != std::string::npos; at = header.find(kKey, at + 1)) {
    begins.push_back(at + kKey.size());
  }
  CHECK(!begins.empty());
  const size_t begin = begins[rng->Below(begins.size())];
  const std::string wrong = kWrong[rng->Below(std::size(kWrong))];
  header.replace(begin, header.find(',', begin) - begin, wrong);
  return {"a dtype becomes " + wrong, true, WithHeader(image, header)};
}

DamagedFile ChangeText(const SafetensorsImage& image, uint64_t seed, int index) {
  const DamagedText text = DamageJson(HeaderOf(image), seed, index);
  return {"header: " + text.what, text.structural, WithHeader(image, text.text)};
}

DamagedFile FlipBytes(const SafetensorsImage& image, Rng* rng) {
  DamagedFile out;
  out.bytes = image.bytes;
  out.what = "bytes flipped at";
  const size_t limit = rng->Below(2) == 0 ? image.data_start : image.bytes.size();
  for (uint64_t i = 0, count = 1 + rng->Below(4); i < count; ++i) {
    const size_t at = rng->Below(limit);
    out.bytes[at] ^= static_cast<std::byte>(1 + rng->Below(255));
    out.what += " " + std::to_string(at);
  }
  return out;
}

}  // namespace

DamagedFile DamageSafetensors(const SafetensorsImage& image, uint64_t seed, int index) {
  Rng rng(Mix64(seed) + static_cast<uint64_t>(index));
  switch (index % 6) {
    case 0:
      return Cut(image, &rng);
    case 1:
      return ChangeLength(image, &rng);
    case 2:
      return ChangeNumber(image, &rng);
    case 3:
      return ChangeDtype(image, &rng);
    case 4:
      return ChangeText(image, seed, index / 6);
    default:
      return FlipBytes(image, &rng);
  }
}

}  // namespace intactkv::test
