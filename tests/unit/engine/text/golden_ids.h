// Test only: ids of a whole corpus against a golden file of the `tokenizers` package.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace intactkv::testing {

// Each line of the file behind the first: the first `hash_digits` (at most 64) hexadecimal digits
// of the SHA-256 of a chunk, the number of its ids, and the same digits of the ids as little-endian
// int32. Fails unless all chunks agree, and the corpus has at least 1,000,000 bytes.
void ExpectGoldenIds(const std::string& path, size_t hash_digits,
                     const std::vector<std::string>& chunks,
                     const std::function<std::vector<int32_t>(std::string_view)>& encode);

}  // namespace intactkv::testing
