#include "cascade/transcript_line.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "cascade/transcript_string.hpp"

namespace satchel::cascade {
namespace {

// A line with what stands behind it in a buffer.
class Line {
 public:
  explicit Line(std::string text) : text_(std::move(text) + "\n") {
    size_ = text_.size();
    text_.append(kTranscriptPadding, '"');
    const char* at = text_.data();
    const char* const end = at + size_;
    line_ = reader_.read(at, end);
    EXPECT_EQ(at, end) << "the next line begins behind the line feed";
  }
  [[nodiscard]] bool counts() const { return line_ != nullptr; }
  const TranscriptLine* operator->() const { return line_; }

 private:
  std::string text_;
  std::size_t size_ = 0;
  TranscriptLineReader reader_;
  const TranscriptLine* line_ = nullptr;
};

const std::string kTime = R"("timestamp":"2026-11-20T10:30:00Z")";

// A record with these members beside its time and an empty message.
std::string with(const std::string& members) {
  return "{" + kTime + R"(,"message":{})" + (members.empty() ? "" : "," + members) + "}";
}
std::string with_message(const std::string& message) {
  return "{" + kTime + R"(,"message":)" + message + "}";
}
std::string with_usage(const std::string& usage) {
  return with_message(R"({"usage":)" + usage + "}");
}

// Each of these was given to serde_json 1.0.149 with the reference's record.
TEST(TranscriptLineTest, CountsWhatSerdeReads) {
  const std::string deep(5'000, '[');
  for (const std::string& line : std::vector<std::string>{
           with(""),
           " \t\r{ \"message\" : { } , " + kTime + " }\r",
           R"({"message":{},"timestamp":"2026-11-20T10:30:00+01:00"})",
           R"({"message":{},"timestamp":"2026-11-20 10:30:00-03"})",
           R"({"message":{},"timest\u0061mp":"2026-11-20T10:30:00\u005a"})",
           with(R"("usageLimitResetTime":null)"),
           with(R"("usageLimitResetTime":"2026-11-20T10:30:00Z")"),
           with(R"("x":1,"x":2)"),
           with(R"("x":"\ud800 \udc00\ud800")"),
           with(R"("x":{"\ud800":1,"a":[],"a":{}})"),
           with(R"("x":[0,-0,1.5,1e5,1E+5,1e-5,-1.25e400,123456789012345678901234567890])"),
           with(R"("x":[true,false,null,"",[[]],{"a":{}}])"),
           with(R"("x":"\"\\\/\b\f\n\r\t\u00e9\u00E9")"),
           with(R"("x":)" + deep + std::string(deep.size(), ']')),
           with("\"x\":\"\xff\xc3\""),
           with("\"\xff\":1"),
           with("\"x\":\"\x7f\""),
           with(R"("requestId":5)"),
           with_message("[]"),
           with_message("[null,null,null]"),
           with_message(R"([[1,2,3,4],"model","id"])"),
           with_message(R"({"id":null,"model":null,"usage":null})"),
           with_message(R"({"content":[{"type":"text"}],"role":"user"})"),
           with_usage("[]"),
           with_usage("[1]"),
           with_usage("{}"),
           with_usage(R"({"input_tokens":18446744073709551615})"),
           with_usage(R"({"cache_creation":null,"cache_creation":"x"})"),
           with_usage(R"({"other":1,"other":2})"),
           R"(["2026-11-20T10:30:00Z",{}])",
           R"(["2026-11-20T10:30:00Z",[],null])",
           R"([ "2026-11-20T10:30:00Z" , {} , "2026-11-20T10:30:00Z" ])",
       }) {
    EXPECT_TRUE(Line(line).counts()) << line.substr(0, 200);
  }
}

TEST(TranscriptLineTest, DoesNotCountWhatSerdeRefuses) {
  for (const std::string& line : std::vector<std::string>{
           "",
           " ",
           "null",
           "{}",
           "[]",
           "\xef\xbb\xbf" + with(""),
           with("") + "x",
           with("") + " {}",
           with("") + ",",
           "{" + kTime + "}",
           R"({"message":{}})",
           R"({"message":{},"timestamp":null})",
           R"({"message":{},"timestamp":1795170600})",
           R"({"message":{},"timestamp":"2026-11-20T10:30:00"})",
           R"({"message":{},"timestamp":"2026-02-30T10:30:00Z"})",
           R"({"message":{},"timestamp":"2026-11-20T10:30:00Z ")"
           "}",
           with(kTime),
           with(R"("message":{})"),
           with(R"("usageLimitResetTime":"")"),
           with(R"("usageLimitResetTime":5)"),
           with(R"("usageLimitResetTime":null,"usageLimitResetTime":null)"),
           with(R"("\ud800":1)"),
           with(R"("x")"),
           with(R"("x":)"),
           with(R"("x":1,)"),
           with(R"(x:1)"),
           with(R"("x":[1,])"),
           with(R"("x":{"a":1,})"),
           with(R"("x":[1 2])"),
           with(R"("x":{"a" 1})"),
           with(R"("x":{1:1})"),
           with(R"("x":[})"),
           with(R"("x":{])"),
           with(R"("x":[)"),
           with(R"("x":01)"),
           with(R"("x":-)"),
           with(R"("x":+1)"),
           with(R"("x":1.)"),
           with(R"("x":.5)"),
           with(R"("x":1e)"),
           with(R"("x":NaN)"),
           with(R"("x":nul)"),
           with(R"("x":"\x")"),
           with(R"("x":"\u12g4")"),
           with(R"("x":"\u123")"),
           with("\"x\":\"\t\""),
           with(std::string("\"x\":\"\0\"", 7)),
           with("\"x\":\"\\\t\""),
           with("\xff"),
           with("\"x\":\"open"),
           with("\"x\":\"" + std::string(100, 'x') + "\\"),
           with_message("null"),
           with_message("5"),
           with_message("\"text\""),
           with_message(R"([null,null,null,null])"),
           with_message(R"([null,])"),
           with_message(R"({"id":1})"),
           with_message(R"({"id":"\ud800"})"),
           with_message(R"({"id":"\udc00\ud800"})"),
           with_message(R"({"model":["m"]})"),
           with_message(R"({"id":"a","id":"a"})"),
           with_message(R"({"model":null,"model":null})"),
           with_message(R"({"usage":null,"usage":null})"),
           with_message(R"({"us\u0061ge":null,"usage":null})"),
           with_usage("5"),
           with_usage("[1,2,3,4,5]"),
           with_usage("[null]"),
           with_usage(R"({"input_tokens":null})"),
           with_usage(R"({"input_tokens":-1})"),
           with_usage(R"({"input_tokens":-0})"),
           with_usage(R"({"input_tokens":1.0})"),
           with_usage(R"({"input_tokens":1e2})"),
           with_usage(R"({"input_tokens":01})"),
           with_usage(R"({"input_tokens":"1"})"),
           with_usage(R"({"input_tokens":18446744073709551616})"),
           with_usage(R"({"input_tokens":99999999999999999999999})"),
           with_usage(R"({"output_tokens":1,"output_tokens":1})"),
           R"(["2026-11-20T10:30:00Z"])",
           R"(["2026-11-20T10:30:00Z",{},null,1])",
           R"(["2026-11-20T10:30:00Z",{},])",
       }) {
    EXPECT_FALSE(Line(line).counts()) << line.substr(0, 200);
  }
}

TEST(TranscriptLineTest, SaysWhatTheLineSays) {
  const Line line(
      R"({"requestId":"req_1","timestamp":"2026-11-20T10:30:00.25Z","message":{"id":"msg_1",)"
      R"("model":"claude","usage":{"output_tokens":2,"input_tokens":1,)"
      R"("cache_read_input_tokens":4,"cache_creation_input_tokens":3,)"
      R"("cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":5}}}})");
  ASSERT_TRUE(line.counts());
  EXPECT_EQ(line->time, (core::Timestamp{1'795'170'600, 250'000'000}));
  EXPECT_EQ(line->id, "msg_1");
  EXPECT_EQ(line->request_id, "req_1");
  EXPECT_EQ(line->model, "claude");
  EXPECT_EQ(line->usage, (MessageTokens{1, 2, 3, 5, 4}));
}

TEST(TranscriptLineTest, WhatIsNotThereIsNotThere) {
  const Line line(with_message(R"({"id":null,"model":null,"usage":null})"));
  ASSERT_TRUE(line.counts());
  EXPECT_FALSE(line->id);
  EXPECT_FALSE(line->request_id);
  EXPECT_FALSE(line->model);
  EXPECT_FALSE(line->usage);
}

TEST(TranscriptLineTest, NothingIsLeftOfTheLineBefore) {
  std::string text = R"({"requestId":"r","timestamp":"2026-11-20T10:30:00Z","message":)"
                     R"({"id":"i","model":"m","usage":{"input_tokens":1}}})"
                     "\n" +
                     with("") + "\n";
  const std::size_t size = text.size();
  text.append(kTranscriptPadding, ' ');
  TranscriptLineReader reader;
  const char* at = text.data();
  ASSERT_NE(reader.read(at, text.data() + size), nullptr);
  const TranscriptLine* const second = reader.read(at, text.data() + size);
  ASSERT_NE(second, nullptr);
  EXPECT_FALSE(second->id || second->request_id || second->model || second->usage);
}

TEST(TranscriptLineTest, TextsAreWithoutTheirEscapesAndWithoutWhatIsNoUtf8) {
  const Line line(R"({"requestId":"\u0072\n\ud83d\ude00","timestamp":"2026-11-20T10:30:00Z",)"
                  "\"message\":{\"id\":\"\xff\\u00e9\xe2\x82\",\"model\":\"gr\xc3\xbcn\"}}");
  ASSERT_TRUE(line.counts());
  EXPECT_EQ(line->request_id, "r\n\xf0\x9f\x98\x80");
  EXPECT_EQ(line->id, "\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd");
  EXPECT_EQ(line->model, "gr\xc3\xbcn");
}

TEST(TranscriptLineTest, ARequestIdOfAnotherTypeIsNone) {
  for (const char* value : {"null", "5", "{}", "[\"r\"]", "true"}) {
    const Line line(with(std::string(R"("requestId":"old","requestId":)") + value));
    ASSERT_TRUE(line.counts()) << value;
    EXPECT_FALSE(line->request_id) << value;
  }
  EXPECT_TRUE(Line(with(R"("requestId":"\ud800")"))->request_id);
}

TEST(TranscriptLineTest, TokensWrittenForAnHourNeverRefuseALine) {
  const auto one_hour = [](const std::string& value) -> std::uint64_t {
    const Line line(with_usage(R"({"input_tokens":1,"cache_creation":)" + value + "}"));
    EXPECT_TRUE(line.counts()) << value;
    return line.counts() ? line->usage->cache_creation_1h : 99;
  };
  EXPECT_EQ(one_hour(R"( { "a" : [ 1 , { "ephemeral_1h_input_tokens" : 3 } ] , )"
                     R"("ephemeral_1h_input_tokens" : 7 } )"),
            7U);
  EXPECT_EQ(one_hour("{}"), 0U);
  for (const char* value :
       {"null", "7", "-7", "\"7\"", "[7]", "{\"7\":7}", "7.0", "7e0", "18446744073709551616"}) {
    EXPECT_EQ(one_hour(std::string(R"({"ephemeral_1h_input_tokens":)") + value + "}"),
              std::string(value) == "7" ? 7U : 0U)
        << value;
    EXPECT_EQ(one_hour(value), 0U) << value;
  }
}

TEST(TranscriptLineTest, StringsEndAtTheSamePlaceOnEveryProcessor) {
  std::mt19937 random(7);
  static const std::string kParts[] = {
      "\\\\", "\\\"", "\\n",      "\\/", "\\u00e9", "\\u12x4",         "\\x",
      "\"",   "a",    "\xc3\xa9", "\t",  "\\",      "xxxxxxxxxxxxxxxx"};
  unsigned ends = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text(random() % 130, 'x');
    // Mostly what may stand in a string, so that the end is reached now and then.
    for (unsigned left = random() % 12; left > 0; --left) {
      const bool any = random() % 20 == 0;
      text += kParts[random() % (any ? std::size(kParts) : 5)];
    }
    text += "\"\n";
    const std::size_t size = text.size();
    text.append(kTranscriptPadding, '\\');
    const char* const portable = behind_string_portable(text.data());
    ASSERT_EQ(behind_string(text.data()), portable) << text;

    // One byte after the other.
    const char* expected = nullptr;
    for (std::size_t i = 0; i < size; ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c == '"') {
        expected = text.data() + i + 1;
        break;
      }
      if (c < 0x20) break;
      if (c != '\\') continue;
      ++i;
      if (text[i] == 'u') {
        if (text.substr(i + 1, 4).find_first_not_of("0123456789abcdefABCDEF") !=
            std::string::npos) {
          break;
        }
        i += 4;
      } else if (std::string("\"\\/bfnrt").find(text[i]) == std::string::npos) {
        break;
      }
    }
    ASSERT_EQ(portable, expected) << text;
    ends += expected != nullptr ? 1U : 0U;
  }
  EXPECT_GT(ends, 50'000U);
}

}  // namespace
}  // namespace satchel::cascade
