// What is kept of a prompt once its body is gone: what classification needs, and no more.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/json_canonical.hpp"
#include "core/sha256.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/prompt.hpp"
#include "prompt_cache/tokenizer.hpp"

namespace satchel::prompt_cache {

// The texts that a tokenizer will ask for, to be copied.
enum class KeptText : std::uint8_t {
  kNone,    // their lengths will do
  kMarked,  // up to the deepest breakpoint
  kAll,
};

class PromptDigest {
 public:
  // Hashes the blocks up to the deepest breakpoint, in one pass.
  void make(const Prompt& prompt, KeptText keep, core::JsonCanonical& canonical,
            core::Sha256& hash);

  [[nodiscard]] const std::vector<Breakpoint>& breakpoints() const { return breakpoints_; }

  // The hashes to look up, of all breakpoints together, the deepest first; and the block of each.
  [[nodiscard]] const std::vector<PrefixHash>& candidates() const { return candidates_; }
  [[nodiscard]] const std::vector<std::uint32_t>& candidate_blocks() const {
    return candidate_blocks_;
  }
  [[nodiscard]] const PrefixHash& hash_of(std::size_t block) const;

  // How many blocks have their text kept, or its length; none without breakpoints.
  [[nodiscard]] std::size_t kept_blocks() const { return text_ends_.size(); }
  // The texts of blocks [from, to].
  [[nodiscard]] std::vector<Segment> segments(std::size_t from, std::size_t to) const;

 private:
  std::vector<Breakpoint> breakpoints_;
  std::vector<PrefixHash> candidates_;
  std::vector<std::uint32_t> candidate_blocks_;
  std::vector<std::uint64_t> text_ends_;  // bytes of text up to and including each block
  std::string texts_;                     // one behind the other, where they are kept
  bool keeps_text_ = false;
};

}  // namespace satchel::prompt_cache
