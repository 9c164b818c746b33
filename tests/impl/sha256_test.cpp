#include "core/sha256.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/secret.hpp"

namespace satchel::core {
namespace {

std::string hexed(const Hash256& hash) { return hex(hash.data(), hash.size()); }

// FIPS 180-4 and NIST's examples.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(hexed(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hexed(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hexed(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hexed(sha256(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, TheDigestOfEachPrefixIsReadOnTheWay) {
  std::string so_far;
  Sha256 hash;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::string piece(i % 70, static_cast<char>('a' + i % 26));
    hash.update(piece);
    so_far.append(piece);
    EXPECT_EQ(hash.digest(), sha256(so_far)) << i;
    EXPECT_EQ(hash.digest(), sha256(so_far)) << i;  // reading changes nothing
  }
}

TEST(Sha256, ResetForgetsWhatWentIn) {
  Sha256 hash;
  hash.update("something");
  hash.reset();
  EXPECT_EQ(hash.digest(), sha256(""));
  hash.update("abc");
  (void)hash.digest();
  hash.reset();
  hash.update("abc");
  EXPECT_EQ(hash.digest(), sha256("abc"));
}

TEST(Hex, WritesTwoLowercaseDigitsAByte) {
  const std::uint8_t bytes[] = {0x00, 0x0f, 0xa5, 0xff};
  EXPECT_EQ(hex(bytes, 4), "000fa5ff");
  EXPECT_EQ(hex(bytes, 0), "");
}

TEST(Wipe, OverwritesTheWholeMemoryOfTheText) {
  std::string secret = "sk-a-secret-that-is-longer-than-the-small-string-buffer";
  const std::size_t capacity = secret.capacity();
  secret.resize(20);  // the rest of it still lies behind the end
  wipe(secret);
  EXPECT_TRUE(secret.empty());
  ASSERT_EQ(secret.capacity(), capacity);
  secret.resize(0);
  // The memory is still the string's, so that looking at it is allowed once it has its length back.
  secret.append(capacity, '\0');
  EXPECT_EQ(secret.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace satchel::core
