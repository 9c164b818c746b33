// Any text as what a tokenizer service answers. The first byte says how many prefixes were asked
// for. An answer is read whole or not at all; counts that are believed grow, fit into the whole and
// are what an independent reader (simdjson) finds in the text; and whatever the template refused,
// the estimates keep to that order.
#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt_cache/exact_count.hpp"
#include "prompt_cache/tokenizer_wire.hpp"

namespace {

using namespace satchel::prompt_cache;  // NOLINT: a program of one file

constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();

void require(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

template <class T>
void require_reason(const satchel::core::Result<T>& answer) {
  if (answer) return;
  require(tokenizer_fault(answer.error()) == TokenizerFault::kBadAnswer, "a bad answer is one");
  require(!answer.error().message.empty(), "and says why");
}

// The last member of a name that any reader of such an answer agrees on; nothing where the name
// stands there twice, since simdjson takes the first.
std::optional<simdjson::dom::element> only_member(simdjson::dom::element root,
                                                  std::string_view name) {
  simdjson::dom::object object;
  if (root.get_object().get(object) != simdjson::SUCCESS) return std::nullopt;
  std::optional<simdjson::dom::element> found;
  for (const auto& [key, value] : object) {
    if (key != name) continue;
    if (found) return std::nullopt;
    found = value;
  }
  return found;
}

void compare_number(simdjson::dom::element value, std::uint32_t ours) {
  std::uint64_t theirs = 0;
  require(value.get_uint64().get(theirs) == simdjson::SUCCESS && theirs == ours,
          "a count is the number in the text");
}

void compare_list(simdjson::dom::element value,
                  const std::vector<std::optional<std::uint32_t>>& ours) {
  simdjson::dom::array theirs;
  require(value.get_array().get(theirs) == simdjson::SUCCESS, "counts are a list");
  require(theirs.size() == ours.size(), "as many as in the text");
  std::size_t i = 0;
  for (const simdjson::dom::element count : theirs) {
    const std::optional<std::uint32_t>& mine = ours[i++];
    require(count.is_null() == !mine, "a null is no count");
    if (mine) compare_number(count, *mine);
  }
}

void read_as_counts(std::string_view text, simdjson::dom::element* root) {
  const auto counts = read_token_counts(text);
  require_reason(counts);
  if (!counts) return;
  require(std::is_sorted(counts->begin(), counts->end()), "sums grow");
  if (root == nullptr) return;
  if (const auto cumulative = only_member(*root, "cumulative")) {
    compare_list(*cumulative, {counts->begin(), counts->end()});
  }
}

void require_ordered(const BreakpointCounts& counts, std::uint64_t total) {
  std::uint64_t before = 0;
  for (const std::optional<std::uint64_t>& count : counts) {
    require(count.has_value(), "every gap is filled");
    require(*count >= before && *count <= total, "estimates grow, and fit into the whole");
    before = *count;
  }
}

void fill(const RenderCounts& rendered, std::size_t asked) {
  std::vector<Breakpoint> breakpoints(asked);
  std::vector<std::uint32_t> plain(asked);
  for (std::size_t i = 0; i < asked; ++i) {
    breakpoints[i].block = i;
    plain[i] = static_cast<std::uint32_t>(std::min<std::size_t>(i * 1'000'000'007, kMost));
  }
  BreakpointCounts counts = counts_of(rendered, breakpoints, std::nullopt);
  fill_gaps(counts, breakpoints, std::nullopt, plain, rendered.total);
  require_ordered(counts, rendered.total);
}

void read_as_render(std::string_view text, simdjson::dom::element* root, std::size_t asked) {
  const auto rendered = read_render_counts(text);
  require_reason(rendered);
  if (!rendered) return;
  if (root != nullptr) {
    if (const auto total = only_member(*root, "total")) compare_number(*total, rendered->total);
    if (const auto prefixes = only_member(*root, "prefix_counts")) {
      compare_list(*prefixes, rendered->prefixes);
    }
  }
  if (judge_render(*rendered, asked) == RenderVerdict::kUsable) fill(*rendered, asked);
  if (judge_render(*rendered, rendered->prefixes.size()) == RenderVerdict::kUsable) {
    fill(*rendered, rendered->prefixes.size());
  }
}

void read_as_models(std::string_view text) {
  const auto models = read_versions(text);
  require_reason(models);
  if (!models) return;
  for (const ModelVersions& model : *models) {
    require(!model.tokenizer.empty(), "a model has a version");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t asked = data[0] % 5;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  static simdjson::dom::parser parser;
  simdjson::dom::element root;
  const bool json = parser.parse(text).get(root) == simdjson::SUCCESS;
  read_as_counts(text, json ? &root : nullptr);
  read_as_render(text, json ? &root : nullptr, asked);
  read_as_models(text);
  for (const int status : {200, 400, 422, 500}) {
    const TokenizerFault tokenize = fault_of_tokenize(status, text);
    require(tokenize != TokenizerFault::kNoTemplate && tokenize != TokenizerFault::kOutOfReach,
            "counting segments needs no template");
    require(status != 400 || fault_of_render(status, text) == TokenizerFault::kRenderFailed,
            "any 400 is a render that failed");
  }
  return 0;
}
