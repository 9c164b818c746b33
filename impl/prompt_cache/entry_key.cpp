#include "prompt_cache/entry_key.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string_view>
#include <utility>

#include "core/sha256.hpp"

namespace satchel::prompt_cache {
namespace {

void add_with_length(core::Sha256& sha, std::string_view text) {
  std::array<char, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<char>((static_cast<std::uint64_t>(text.size()) >> (8 * i)) & 0xff);
  }
  sha.update({length.data(), length.size()});
  sha.update(text);
}

// One context is kept, for making one costs more than hashing with it. Not one a thread: where
// there is no memory to note what ends with a thread, the C library ends the process.
class KeptSha256 {
 public:
  std::unique_ptr<core::Sha256> take() {
    core::Sha256* sha = kept_.exchange(nullptr, std::memory_order_acquire);
    if (sha == nullptr) return std::make_unique<core::Sha256>();
    return std::unique_ptr<core::Sha256>(sha);
  }
  void give_back(std::unique_ptr<core::Sha256> sha) {
    delete kept_.exchange(sha.release(), std::memory_order_acq_rel);
  }

 private:
  std::atomic<core::Sha256*> kept_{nullptr};
};

// Never destroyed: threads may be hashing while the process ends.
constinit KeptSha256 kept;

}  // namespace

ScopeId scope_id(const Scope& scope) {
  std::unique_ptr<core::Sha256> sha = kept.take();
  sha->reset();
  add_with_length(*sha, scope.principal);
  add_with_length(*sha, scope.model);
  add_with_length(*sha, scope.tokenizer_version);
  const core::Hash256 hash = sha->digest();
  kept.give_back(std::move(sha));
  ScopeId id{};
  std::copy_n(hash.begin(), id.size(), id.begin());
  return id;
}

}  // namespace satchel::prompt_cache
