// The parts of a tokenizer.json that say how text is cut, joined and framed.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "engine/json/json_fields.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// A whole file, which outlives this view.
class JsonDocument : public JsonFields {
 public:
  JsonDocument(const boost::json::object& object, const std::string& path)
      : JsonFields(object, path), path_(path) {}
  // A view of an object somewhere below; `prefix` as in JsonFields.
  JsonFields At(const boost::json::object& object, std::string prefix) const {
    return JsonFields(object, path_, std::move(prefix));
  }

 private:
  std::string path_;
};

// Fills model, pre, nfc and space from normalizer, pre_tokenizer and decoder of the document.
absl::Status ReadTextRules(const JsonDocument& document, TokenizerData& data);

// Fills add_bos and add_eos, and bos_id and eos_id where they are absent, from post_processor.
absl::Status ReadPostProcessor(const JsonDocument& document, TokenizerData& data);

}  // namespace intactkv
