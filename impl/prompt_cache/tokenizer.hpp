// Who counts tokens. Reads need no counting: the count is stored with the entry.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace satchel::prompt_cache {

struct ModelVersions {
  std::string model;
  std::string tokenizer;
  std::string chat_template;  // empty: the model has none
};

// A text to count. `text` is empty where the tokenizer wants lengths only.
struct Segment {
  std::string_view text;
  std::uint64_t bytes = 0;
};

// All calls from any thread.
class Tokenizer {
 public:
  Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  virtual ~Tokenizer() = default;

  [[nodiscard]] virtual bool wants_text() const = 0;
  // The models it knows, among them `model` if it knows that one. An error: out of reach.
  virtual core::Result<std::vector<ModelVersions>> versions(std::string_view model) = 0;
  // Tokens up to and including each segment.
  virtual core::Result<std::vector<std::uint32_t>> tokenize(std::string_view model,
                                                            std::span<const Segment> segments) = 0;
};

// Four bytes a token, rounded down over the sum: on the low side of what tokenizers count, because
// creation above the upstream's prompt_tokens would be reported as zero.
std::unique_ptr<Tokenizer> make_byte_estimate();

}  // namespace satchel::prompt_cache
