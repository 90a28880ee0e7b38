// Counter-based random numbers: the value depends on (seed, counter) alone, never on the order of
// calls. Source: the SplitMix64 finalizer, Steele, Lea, Flood 2014 (doi:10.1145/2660193.2660195).
#pragma once

#include <cstdint>

namespace intactkv {

constexpr uint64_t Mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// 64 random bits of stream `seed` at `counter`.
constexpr uint64_t RandomBits(uint64_t seed, uint64_t counter) {
  return Mix64(Mix64(seed) ^ Mix64(~counter));
}

// Uniform in [0, 1), 53 bits.
constexpr double RandomUnit(uint64_t seed, uint64_t counter) {
  return static_cast<double>(RandomBits(seed, counter) >> 11) * 0x1.0p-53;
}

// Sequential generator over RandomBits; satisfies UniformRandomBitGenerator. Thread-compatible.
class Rng {
 public:
  using result_type = uint64_t;
  explicit Rng(uint64_t seed) : seed_(seed) {}
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t{0}; }
  uint64_t operator()() { return RandomBits(seed_, counter_++); }
  double Unit() { return RandomUnit(seed_, counter_++); }
  // Uniform in [0, n), n >= 1; the bias of the modulus is below 2^-32 for n < 2^32.
  uint64_t Below(uint64_t n) { return (*this)() % n; }

 private:
  uint64_t seed_;
  uint64_t counter_ = 0;
};

}  // namespace intactkv
