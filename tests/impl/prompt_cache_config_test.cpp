#include <gtest/gtest.h>

#include <string>

#include "prompt_cache/config.hpp"

namespace satchel::prompt_cache {
namespace {

std::string why_not(std::string_view text) {
  const auto config = read_prompt_cache_config(text);
  return config ? "accepted" : config.error().message;
}

Config accepted(std::string_view text) {
  auto config = read_prompt_cache_config(text);
  EXPECT_TRUE(config) << config.error().message;
  return config ? *config : Config{};
}

TEST(PromptCacheConfig, HasTheDocumentedDefaults) {
  const Config config = accepted("");
  EXPECT_EQ(config.index.kind, "memory");
  EXPECT_EQ(config.index.max_entries, 1'000'000);
  EXPECT_TRUE(config.inject);
  EXPECT_TRUE(config.scrub);
  EXPECT_EQ(config.max_event_bytes, 64 * 1024);
  EXPECT_EQ(config.classify_deadline_ms, 5'000);
  EXPECT_EQ(config.classify_threads, 8);
  EXPECT_EQ(config.classify_queue, 1'024);
  EXPECT_EQ(config.commit_deadline_ms, 30'000);
  EXPECT_EQ(config.policy.tiers.enabled, (std::vector<Tier>{Tier::k5m, Tier::k1h, Tier::k24h}));
  EXPECT_EQ(config.policy.tiers.fallback, Tier::k5m);
  EXPECT_TRUE(config.policy.telemetry.prefixes.empty());
  EXPECT_FALSE(config.policy.telemetry.strip);
}

TEST(PromptCacheConfig, TiersKeepTheirOrderAndNameTheDefault) {
  const Config config = accepted(R"({"enabled_ttls":["24h","1h"],"default_ttl":"1h"})");
  EXPECT_EQ(config.policy.tiers.enabled, (std::vector<Tier>{Tier::k24h, Tier::k1h}));
  EXPECT_EQ(config.policy.tiers.fallback, Tier::k1h);
  EXPECT_EQ(accepted(R"({"enabled_ttls":["24h","1h"]})").policy.tiers.fallback, Tier::k24h);
}

TEST(PromptCacheConfig, AModelIsOnAndHasAFloorUnlessItSaysOtherwise) {
  const Config config =
      accepted(R"({"models":{"a":{},"b":{"enabled":false},"c":{"min_prefix_tokens":4294967295}}})");
  EXPECT_EQ(config.models.size(), 3U);  // the default for all others is gone
  EXPECT_TRUE(config.models.at("a").enabled);
  EXPECT_EQ(config.models.at("a").min_prefix_tokens, 1024U);
  EXPECT_FALSE(config.models.at("b").enabled);
  EXPECT_EQ(config.models.at("c").min_prefix_tokens, 4294967295U);
  EXPECT_TRUE(accepted(R"({"models":{}})").models.empty());
}

TEST(PromptCacheConfig, AWrongValueIsAnErrorThatNamesTheKey) {
  struct Row {
    std::string_view text;
    std::string_view message;
  };
  for (const Row& row :
       {Row{R"({"index":{"kind":"etcd"}})",
            "configuration: index.kind: expected \"memory\", \"sqlite\", \"postgres\" or "
            "\"redis\", got \"etcd\""},
        Row{R"({"index":{"kind":"sqlite"}})",
            "configuration: index.path: an index of kind \"sqlite\" needs a directory"},
        Row{R"({"index":{"path":"/x"}})",
            "configuration: index.path: unknown key; known are kind, sweep_interval_ms, "
            "max_entries"},
        Row{R"({"enabled_ttls":[]})",
            "configuration: enabled_ttls: at least one tier must be enabled"},
        Row{R"({"enabled_ttls":["5m","2h"]})",
            "configuration: enabled_ttls: expected \"5m\", \"1h\" or \"24h\", got \"2h\""},
        Row{R"({"default_ttl":"2h"})",
            "configuration: default_ttl: expected \"5m\", \"1h\" or \"24h\", got \"2h\""},
        Row{R"({"enabled_ttls":["1h"],"default_ttl":"5m"})",
            "configuration: default_ttl: \"5m\" is not among enabled_ttls"},
        Row{R"({"models":{"m":{"min_prefix_tokens":-1}}})",
            "configuration: models.m.min_prefix_tokens: expected an integer from 0 to 4294967295"},
        Row{R"({"models":{"m":{"max":1}}})",
            "configuration: models.m.max: unknown key; known are enabled, min_prefix_tokens"},
        Row{R"({"telemetry":{"prefixes":[1]}})",
            "configuration: telemetry.prefixes[0]: expected a string, got a number"},
        Row{R"({"max_body_bytes":0})",
            "configuration: max_body_bytes: expected an integer from 1 to 268435455"},
        Row{R"({"scrub":"no"})", "configuration: scrub: expected a boolean, got a string"}}) {
    EXPECT_EQ(why_not(row.text), row.message) << row.text;
  }
}

TEST(PromptCacheConfig, ATokenizerIsAServiceAndExactCountingIsOff) {
  EXPECT_FALSE(accepted("").exact);
  EXPECT_TRUE(accepted("").tokenizer.url.empty());
  const Config config = accepted(
      R"({"exact":true,"tokenizer":{"url":"https://t.example:8/x/","api_key":"k","timeout_ms":7}})");
  EXPECT_TRUE(config.exact);
  EXPECT_EQ(config.tokenizer.url, "https://t.example:8/x/");
  EXPECT_EQ(config.tokenizer.api_key, "k");
  EXPECT_EQ(config.tokenizer.timeout_ms, 7);
  EXPECT_EQ(accepted(R"({"tokenizer":{"url":"http://[::1]:80"}})").tokenizer.timeout_ms, 5'000);
}

TEST(PromptCacheConfig, NothingOfATokenizersKeysIsInAMessage) {
  for (const char* text :
       {R"({"tokenizer":{"url":"http://me:secret@host"}})",
        R"({"tokenizer":{"url":"secret@host"}})", R"({"tokenizer":{"url":"http://host?secret"}})",
        R"({"tokenizer":{"url":"http://host","api_key":"secret\r\n"}})"}) {
    const std::string why = why_not(text);
    EXPECT_NE(why.find("tokenizer."), std::string::npos) << why;
    EXPECT_EQ(why.find("secret"), std::string::npos) << why;
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
