// Writes the corpus for make_tokenizer_golden.py: each chunk as an 8-byte little-endian length and
// its bytes. Usage: dump_corpus OUTPUT (the model: INTACTKV_TEST_MODEL or the cache).
#include <fstream>
#include <iostream>

#include "tests/unit/engine/text/corpus.h"
#include "tests/unit/engine/text/gguf_tokenizer.h"

int main(int argc, char** argv) {
  const intactkv::TokenizerData* data = intactkv::testing::TestModelTokenizer();
  if (argc != 2 || data == nullptr) {
    std::cerr << "usage: dump_corpus OUTPUT; needs " << intactkv::testing::TestModelPath() << "\n";
    return 1;
  }
  std::ofstream out(argv[1], std::ios::binary);
  for (const std::string& chunk : intactkv::testing::MakeCorpus(*data)) {
    const uint64_t size = chunk.size();
    out.write(reinterpret_cast<const char*>(&size), sizeof(size));
    out.write(chunk.data(), static_cast<std::streamsize>(size));
  }
  return out.good() ? 0 : 1;
}
