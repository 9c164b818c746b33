#include "core/blake3.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace satchel::core {
namespace {

std::string hexed(const Hash256& hash) { return hex(hash.data(), hash.size()); }

std::string counting(std::size_t length, int period) {
  std::string bytes(length, '\0');
  for (std::size_t i = 0; i < length; ++i) {
    bytes[i] = static_cast<char>(i % static_cast<std::size_t>(period));
  }
  return bytes;
}

struct Case {
  std::string input;
  const char* hash;
};

// Keys that the reference gave. 100,000 bytes are enough for every width of SIMD to have its turn.
std::vector<Case> cases() {
  return {
      {"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
      {"a", "17762fddd969a453925d65717ac3eea21320b66b54342fde15128d6caf21215f"},
      {"read|a.txt|alpha", "02d638420767ebd4fd490bef004e479e84420f72c2974980d7dc4b80fa11cb66"},
      {counting(256, 256), "4a495ba42461748eca8fdad618f976aa726cc2903de9fcb40735a786ac1c196b"},
      {std::string(1024, 'x'), "71c7a224be567fb9acd2c32f87359835322cf9241b9c01f247fff2b4bdabf644"},
      {std::string(1025, 'x'), "71b7ce25ca2144dcf4d7ed561d8a526bb7f7adaf8d10a124540d82bf113678c9"},
      {counting(100'000, 251), "d93c23eedaf165a7e0be908ba86f1a7a520d568d2d13cde787c8580c5c72cc54"},
  };
}

TEST(Blake3, GivesTheKeysOfTheReference) {
  for (const Case& c : cases()) EXPECT_EQ(hexed(blake3(c.input)), c.hash) << c.input.size();
}

TEST(Blake3, PiecesOfAnySizeGiveTheHashOfTheWhole) {
  for (const Case& c : cases()) {
    for (const std::size_t piece : {1, 7, 64, 1024, 1025, 65536}) {
      Blake3 hash;
      for (std::size_t at = 0; at < c.input.size(); at += piece) {
        hash.update(std::string_view(c.input).substr(at, piece));
      }
      EXPECT_EQ(hexed(hash.digest()), c.hash) << c.input.size() << " by " << piece;
    }
  }
}

TEST(Blake3, TheDigestOfEachPrefixIsReadOnTheWay) {
  std::string so_far;
  Blake3 hash;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::string piece(i % 70, static_cast<char>('a' + i % 26));
    hash.update(piece);
    so_far.append(piece);
    EXPECT_EQ(hash.digest(), blake3(so_far)) << i;
    EXPECT_EQ(hash.digest(), blake3(so_far)) << i;  // reading changes nothing
  }
}

TEST(Blake3, ResetForgetsWhatWentIn) {
  Blake3 hash;
  hash.update(counting(5000, 251));
  hash.reset();
  EXPECT_EQ(hash.digest(), blake3(""));
}

TEST(Blake3, ThreadsHashAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::string> hashes(4);
  for (std::string& hash : hashes) {
    threads.emplace_back([&hash] { hash = hexed(blake3(counting(100'000, 251))); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& hash : hashes) EXPECT_EQ(hash, cases().back().hash);
}

}  // namespace
}  // namespace satchel::core
