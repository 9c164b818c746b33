#include "prompt_cache/prompt_digest.hpp"

#include <algorithm>

namespace satchel::prompt_cache {

using core::JsonCanonical;
using core::Sha256;

void PromptDigest::make(const Prompt& prompt, KeptText keep, JsonCanonical& canonical,
                        Sha256& hash) {
  breakpoints_ = prompt.breakpoints();
  candidates_.clear();
  candidate_blocks_.clear();
  text_ends_.clear();
  texts_.clear();
  keeps_text_ = keep != KeptText::kNone;
  if (breakpoints_.empty()) return;

  const std::size_t deepest = breakpoints_.back().block;
  text_ends_.reserve(keep == KeptText::kAll ? prompt.blocks().size() : deepest + 1);
  hash.reset();
  std::string storage;
  std::uint64_t text_end = 0;
  auto breakpoint = breakpoints_.begin();
  for (std::size_t i = 0; i <= deepest; ++i) {
    const Block& block = prompt.blocks()[i];
    if (keeps_text_) {
      const std::string_view text = prompt.text(block, canonical, storage);
      texts_.append(text);
      text_end += text.size();
      prompt.hash(block, canonical, hash);
    } else {
      text_end += prompt.hash(block, canonical, hash);
    }
    text_ends_.push_back(text_end);
    while (i > breakpoint->block) ++breakpoint;
    if (i + kWalkBack > breakpoint->block) {  // within the look-back of the breakpoint ahead
      candidates_.push_back(hash.digest());
      candidate_blocks_.push_back(static_cast<std::uint32_t>(i));
    }
  }
  for (std::size_t i = deepest + 1; keep == KeptText::kAll && i < prompt.blocks().size(); ++i) {
    texts_.append(prompt.text(prompt.blocks()[i], canonical, storage));
    text_ends_.push_back(texts_.size());
  }
  std::reverse(candidates_.begin(), candidates_.end());
  std::reverse(candidate_blocks_.begin(), candidate_blocks_.end());
}

const PrefixHash& PromptDigest::hash_of(std::size_t block) const {
  const auto found = std::lower_bound(candidate_blocks_.begin(), candidate_blocks_.end(), block,
                                      [](std::uint32_t a, std::size_t b) { return a > b; });
  return candidates_[static_cast<std::size_t>(found - candidate_blocks_.begin())];
}

std::vector<Segment> PromptDigest::segments(std::size_t from, std::size_t to) const {
  std::vector<Segment> segments;
  segments.reserve(to + 1 - from);
  std::uint64_t begin = from == 0 ? 0 : text_ends_[from - 1];
  for (std::size_t i = from; i <= to; ++i) {
    Segment segment;
    segment.bytes = text_ends_[i] - begin;
    if (keeps_text_) segment.text = std::string_view(texts_).substr(begin, segment.bytes);
    segments.push_back(segment);
    begin = text_ends_[i];
  }
  return segments;
}

}  // namespace satchel::prompt_cache
