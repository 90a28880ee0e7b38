// Writes a corpus for the golden scripts: each chunk as an 8-byte little-endian length and its
// bytes. Usage: dump_corpus OUTPUT         make_tokenizer_golden.py (the model: INTACTKV_TEST_MODEL
//                                          or the cache)
//               dump_corpus OUTPUT VOCAB   make_family_golden.py (a GGUF file or a tokenizer.json)
#include <fstream>
#include <iostream>

#include "tests/unit/engine/text/corpus.h"
#include "tests/unit/engine/text/family_vocabulary.h"
#include "tests/unit/engine/text/gguf_tokenizer.h"

int main(int argc, char** argv) {
  std::vector<std::string> chunks;
  if (argc == 2) {
    const intactkv::TokenizerData* data = intactkv::testing::TestModelTokenizer();
    if (data != nullptr) chunks = intactkv::testing::MakeCorpus(*data);
  } else if (argc == 3) {
    const auto data = intactkv::testing::ReadVocabulary(argv[2]);
    if (data.ok()) {
      chunks = intactkv::testing::MakeFamilyCorpus(*data);
    } else {
      std::cerr << data.status() << "\n";
    }
  }
  if (chunks.empty()) {
    std::cerr << "usage: dump_corpus OUTPUT [VOCAB]\n";
    return 1;
  }
  std::ofstream out(argv[1], std::ios::binary);
  for (const std::string& chunk : chunks) {
    const uint64_t size = chunk.size();
    out.write(reinterpret_cast<const char*>(&size), sizeof(size));
    out.write(chunk.data(), static_cast<std::streamsize>(size));
  }
  return out.good() ? 0 : 1;
}
