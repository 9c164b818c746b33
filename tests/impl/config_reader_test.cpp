#include "core/config_reader.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace satchel::core {
namespace {

using std::string_view_literals::operator""sv;

struct Settings {
  bool on = false;
  std::int64_t count = 5;
  std::string name = "default";
  std::vector<std::string> list = {"x"};
  std::string inner;
  std::vector<std::string> named;
};

Result<void> reading(std::string_view text, Settings& settings) {
  return read_config(text, [&](ConfigReader& reader) {
    reader.boolean("on", settings.on);
    reader.integer("count", settings.count, 0, 100);
    reader.text("name", settings.name);
    reader.texts("list", settings.list);
    reader.object("nested", [&](ConfigReader& nested) { nested.text("inner", settings.inner); });
    reader.named_objects("named", [&](const std::string& name, ConfigReader& object) {
      bool flag = false;
      object.boolean("flag", flag);
      settings.named.push_back(name + (flag ? "+" : "-"));
    });
  });
}

std::string why_not(std::string_view text) {
  Settings settings;
  const auto read = reading(text, settings);
  if (read) return "accepted";
  EXPECT_EQ(read.error().status, Status::kConfig) << text;
  return read.error().message;
}

TEST(Config, NothingLeavesTheDefaults) {
  for (const std::string_view text : {"", "  \n", "{}", " { } "}) {
    Settings settings;
    ASSERT_TRUE(reading(text, settings)) << text;
    EXPECT_EQ(settings.name, "default");
    EXPECT_EQ(settings.list, std::vector<std::string>{"x"});
  }
}

TEST(Config, EveryKeyIsRead) {
  Settings settings;
  ASSERT_TRUE(
      reading(R"({"on":true,"count":1e2,"name":"é\n","list":["a","b"],"nested":{"inner":"i"},
                          "named":{"*":{},"m/1":{"flag":true}}})",
              settings));
  EXPECT_TRUE(settings.on);
  EXPECT_EQ(settings.count, 100);
  EXPECT_EQ(settings.name, "é\n");
  EXPECT_EQ(settings.list, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(settings.inner, "i");
  EXPECT_EQ(settings.named, (std::vector<std::string>{"*-", "m/1+"}));
}

TEST(Config, AnErrorNamesTheKeyByItsPath) {
  struct Row {
    std::string_view text;
    std::string_view message;
  };
  for (const Row& row :
       {Row{R"({"on":1})", "configuration: on: expected a boolean, got a number"},
        Row{R"({"on":null})", "configuration: on: expected a boolean, got null"},
        Row{R"({"count":"5"})", "configuration: count: expected an integer, got a string"},
        Row{R"({"count":1.5})", "configuration: count: expected an integer from 0 to 100"},
        Row{R"({"count":-1})", "configuration: count: expected an integer from 0 to 100"},
        Row{R"({"count":101})", "configuration: count: expected an integer from 0 to 100"},
        Row{R"({"count":1e300})", "configuration: count: expected an integer from 0 to 100"},
        Row{R"({"name":["x"]})", "configuration: name: expected a string, got an array"},
        Row{R"({"list":"x"})", "configuration: list: expected an array of strings, got a string"},
        Row{R"({"list":["x",2]})", "configuration: list[1]: expected a string, got a number"},
        Row{R"({"nested":[]})", "configuration: nested: expected an object, got an array"},
        Row{R"({"nested":{"inner":true}})",
            "configuration: nested.inner: expected a string, got a boolean"},
        Row{R"({"nested":{"other":1}})",
            "configuration: nested.other: unknown key; known are inner"},
        Row{R"({"named":{"m":1}})", "configuration: named.m: expected an object, got a number"},
        Row{R"({"named":{"m":{"flag":2}}})",
            "configuration: named.m.flag: expected a boolean, got a number"},
        Row{R"({"named":{"m":{"x":2}}})", "configuration: named.m.x: unknown key; known are flag"},
        Row{R"({"onn":true})",
            "configuration: onn: unknown key; known are on, count, name, list, nested, named"},
        Row{R"({"On":true})",
            "configuration: On: unknown key; known are on, count, name, list, nested, named"}}) {
    EXPECT_EQ(why_not(row.text), row.message) << row.text;
  }
}

TEST(Config, AKeyGivenTwiceIsAnError) {
  EXPECT_EQ(why_not(R"({"on":true,"on":false})"), "configuration: on: given twice");
  EXPECT_EQ(why_not(R"({"nested":{"inner":"a","inner":"b"}})"),
            "configuration: nested.inner: given twice");
  EXPECT_EQ(why_not(R"({"named":{"m":{},"m":{}}})"), "configuration: named.m: given twice");
}

TEST(Config, WhatIsNoJsonObjectIsAnError) {
  EXPECT_EQ(why_not("{\"on\":tru}"), "configuration: not JSON at byte 6");
  EXPECT_EQ(why_not("[]"), "configuration: expected an object, got an array");
  EXPECT_EQ(why_not("null"), "configuration: expected an object, got null");
  EXPECT_EQ(why_not("{} x"), "configuration: text after the JSON object at byte 2");
  for (const std::string_view text :
       {"{", "{\"on\"", "{\"on\":}", "{on:true}", "{\"on\":true,}", "}"}) {
    EXPECT_NE(why_not(text), "accepted") << text;
  }
}

TEST(Config, TheFirstThingThatIsWrongIsTold) {
  EXPECT_EQ(why_not(R"({"zzz":1,"name":2,"on":3})"),
            "configuration: on: expected a boolean, got a number");
}

TEST(Config, ATextIsBoundedByItsLengthAndNotByAZero) {
  const std::string_view text = R"({"on":true}garbage)";
  Settings settings;
  EXPECT_TRUE(reading(text.substr(0, 11), settings));
  EXPECT_NE(why_not("{\"on\":true}\0x"sv), "accepted");
}

// The library beneath keeps texts as C strings: without care, what stands behind a zero is lost.
TEST(Config, AZeroByteInANameOrAValueIsNotSilentlyTheEndOfIt) {
  EXPECT_NE(why_not(R"({"name":"/data\u0000/other"})"), "accepted");
  EXPECT_NE(why_not(R"({"on\u0000x":true})"), "accepted");
  EXPECT_NE(why_not(R"({"list":["a\u0000b"]})"), "accepted");
  EXPECT_NE(why_not("{\"name\":\"a\0b\"}"sv), "accepted");
  EXPECT_EQ(why_not(R"({"name":"C:\\u0000"})"), "accepted");  // a backslash and a word
}

}  // namespace
}  // namespace satchel::core
