#include <gtest/gtest.h>

#include <string>

#include "core/base64.hpp"
#include "tool_cache/remote_entry.hpp"
#include "tool_cache/remote_wire.hpp"

namespace satchel::tool_cache {
namespace {

using core::Status;

const Key kKey = key_of("a call");
const std::string kHash(64, 'a');

// A hit with `more` members behind those that are needed.
std::string hit(const std::string& more) {
  return R"({"kind":"hit","payload":"Zm9v","tool_kind":"read","bytes":3)" + more + '}';
}

std::string said(std::string_view body) {
  const auto answer = read_wire_lookup(body);
  if (!answer) return answer.error().status == Status::kIntegrity ? "refused" : "no answer";
  return *answer ? "hit: " + (*answer)->payload : "miss";
}

TEST(ToolRemoteWire, SaysWhatTheReferenceReads) {
  EXPECT_EQ(wire_lookup(kKey, true), R"({"key":")" + kKey.hex() + R"(","allow_shared":true})");
  EXPECT_EQ(wire_invalidate(kKey), R"({"key":")" + kKey.hex() + R"("})");
  Meta meta;
  meta.tool_kind = "read";
  meta.file_roots = {{"a \"file\"", kHash}};
  meta.upstream_keys = {kHash};
  EXPECT_EQ(wire_persist(kKey, "foo", meta, false),
            R"({"key":")" + kKey.hex() + R"(","tool_kind":"read","payload":"Zm9v","file_roots":)" +
                R"([{"path":"a \"file\"","expected_hash":")" + kHash + R"("}],"upstream_keys":[")" +
                kHash + R"("],"promote_to_shared":false})");
}

TEST(ToolRemoteWire, ReadsHitsAndWhatIsNone) {
  EXPECT_EQ(said(hit("")), "hit: foo");
  EXPECT_EQ(said(hit(R"(,"provenance":{"author_user_id":"x"},"from_shared":true,"new":[1])")),
            "hit: foo");
  EXPECT_EQ(said(R"({"kind":"miss"})"), "miss");
  EXPECT_EQ(said(R"({"kind":"invalidated"})"), "miss");
  const auto entry = read_wire_lookup(
      hit(R"(,"file_roots":[{"path":"a/b","expected_hash":"dir:)" + kHash + R"("}])"));
  ASSERT_TRUE(entry && *entry);
  EXPECT_EQ((*entry)->meta.file_roots, (std::vector<Root>{{"a/b", "dir:" + kHash}}));
  EXPECT_EQ((*entry)->meta.payload_hash, payload_hash_of("foo"));
  EXPECT_TRUE((*entry)->may_keep);
}

TEST(ToolRemoteWire, AnEntryWithUpstreamsIsNotKeptAndOfAnotherUserNotServed) {
  const std::string upstreams = R"(,"upstream_keys":[")" + kHash + R"("])";
  const auto entry = read_wire_lookup(hit(upstreams));
  ASSERT_TRUE(entry && *entry);
  EXPECT_FALSE((*entry)->may_keep);
  EXPECT_EQ(said(hit(upstreams + R"(,"from_shared":true)")), "miss");
}

TEST(ToolRemoteWire, WhatIsNoAnswerIsSaidToBeNone) {
  for (const char* body :
       {"", "garbage", "[]", "{}", R"({"kind":"future"})", R"({"kind":7})", R"({"kind":"hit"})",
        R"({"kind":"hit","payload":"Zm9v","tool_kind":"read"})",
        R"({"kind":"hit","payload":"Zm9v","tool_kind":"read","bytes":"3"})",
        R"({"kind":"hit","payload":7,"tool_kind":"read","bytes":3})",
        R"({"kind":"hit","payload":"Zm9v","tool_kind":null,"bytes":3})"}) {
    EXPECT_EQ(said(body), "no answer") << body;
  }
  EXPECT_EQ(said(hit(R"(,"file_roots":{})")), "no answer");
  EXPECT_EQ(said(hit(R"(,"file_roots":[{"path":"a"}])")), "no answer");
  EXPECT_EQ(said(hit(R"(,"upstream_keys":[7])")), "no answer");
}

TEST(ToolRemoteWire, WhatIsNotToBeBelievedIsRefused) {
  const auto root = [](const std::string& path, const std::string& hash) {
    return hit(R"(,"file_roots":[{"path":")" + path + R"(","expected_hash":")" + hash + R"("}])");
  };
  EXPECT_EQ(said(R"({"kind":"hit","payload":"Zm9v","tool_kind":"read","bytes":4})"), "refused");
  EXPECT_EQ(said(R"({"kind":"hit","payload":"Zm9","tool_kind":"read","bytes":2})"), "refused");
  EXPECT_EQ(said(root("a", kHash)), "hit: foo");
  EXPECT_EQ(said(root("", kHash)), "refused");
  EXPECT_EQ(said(root(R"(a\u0000b)", kHash)), "refused");
  EXPECT_EQ(said(root(std::string(4'097, 'a'), kHash)), "refused");
  for (const std::string& hash : {std::string("stat:1:2:3"), std::string(), kHash + "a",
                                  std::string("dir:"), std::string(64, 'A')}) {
    EXPECT_EQ(said(root("a", hash)), "refused") << hash;
  }
  EXPECT_EQ(said(hit(R"(,"upstream_keys":["none"])")), "refused");
  EXPECT_EQ(said(R"({"kind":"hit","payload":"","tool_kind":")" + std::string(2'000, 'k') +
                 R"(","bytes":0})"),
            "refused");
}

TEST(ToolRemoteWire, ReadsWhatBecameOfAPersistAndOfAnInvalidation) {
  EXPECT_TRUE(read_wire_persist(
      R"({"kind":"stored","promoted_to_shared":false,"bytes_used_after":3,"bytes_quota":null})"));
  const auto rejected = read_wire_persist(R"({"kind":"rejected","reason":"bad key"})");
  ASSERT_FALSE(rejected);
  EXPECT_EQ(rejected.error().status, Status::kNotStored);
  EXPECT_NE(rejected.error().message.find("bad key"), std::string::npos);
  const auto full =
      read_wire_persist(R"({"kind":"quota_exceeded","bytes_used":9,"bytes_quota":9})");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().status, Status::kNotStored);
  EXPECT_EQ(read_wire_persist("{}").error().status, Status::kIo);
  EXPECT_TRUE(read_wire_invalidate(R"({"dropped_count":0})"));
  EXPECT_EQ(read_wire_invalidate(R"({"dropped_count":-1})").error().status, Status::kIo);
  EXPECT_EQ(read_wire_invalidate("[]").error().status, Status::kIo);
}

TEST(Base64, GivesBackWhatItWroteAndTakesNothingElse) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    const std::string text = core::base64_encode(bytes);
    EXPECT_EQ(text.size(), (bytes.size() + 2) / 3 * 4);
    EXPECT_EQ(core::base64_decode(text), bytes);
    bytes += static_cast<char>(i * 7);
  }
  EXPECT_EQ(core::base64_encode("fo"), "Zm8=");
  for (const char* text :
       {"Z", "Zm8", "Zm9=", "Zh==", "Zm 8", "Zm8=\n", "====", "Z===", "=m8=", "Zm8=Zm8=", "Zm-_"}) {
    EXPECT_FALSE(core::base64_decode(text)) << text;
  }
}

}  // namespace
}  // namespace satchel::tool_cache
