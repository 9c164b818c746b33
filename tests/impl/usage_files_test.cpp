// What stands in the shared files, read and written by the reference's rules.
#include <gtest/gtest.h>

#include <string>

#include "cascade/cache_file.hpp"
#include "cascade/lock_file.hpp"
#include "cascade/usage_reader.hpp"
#include "cascade/usage_writer.hpp"
#include "core/json_pretty.hpp"

namespace satchel::cascade {
namespace {

std::string written(const EndpointUsage& usage) {
  core::JsonWriter out;
  out.begin_object();
  write_usage_members(out, usage);
  out.end_object();
  return out.take();
}

// The body as it is written again; "-": it cannot be read.
std::string again(std::string_view body) {
  const ReadUsage read = read_endpoint_body(body);
  return read.usage ? written(*read.usage) : "-";
}

std::string bucket(std::string_view json) {
  const std::string text = again(std::string(R"({"five_hour":)") + std::string(json) + "}");
  if (text == "-") return text;
  return text.substr(13, text.find(",\"seven_day\"") - 13);
}

std::string limits(std::string_view json) {
  const std::string text = again(std::string(R"({"limits":)") + std::string(json) + "}");
  const std::size_t begin = text.find("\"limits\":") + 9;
  return text.substr(begin, text.find(",\"unknown_buckets\"") - begin);
}

TEST(EndpointBody, WhatItDoesNotSayIsNull) {
  EXPECT_EQ(
      again("{}"),
      R"({"five_hour":null,"seven_day":null,"seven_day_opus":null,"seven_day_sonnet":null,)"
      R"("seven_day_oauth_apps":null,"extra_usage":null,"limits":null,"unknown_buckets":{}})");
}

TEST(EndpointBody, PercentagesAreClampedAndKeptInSinglePrecision) {
  EXPECT_EQ(bucket(R"({"utilization":61.7})"), R"({"utilization":61.7,"resets_at":null})");
  EXPECT_EQ(bucket(R"({"utilization":250.5})"), R"({"utilization":100.0,"resets_at":null})");
  EXPECT_EQ(bucket(R"({"utilization":-3})"), R"({"utilization":0.0,"resets_at":null})");
  EXPECT_EQ(bucket(R"({"utilization":18446744073709551615})"),
            R"({"utilization":100.0,"resets_at":null})");
  EXPECT_EQ(bucket(R"({"utilization":33.333333333333336})"),
            R"({"utilization":33.333332,"resets_at":null})");
}

TEST(EndpointBody, TimesAreUtc) {
  EXPECT_EQ(bucket(R"({"utilization":1,"resets_at":"2026-11-25T00:00:00.5+02:00"})"),
            R"({"utilization":1.0,"resets_at":"2026-11-24T22:00:00.5Z"})");
}

TEST(EndpointBody, WhatCannotBeReadAsItsTypeFailsTheWhole) {
  EXPECT_EQ(bucket(R"({"utilization":"61"})"), "-");
  EXPECT_EQ(bucket(R"({"utilization":null})"), "-");
  EXPECT_EQ(bucket("{}"), "-");
  EXPECT_EQ(bucket("7"), "-");
  EXPECT_EQ(bucket(R"({"utilization":1,"resets_at":"tomorrow"})"), "-");
  EXPECT_EQ(bucket(R"({"utilization":1,"resets_at":5})"), "-");
  EXPECT_EQ(bucket(R"({"utilization":1,"utilization":2})"), "-");
  EXPECT_EQ(again(R"({"five_hour":null,"five_hour":null})"), "-");
  EXPECT_EQ(again(R"({"extra_usage":{"is_enabled":1}})"), "-");
  EXPECT_EQ(again("[]"), "-");
  EXPECT_EQ(again(""), "-");
  EXPECT_EQ(again("{} x"), "-");
  EXPECT_EQ(again("{\"a\":\"\xff\"}"), "-");
}

TEST(EndpointBody, StructsMayStandAsArrays) {
  EXPECT_EQ(bucket(R"([5,"2026-11-25T00:00:00Z"])"),
            R"({"utilization":5.0,"resets_at":"2026-11-25T00:00:00Z"})");
  EXPECT_EQ(bucket("[5]"), R"({"utilization":5.0,"resets_at":null})");
  EXPECT_EQ(bucket("[5,null,1]"), "-");
  EXPECT_EQ(bucket("[]"), "-");
}

TEST(EndpointBody, ABadLimitDropsOnlyItself) {
  EXPECT_EQ(limits(R"([{"kind":"session","percent":5},{"kind":"weekly_scoped"},3,)"
                   R"({"kind":7,"percent":1},{"kind":"new","percent":1,"severity":"odd"}])"),
            R"([{"kind":"session","percent":5.0,"resets_at":null,"scope":null,)"
            R"("severity":"unknown"},{"kind":"unknown","percent":1.0,"resets_at":null,)"
            R"("scope":null,"severity":"unknown"}])");
  EXPECT_EQ(limits(R"({"a":1})"), "null");
  EXPECT_EQ(read_endpoint_body(R"({"limits":{"a":1}})").dropped.size(), 1u);
  EXPECT_EQ(read_endpoint_body(R"({"limits":[{},1]})").dropped.size(), 2u);
  EXPECT_EQ(limits(R"([{"kind":"session","percent":1,"severity":null}])"), "[]");
}

TEST(EndpointBody, ALimitIsReadThroughAValue) {
  EXPECT_EQ(limits(R"([{"kind":"session","percent":1,"percent":2}])"),
            R"([{"kind":"session","percent":2.0,"resets_at":null,"scope":null,)"
            R"("severity":"unknown"}])");
  EXPECT_EQ(limits(R"([{"kind":{"weekly_all":null},"percent":1,"scope":{"model":{"id":"x"}}}])"),
            R"([{"kind":"weekly_all","percent":1.0,"resets_at":null,)"
            R"("scope":{"model":{"display_name":null,"id":"x"}},"severity":"unknown"}])");
}

TEST(EndpointBody, UnknownMembersAreKeptAsTheyCame) {
  const std::string text = again(R"({"amber":{"x": [1, 2.50]},"zero":null,"amber":1e2})");
  EXPECT_NE(text.find(R"("unknown_buckets":{"amber":1e2,"zero":null})"), std::string::npos) << text;
}

TEST(CacheFile, WhatIsWrittenIsReadBackAndLaidOutAsTheReferenceDoes) {
  EndpointUsage usage =
      *read_endpoint_body(R"({"five_hour":{"utilization":42.3},"limits":[],"x":1})").usage;
  const std::string text = write_cache_file(usage, {1'800'000'000, 250'000'000});
  EXPECT_EQ(
      text.rfind("{\n  \"schema_version\": 1,\n  \"cached_at\": \"2027-01-15T08:00:00.25Z\",\n"
                 "  \"data\": {\n    \"five_hour\": {\n      \"utilization\": 42.3,\n",
                 0),
      0u)
      << text;
  const std::optional<CacheEntry> read = read_cache_file(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->cached_at, (core::Timestamp{1'800'000'000, 250'000'000}));
  EXPECT_EQ(written(*read->data), written(usage));
  EXPECT_FALSE(read->error_code);
}

TEST(CacheFile, WhatWasReadFromTheEndpointFitsIntoAFileThatIsRead) {
  std::string deep = R"({"deep":)" + std::string(100, '[') + "1";
  while (deep.size() < 65'000) deep += ",1";
  deep += std::string(100, ']') + "}";
  const ReadUsage read = read_endpoint_body(deep);
  ASSERT_TRUE(read.usage);
  const std::string file = write_cache_file(*read.usage, {1'800'000'000, 0});
  EXPECT_LT(file.size(), std::size_t{1} << 20);
  const std::optional<CacheEntry> entry = read_cache_file(file);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->data->unknown_buckets, read.usage->unknown_buckets);
}

TEST(CacheFile, ManyUnknownMembersAreNotComparedWithEachOther) {
  constexpr int kMany = 100'000;
  std::string text = R"({"schema_version":1,"cached_at":"2026-11-20T10:30:00Z","data":)"
                     R"({"unknown_buckets":{)";
  for (int i = 0; i < kMany; ++i) text += '"' + std::to_string(i) + "\":1,";
  const std::optional<CacheEntry> entry = read_cache_file(text + R"("7":2}}})");
  ASSERT_TRUE(entry);
  ASSERT_EQ(entry->data->unknown_buckets.size(), kMany);
  EXPECT_EQ(entry->data->unknown_buckets[7], (std::pair<std::string, std::string>("7", "2")));
}

TEST(CacheFile, WhatIsNotOfThisSchemaIsAMiss) {
  constexpr const char* kFine = R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z"})";
  EXPECT_TRUE(read_cache_file(kFine));
  for (
      const char* text :
      {"", "{", "null", R"({"schema_version":2,"cached_at":"2026-11-20T10:00:00Z"})",
       R"({"schema_version":1.0,"cached_at":"2026-11-20T10:00:00Z"})",
       R"({"schema_version":1,"cached_at":"soon"})", R"({"cached_at":"2026-11-20T10:00:00Z"})",
       R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z","error":{}})",
       R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z","error":"Timeout"})",
       R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z","data":{"five_hour":1}})",
       R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z","data":{"unknown_buckets":null}})",
       R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z","data":{"limits":{}}})",
       R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z","data":{"limits":[3]}})",
       R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z",)"
       R"("data":{"limits":[{"kind":"session","percent":1,"percent":1}]}})",
       R"({"schema_version":1,"schema_version":1,"cached_at":"2026-11-20T10:00:00Z"})"}) {
    EXPECT_FALSE(read_cache_file(text)) << text;
  }
}

TEST(CacheFile, MembersItDoesNotKnowAreLeftOut) {
  const std::optional<CacheEntry> read = read_cache_file(
      R"({"schema_version":1,"cached_at":"2026-11-20T10:00:00Z","new":{},)"
      R"("data":{"new":1,"unknown_buckets":{"kept":1}},"error":{"code":"Timeout","more":2}})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->data->unknown_buckets.size(), 1u);
  EXPECT_EQ(read->error_code, "Timeout");
}

TEST(LockFile, WhatIsWrittenIsReadBack) {
  EXPECT_EQ(write_lock_file({5, {}}), "{\n  \"blocked_until\": 5\n}");
  const Lock lock = read_lock_file(write_lock_file({-7, "Timeout"}), {0, 0});
  EXPECT_EQ(lock.blocked_until, -7);
  EXPECT_EQ(lock.error, "Timeout");
}

TEST(LockFile, WhatCannotBeReadBlocksForThirtySecondsAfterItWasWritten) {
  for (const char* text :
       {"", "pid 4711\n", R"({"blocked_until":"soon"})", R"({"blocked_until":1.5})",
        R"({"blocked_until":1e3})", "{}", "\xff", R"({"blocked_until":1,"error":5})", "[]",
        "[1,null,2]", R"({"blocked_until":9223372036854775808})",
        R"({"blocked_until":1,"blocked_until":1})"}) {
    const Lock lock = read_lock_file(text, {1000, 999});
    EXPECT_EQ(lock.blocked_until, 1030) << text;
    EXPECT_FALSE(lock.error) << text;
  }
  EXPECT_EQ(read_lock_file("", {-1000, 0}).blocked_until, 30);
  EXPECT_EQ(read_lock_file("[5]", {1000, 0}).blocked_until, 5);
  EXPECT_EQ(read_lock_file(R"({"blocked_until":5,"error":null,"x":1})", {1000, 0}).blocked_until,
            5);
}

TEST(LockFile, IsBelievedForADayAtMost) {
  EXPECT_EQ(capped({9'000'000'000, {}}, {1000, 0}).blocked_until, 1000 + 86'400);
  EXPECT_EQ(capped({1001, {}}, {1000, 0}).blocked_until, 1001);
}

TEST(PrettyJson, LaysOutAsSerdeJsonDoes) {
  EXPECT_EQ(core::pretty_json(R"({"a":[1,{"b":"x,\"]}"}],"c":{},"d":[ ],"e":null})"),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,\\\"]}\"\n    }\n  ],\n"
            "  \"c\": {},\n  \"d\": [],\n  \"e\": null\n}");
  EXPECT_EQ(core::pretty_json("3"), "3");
}

}  // namespace
}  // namespace satchel::cascade
