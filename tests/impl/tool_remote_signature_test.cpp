#include <gtest/gtest.h>

#include <string>

#include "core/sha256.hpp"
#include "tool_cache/remote_signature.hpp"

namespace satchel::tool_cache {
namespace {

using Kind = RemoteSigner::Kind;

RemoteSigner signer(const char* secret) {
  return RemoteSigner(std::make_shared<const core::Secret>(std::string_view(secret)));
}

const Key kKey = key_of("a call");
const std::string kBytes = "what the tool said";

TEST(ToolRemoteSignature, OpensWhatWasSealedWithTheSameSecret) {
  const RemoteSigner mine = signer("a secret of the team");
  const std::string sealed = mine.seal(Kind::kPayload, kKey, kBytes);
  EXPECT_EQ(sealed.size(), RemoteSigner::kOverhead + kBytes.size());
  EXPECT_EQ(signer("a secret of the team").open(Kind::kPayload, kKey, sealed), kBytes);
  EXPECT_EQ(mine.open(Kind::kMeta, kKey, mine.seal(Kind::kMeta, kKey, "")), "");
  EXPECT_FALSE(signer("another team's secret").open(Kind::kPayload, kKey, sealed));
}

// HMAC-SHA-256 by the definition of RFC 2104, over what the header says.
TEST(ToolRemoteSignature, IsTheHmacThatTheDocumentationNames) {
  const std::string secret = "a secret of the team";
  std::string inner(64, '\x36');
  std::string outer(64, '\x5c');
  for (std::size_t i = 0; i < secret.size(); ++i) {
    inner[i] = static_cast<char>(inner[i] ^ secret[i]);
    outer[i] = static_cast<char>(outer[i] ^ secret[i]);
  }
  inner += "satchel tool cache, shared, 1\np";
  inner.append(reinterpret_cast<const char*>(kKey.bytes.data()), kKey.bytes.size());
  inner += kBytes;
  const core::Hash256 first = core::sha256(inner);
  outer.append(reinterpret_cast<const char*>(first.data()), first.size());
  const core::Hash256 expected = core::sha256(outer);
  EXPECT_EQ(signer(secret.c_str()).seal(Kind::kPayload, kKey, kBytes),
            std::string(reinterpret_cast<const char*>(expected.data()), expected.size()) + kBytes);
}

TEST(ToolRemoteSignature, RefusesEveryAlteredByteAndEveryCut) {
  const RemoteSigner mine = signer("a secret of the team");
  const std::string sealed = mine.seal(Kind::kPayload, kKey, kBytes);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    for (const int bit : {1, 0x80}) {
      std::string altered = sealed;
      altered[i] = static_cast<char>(altered[i] ^ bit);
      EXPECT_FALSE(mine.open(Kind::kPayload, kKey, altered)) << i;
    }
    EXPECT_FALSE(mine.open(Kind::kPayload, kKey, sealed.substr(0, i))) << i;
  }
  EXPECT_FALSE(mine.open(Kind::kPayload, kKey, sealed + '\0'));
}

TEST(ToolRemoteSignature, BelongsToOneKeyAndOneKindOfValue) {
  const RemoteSigner mine = signer("a secret of the team");
  const std::string sealed = mine.seal(Kind::kPayload, kKey, kBytes);
  EXPECT_FALSE(mine.open(Kind::kPayload, key_of("another call"), sealed));
  EXPECT_FALSE(mine.open(Kind::kMeta, kKey, sealed));
  EXPECT_FALSE(mine.open(Kind::kDependent, kKey, sealed));
}

TEST(ToolRemoteSignature, ATeamHasANameThatTellsNothingOfItsSecret) {
  EXPECT_EQ(signer("a secret of the team").namespace_id(),
            signer("a secret of the team").namespace_id());
  EXPECT_NE(signer("a secret of the team").namespace_id(),
            signer("another team's secret").namespace_id());
  EXPECT_EQ(signer("a secret of the team").namespace_id().size(), 16U);
}

}  // namespace
}  // namespace satchel::tool_cache
