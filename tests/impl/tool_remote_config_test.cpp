#include <gtest/gtest.h>

#include <string>

#include "tool_cache/config.hpp"

namespace satchel::tool_cache {
namespace {

std::string why_not(const std::string& remote) {
  const auto config = read_tool_cache_config(R"({"remote": )" + remote + '}');
  return config ? "accepted" : config.error().message;
}

RemoteConfig accepted(const std::string& remote) {
  const auto config = read_tool_cache_config(R"({"remote": )" + remote + '}');
  EXPECT_TRUE(config) << (config ? "" : config.error().message);
  return config ? config->remote : RemoteConfig{};
}

TEST(ToolRemoteConfig, ThereIsNoneByDefault) {
  EXPECT_TRUE(read_tool_cache_config("")->remote.kind.empty());
}

TEST(ToolRemoteConfig, HasTheDocumentedDefaults) {
  const RemoteConfig http =
      accepted(R"({"kind": "http", "url": "https://cache.example/verdant", "token": "t"})");
  EXPECT_EQ(http.timeout_ms, 200);
  EXPECT_EQ(http.send_timeout_ms, 5'000);
  EXPECT_EQ(http.max_payload_bytes, 8'388'608);
  EXPECT_EQ(http.token->view(), "t");
  EXPECT_TRUE(http.allow_shared);
  EXPECT_FALSE(http.promote_to_shared);
  const RemoteConfig redis =
      accepted(R"({"kind": "redis", "urls": ["redis://cache"], "key": "0123456789abcdef"})");
  EXPECT_EQ(redis.key->view(), "0123456789abcdef");
  EXPECT_EQ(redis.ttl_ms, 604'800'000);
  EXPECT_FALSE(redis.cluster);
}

TEST(ToolRemoteConfig, SaysWhatIsWrong) {
  EXPECT_NE(why_not(R"({"kind": "ftp"})").find("remote.kind"), std::string::npos);
  EXPECT_NE(why_not("{}").find("remote.kind"), std::string::npos);
  EXPECT_NE(why_not(R"({"kind": "http", "url": "https://c"})").find("remote.token"),
            std::string::npos);
  EXPECT_NE(why_not(R"({"kind": "http", "token": "t"})").find("remote.url"), std::string::npos);
  EXPECT_NE(why_not(R"({"kind": "redis", "urls": ["redis://c"]})").find("remote.key"),
            std::string::npos);
  EXPECT_NE(why_not(R"({"kind": "redis", "key": "0123456789abcdef"})").find("remote.urls"),
            std::string::npos);
  EXPECT_NE(why_not(R"({"kind": "http", "url": "https://c", "token": "t", "key": "k"})")
                .find("remote.key"),
            std::string::npos);
}

TEST(ToolRemoteConfig, AShortSecretIsRefusedAndNotRepeated) {
  const std::string why = why_not(R"({"kind": "redis", "urls": ["redis://c"], "key": "hunter2"})");
  EXPECT_NE(why.find("remote.key"), std::string::npos);
  EXPECT_EQ(why.find("hunter2"), std::string::npos);
}

TEST(ToolRemoteConfig, ATokenGoesOverPlainHttpToThisMachineOnly) {
  const auto http = [](const std::string& url, const std::string& more) {
    return why_not(R"({"kind": "http", "token": "t", "url": ")" + url + '"' + more + '}');
  };
  EXPECT_NE(http("http://cache.example", "").find("plain_http"), std::string::npos);
  EXPECT_EQ(http("http://cache.example", R"(, "plain_http": true)"), "accepted");
  EXPECT_EQ(http("http://127.0.0.1:8080", ""), "accepted");
  EXPECT_EQ(http("https://cache.example", ""), "accepted");
}

}  // namespace
}  // namespace satchel::tool_cache
