// Who counts tokens. Reads need no counting: the count is stored with the entry.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "prompt_cache/patience.hpp"
#include "prompt_cache/prompt.hpp"

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

// A prompt to write out by the model's chat template. JSON as in the body that is forwarded.
struct RenderRequest {
  std::string_view messages;
  std::string_view tools;  // empty: the body has none
  std::span<const Prefix> prefixes;
};

struct RenderCounts {
  std::uint32_t total = 0;  // of the whole prompt, the generation prompt included
  // For each prefix; nothing where the template refuses it.
  std::vector<std::optional<std::uint32_t>> prefixes;
};

// Why there is no count. Carried as the `reason` of an Error; one without says kOutOfReach.
enum class TokenizerFault : std::int32_t {
  kOutOfReach = 0,
  kUnmapped,      // it does not know the model
  kNoTemplate,    // the model has no chat template
  kRenderFailed,  // the template or the service refuses this prompt
  kBadAnswer,     // it answered, but not by its contract
};

core::Error tokenizer_error(TokenizerFault fault, std::string message);
TokenizerFault tokenizer_fault(const core::Error& error);

// All calls from any thread. They are answered within the patience given, as well as they can be.
class Tokenizer {
 public:
  Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  virtual ~Tokenizer() = default;

  [[nodiscard]] virtual bool wants_text() const = 0;
  // Whether render() is worth asking at all.
  [[nodiscard]] virtual bool can_render() const { return false; }
  // The models it knows, among them `model` if it knows that one. An error: out of reach.
  virtual core::Result<std::vector<ModelVersions>> versions(std::string_view model,
                                                            Patience patience) = 0;
  // Tokens up to and including each segment.
  virtual core::Result<std::vector<std::uint32_t>> tokenize(std::string_view model,
                                                            std::span<const Segment> segments,
                                                            Patience patience) = 0;
  virtual core::Result<RenderCounts> render(std::string_view model, const RenderRequest& request,
                                            Patience patience);
  // Ends what is being asked, soon, with an error; and whatever is asked later.
  virtual void stop() {}
};

// Four bytes a token, rounded down over the sum: on the low side of what tokenizers count, because
// creation above the upstream's prompt_tokens would be reported as zero.
std::unique_ptr<Tokenizer> make_byte_estimate();

}  // namespace satchel::prompt_cache
