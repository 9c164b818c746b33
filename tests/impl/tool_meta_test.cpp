#include <gtest/gtest.h>

#include <string>

#include "tool_cache/meta.hpp"

namespace satchel::tool_cache {
namespace {

Meta some_meta() {
  Meta meta;
  meta.payload_hash = "h";
  meta.bytes = 11;
  meta.tool_kind = "read";
  return meta;
}

std::string status_of(std::string_view text) {
  const core::Result<Meta> meta = read_meta(text);
  if (meta.ok()) return "read";
  EXPECT_EQ(meta.error().status, core::Status::kMeta);
  return meta.error().message;
}

TEST(ToolMeta, TheTextIsWhatTheReferenceWrites) {
  Meta meta = some_meta();
  EXPECT_EQ(write_meta(meta), R"({"payload_hash":"h","bytes":11,"tool_kind":"read",)"
                              R"("file_roots":[],"upstream_keys":[]})");
  meta.file_roots = {{"a/b", "x"}, {"\"\\/\n\t\r\b\f\x01\x7f\xc3\xa9", "stat:1:2:3"}};
  meta.upstream_keys = {"k1", "k2"};
  meta.bytes = 18446744073709551615U;
  EXPECT_EQ(write_meta(meta),
            R"({"payload_hash":"h","bytes":18446744073709551615,"tool_kind":"read",)"
            R"("file_roots":[{"path":"a/b","expected_hash":"x"},)"
            "{\"path\":\"\\\"\\\\/\\n\\t\\r\\b\\f\\u0001\x7f\xc3\xa9\","
            R"("expected_hash":"stat:1:2:3"}],"upstream_keys":["k1","k2"]})");
}

TEST(ToolMeta, WhatIsWrittenIsReadAgain) {
  Meta meta = some_meta();
  meta.file_roots = {{"a \"b\"\n", "x"}, {std::string("nul\0", 4), ""}};
  meta.upstream_keys = {"", "no key"};
  meta.encoding = Encoding::kZlib;
  const core::Result<Meta> read = read_meta(write_meta(meta));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, meta);
}

TEST(ToolMeta, APathThatIsNotUtf8IsKeptExactlyBesideItsLossyForm) {
  Meta meta = some_meta();
  meta.file_roots = {{"caf\xe9/\xff", "x"}};
  const std::string text = write_meta(meta);
  EXPECT_NE(text.find("{\"path\":\"caf\xef\xbf\xbd/\xef\xbf\xbd\",\"expected_hash\":\"x\","
                      "\"path_hex\":\"636166e92fff\"}"),
            std::string::npos)
      << text;
  const core::Result<Meta> read = read_meta(text);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, meta);
}

TEST(ToolMeta, APathInHexThatIsNotTheOneBesideItMeansNothing) {
  for (const char* hex :
       {"\"2f6574632f706173737764\"", "\"ff\"", "\"61\"", "\"zz\"", "7", "\"\""}) {
    const std::string text = R"({"payload_hash":"h","bytes":1,"tool_kind":"k","file_roots":)"
                             R"([{"path":"a","expected_hash":"x","path_hex":)" +
                             std::string(hex) + "}]}";
    const core::Result<Meta> read = read_meta(text);
    ASSERT_TRUE(read.ok()) << hex;
    EXPECT_EQ(read->file_roots.at(0).path, "a") << hex;
  }
}

TEST(ToolMeta, TextThatIsNotUtf8IsWrittenLossily) {
  Meta meta = some_meta();
  meta.tool_kind = "k\xff";
  meta.upstream_keys = {"\xc3"};
  const core::Result<Meta> read = read_meta(write_meta(meta));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->tool_kind, "k\xef\xbf\xbd");
  EXPECT_EQ(read->upstream_keys.at(0), "\xef\xbf\xbd");
}

// Each agrees with serde_json::from_slice::<PayloadMeta>.
TEST(ToolMeta, WhatTheReferenceReadsIsRead) {
  for (const char* text : {
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k"})",
           R"( {"tool_kind" : "k" , "bytes":1,"payload_hash":"h","new":{"a":[1,null]}} )",
           R"({"payload_hash":"h","bytes":18446744073709551615,"tool_kind":"k"})",
           R"({"payload\u005fhash":"h","bytes":0,"tool_kind":"\ud83d\ude00"})",
           // Passed over without a look inside: beyond every double, no character, any depth.
           R"({"x":1e999,"x":"\ud800","payload_hash":"h","bytes":1,"tool_kind":"k"})",
           "{\"x\":\"\xff\",\"payload_hash\":\"h\",\"bytes\":1,\"tool_kind\":\"k\"}",
           R"(["h",1,"k"])",
           R"(["h",1,"k",[["path","hash"]],["u"]])",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k","encoding":"brotli"})",
       }) {
    EXPECT_EQ(status_of(text), "read") << text;
  }
  const std::string deep = R"({"payload_hash":"h","bytes":1,"tool_kind":"k","x":)" +
                           std::string(100'000, '[') + std::string(100'000, ']') + '}';
  EXPECT_EQ(status_of(deep), "read");
}

TEST(ToolMeta, WhatTheReferenceRefusesIsRefused) {
  for (const char* text : {
           "",
           "null",
           "{}",
           "garbage",
           R"({"payload_hash":"h","bytes":1})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k"}x)",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k",})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k")",
           R"({"payload_hash":"h","payload_hash":"h","bytes":1,"tool_kind":"k"})",
           R"({"payload_hash":"h","bytes":-1,"tool_kind":"k"})",
           R"({"payload_hash":"h","bytes":1.0,"tool_kind":"k"})",
           R"({"payload_hash":"h","bytes":01,"tool_kind":"k"})",
           R"({"payload_hash":"h","bytes":18446744073709551616,"tool_kind":"k"})",
           R"({"payload_hash":"h","bytes":"1","tool_kind":"k"})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":null})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"\ud800"})",
           "{\"payload_hash\":\"h\",\"bytes\":1,\"tool_kind\":\"\xff\"}",
           "{\"payload_hash\":\"h\",\"bytes\":1,\"tool_kind\":\"\n\"}",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k","file_roots":null})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k","upstream_keys":null})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k","upstream_keys":[1]})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k","file_roots":[{"path":"p"}]})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k","file_roots":[["p","h","more"]]})",
           R"({"payload_hash":"h","bytes":1,"tool_kind":"k","x":01})",
           R"(["h",1])",
           R"(["h",1,"k",[],[],[]])",
       }) {
    EXPECT_NE(status_of(text), "read") << text;
  }
}

TEST(ToolMeta, TheErrorSaysWhatWasExpectedWhere) {
  EXPECT_EQ(status_of(R"({"payload_hash":7})"),
            "not the meta of an entry: expected a string at byte 16");
  EXPECT_EQ(status_of(R"({"payload_hash":"h","bytes":1})"),
            "not the meta of an entry: expected \"tool_kind\" at byte 30, where the text ends");
}

}  // namespace
}  // namespace satchel::tool_cache
