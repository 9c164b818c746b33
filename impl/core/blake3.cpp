#include "core/blake3.hpp"

#include <blake3.h>

#include <tuple>

#include "core/process_wide.hpp"

namespace satchel::core {
namespace {

// The library looks at the processor when it hashes first and notes the answer in a variable that
// is no atomic in all its versions. Here only one thread is the first.
constinit ProcessWide<bool> knows_the_processor([] {
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  static constexpr char kMoreThanAChunk[2 * BLAKE3_CHUNK_LEN] = {};
  std::uint8_t hash[BLAKE3_OUT_LEN];
  blake3_hasher_update(&hasher, kMoreThanAChunk, sizeof kMoreThanAChunk);
  blake3_hasher_finalize(&hasher, hash, sizeof hash);
  return true;
});

Hash256 finish(const blake3_hasher& hasher) {
  Hash256 hash{};
  static_assert(std::tuple_size_v<Hash256> == BLAKE3_OUT_LEN);
  blake3_hasher_finalize(&hasher, hash.data(), hash.size());
  return hash;
}

}  // namespace

struct Blake3::State {
  blake3_hasher hasher;
};

Blake3::Blake3() : state_(std::make_unique<State>()) {
  knows_the_processor.get();
  reset();
}

Blake3::~Blake3() = default;

void Blake3::reset() { blake3_hasher_init(&state_->hasher); }

void Blake3::update(std::string_view bytes) {
  blake3_hasher_update(&state_->hasher, bytes.data(), bytes.size());
}

Hash256 Blake3::digest() const { return finish(state_->hasher); }

Hash256 blake3(std::string_view bytes) {
  knows_the_processor.get();
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  blake3_hasher_update(&hasher, bytes.data(), bytes.size());
  return finish(hasher);
}

}  // namespace satchel::core
