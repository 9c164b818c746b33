#include <gtest/gtest.h>

#include <string>

#include "tool_cache/key.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::string_view kOfNothing =
    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

TEST(ToolKey, TheKeyIsTheHashOfTheInput) {
  EXPECT_EQ(key_of("").hex(), kOfNothing);
  EXPECT_EQ(key_of("read|a.txt|alpha").hex(),
            "02d638420767ebd4fd490bef004e479e84420f72c2974980d7dc4b80fa11cb66");
}

TEST(ToolKey, TheKeyOfAResultIsNotTheKeyOfAnInputWithTheSameBytes) {
  EXPECT_EQ(tool_result_key("").hex(),
            "b325bfe3932427a55b6e1e222868fea4ad454b76502862be01854c9e4f513fd6");
  EXPECT_EQ(tool_result_key("a").hex(),
            "d3b4aa51c77f1715f3dfef9fd362a202ab2f56392baaaf2070765eec03be960e");
  EXPECT_EQ(tool_result_key("a"), key_of(std::string_view("tool_result\0a", 13)));
}

TEST(ToolKey, WhatHexWritesParseReads) {
  const Key key = key_of("x");
  const core::Result<Key> parsed = Key::parse(key.hex());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, key);
  EXPECT_EQ(Key::of_name(key.hex()), key);
}

TEST(ToolKey, AnythingButLowercaseDigitsIsAnArgumentErrorThatShowsIt) {
  std::string upper(kOfNothing);
  upper[0] = 'A';
  for (const std::string& wrong :
       {std::string(), std::string("not-hex"), std::string(kOfNothing) + "0",
        std::string(kOfNothing.substr(1)), upper, std::string(64, 'g'), std::string(64, '\0'),
        std::string(100'000, 'a')}) {
    const core::Result<Key> parsed = Key::parse(wrong);
    ASSERT_FALSE(parsed.ok()) << wrong;
    EXPECT_EQ(parsed.error().status, core::Status::kArgument);
    EXPECT_LT(parsed.error().message.size(), 600U);
    EXPECT_FALSE(Key::of_name(wrong));
  }
  EXPECT_EQ(Key::parse("not-hex").error().message,
            "a key is 64 lowercase hexadecimal digits, not 7 bytes: \"not-hex\"");
}

}  // namespace
}  // namespace satchel::tool_cache
