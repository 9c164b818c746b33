#include <algorithm>
#include <limits>

#include "prompt_cache/tokenizer.hpp"

namespace satchel::prompt_cache {
namespace {

constexpr std::uint64_t kBytesPerToken = 4;
// Part of every entry's scope: change it when the rule changes, so that old counts age out.
constexpr const char* kVersion = "estimate-bytes4-1";

class ByteEstimate final : public Tokenizer {
 public:
  [[nodiscard]] bool wants_text() const override { return false; }

  core::Result<std::vector<ModelVersions>> versions(std::string_view model,
                                                    Patience /*patience*/) override {
    std::vector<ModelVersions> models;
    models.push_back({std::string(model), kVersion, {}});
    return models;
  }

  core::Result<std::vector<std::uint32_t>> tokenize(std::string_view /*model*/,
                                                    std::span<const Segment> segments,
                                                    Patience /*patience*/) override {
    std::vector<std::uint32_t> cumulative;
    cumulative.reserve(segments.size());
    std::uint64_t bytes = 0;
    for (const Segment& segment : segments) {
      bytes += segment.bytes;
      cumulative.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(
          bytes / kBytesPerToken, std::numeric_limits<std::uint32_t>::max())));
    }
    return cumulative;
  }
};

}  // namespace

std::unique_ptr<Tokenizer> make_byte_estimate() { return std::make_unique<ByteEstimate>(); }

}  // namespace satchel::prompt_cache
