#include <cjson/cJSON.h>

#include "transcript_fixture.hpp"

namespace satchel::cascade {
namespace {

class DiskTranscriptsReportTest : public TranscriptFixture {
 protected:
  std::string report(const ReportRange& range = {}, core::Timestamp now = kNow) {
    core::Result<std::string> report = open()->report(now, range);
    return report ? *report : "error: " + report.error().message;
  }
  static std::string message(const char* time, const std::string& model,
                             const MessageTokens& tokens, const std::string& id = {}) {
    Message message;
    message.id = id;
    message.model = model;
    message.tokens = tokens;
    return line_of(*core::parse_timestamp(time), message);
  }
  static std::optional<core::Timestamp> time(const char* text) {
    return core::parse_timestamp(text);
  }
  // A part of a report, compact.
  static std::string part(const std::string& report, const std::string& name) {
    cJSON* const root = cJSON_Parse(report.c_str());
    if (root == nullptr) return "no JSON: " + report;
    char* const text = cJSON_PrintUnformatted(cJSON_GetObjectItem(root, name.c_str()));
    std::string copy = text == nullptr ? "none" : text;
    cJSON_free(text);
    cJSON_Delete(root);
    return copy;
  }
  static std::string inputs_of_days(const std::string& report) {
    cJSON* const root = cJSON_Parse(report.c_str());
    std::string text;
    const cJSON* day = nullptr;
    cJSON_ArrayForEach(day, cJSON_GetObjectItem(root, "days")) {
      text += std::string(cJSON_GetObjectItem(day, "day")->valuestring) + '=' +
              std::to_string(static_cast<int>(cJSON_GetObjectItem(day, "input")->valuedouble)) +
              ' ';
    }
    cJSON_Delete(root);
    return text;
  }
};

TEST_F(DiskTranscriptsReportTest, SaysItAll) {
  write("p/a.jsonl", message("2026-11-20T10:15:00Z", "opus", {1, 2, 3, 1, 4}, "i") +
                         message("2026-11-20T10:15:00Z", "opus", {1, 2, 3, 1, 4}, "i") +
                         message("2026-11-20T10:20:00Z", "haiku", {10, 20, 30, 0, 40}));
  append("p/a.jsonl", R"({"timestamp":"2026-11-20T10:30:00Z","message":{"role":"user"}})"
                      "\n"
                      R"({"timestamp":"2026-11-20T10:10:00.5Z","message":{"usage":{}}})"
                      "\n");
  const std::string sums = R"("input":11,"output":22,"cache_creation":33,"cache_creation_1h":1,)"
                           R"("cache_read":44,"messages":3)";
  const std::string models =
      R"("models":[{"model":null,"input":0,"output":0,"cache_creation":0,"cache_creation_1h":0,)"
      R"("cache_read":0,"messages":1},)"
      R"({"model":"haiku","input":10,"output":20,"cache_creation":30,"cache_creation_1h":0,)"
      R"("cache_read":40,"messages":1},)"
      R"({"model":"opus","input":1,"output":2,"cache_creation":3,"cache_creation_1h":1,)"
      R"("cache_read":4,"messages":1}])";
  EXPECT_EQ(report(), R"({"from":null,"to":null,"utc_offset_s":0,"total":{)" + sums +
                          R"(},"days":[{"day":"2026-11-20",)" + sums + ',' + models + "}]," +
                          models +
                          R"(,"blocks":[{"start":"2026-11-20T10:00:00Z",)"
                          R"("end":"2026-11-20T15:00:00Z","first":"2026-11-20T10:10:00.5Z",)"
                          R"("last":"2026-11-20T10:30:00Z","active":true,)" +
                          sums + ',' + models + "}]}");
}

TEST_F(DiskTranscriptsReportTest, WithoutTranscriptsThereIsNone) {
  core::Result<std::string> none = open()->report(kNow, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().status, core::Status::kUnavailable);
  EXPECT_EQ(none.error().reason, static_cast<int>(UsageError::kDirectoryMissing));
  std::filesystem::create_directories(path("p"));
  none = open()->report(kNow, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, static_cast<int>(UsageError::kNoEntries));
}

TEST_F(DiskTranscriptsReportTest, DaysAreThoseOfTheOffset) {
  write("p/a.jsonl", message("2026-11-19T23:59:59.999999999Z", "m", {1, 0, 0, 0, 0}) +
                         message("2026-11-20T00:00:00Z", "m", {2, 0, 0, 0, 0}) +
                         message("2026-11-20T18:14:59Z", "m", {4, 0, 0, 0, 0}) +
                         message("2026-11-20T18:15:00Z", "m", {8, 0, 0, 0, 0}) +
                         message("1969-12-31T23:00:00Z", "m", {16, 0, 0, 0, 0}));
  ReportRange range;
  EXPECT_EQ(inputs_of_days(report(range)), "1969-12-31=16 2026-11-19=1 2026-11-20=14 ");
  range.utc_offset_s = 5 * 3600 + 45 * 60;
  EXPECT_EQ(inputs_of_days(report(range)), "1970-01-01=16 2026-11-20=7 2026-11-21=8 ");
  range.utc_offset_s = -9 * 3600 - 30 * 60;
  EXPECT_EQ(inputs_of_days(report(range)), "1969-12-31=16 2026-11-19=3 2026-11-20=12 ");
}

TEST_F(DiskTranscriptsReportTest, AnOffsetThatCutsQuartersOfAnHourIsAnArgumentError) {
  ReportRange range;
  for (const std::int32_t offset : {1, -899, 86'401, 87'300, -87'300}) {
    range.utc_offset_s = offset;
    const core::Result<std::string> refused = open()->report(kNow, range);
    ASSERT_FALSE(refused) << offset;
    EXPECT_EQ(refused.error().status, core::Status::kArgument);
    EXPECT_NE(refused.error().message.find(std::to_string(offset)), std::string::npos);
  }
}

TEST_F(DiskTranscriptsReportTest, FromIsIncludedAndToIsNotToTheNanosecond) {
  write("p/a.jsonl", message("2026-11-20T10:00:00.000000009Z", "m", {1, 0, 0, 0, 0}) +
                         message("2026-11-20T10:00:00.00000001Z", "m", {2, 0, 0, 0, 0}) +
                         message("2026-11-20T10:29:59.999999999Z", "m", {4, 0, 0, 0, 0}) +
                         message("2026-11-20T10:30:00Z", "m", {8, 0, 0, 0, 0}));
  ReportRange range;
  range.from = time("2026-11-20T10:00:00.00000001Z");
  range.to = time("2026-11-20T10:30:00Z");
  EXPECT_EQ(inputs_of_days(report(range)), "2026-11-20=6 ");
  EXPECT_EQ(part(report(range), "from"), "\"2026-11-20T10:00:00.00000001Z\"");
  range.from.reset();
  EXPECT_EQ(inputs_of_days(report(range)), "2026-11-20=7 ");
  range.from = time("2026-11-20T10:30:00Z");
  EXPECT_EQ(inputs_of_days(report(range)), "") << "it ends where it begins";
  range.to.reset();
  EXPECT_EQ(inputs_of_days(report(range)), "2026-11-20=8 ");
}

TEST_F(DiskTranscriptsReportTest, BlocksThatOverlapTheRangeAreListedWhole) {
  write("p/a.jsonl", message("2026-11-18T10:10:00Z", "m", {1, 0, 0, 0, 0}) +
                         message("2026-11-19T10:10:00Z", "m", {2, 0, 0, 0, 0}) +
                         message("2026-11-19T14:10:00Z", "m", {4, 0, 0, 0, 0}) +
                         message("2026-11-20T10:10:00Z", "m", {8, 0, 0, 0, 0}));
  const auto blocks = [&](const char* from, const char* to) {
    ReportRange range;
    if (from != nullptr) range.from = time(from);
    if (to != nullptr) range.to = time(to);
    cJSON* const root = cJSON_Parse(report(range).c_str());
    std::string text;
    const cJSON* block = nullptr;
    cJSON_ArrayForEach(block, cJSON_GetObjectItem(root, "blocks")) {
      text += std::string(cJSON_GetObjectItem(block, "start")->valuestring).substr(8, 5) + '=' +
              std::to_string(static_cast<int>(cJSON_GetObjectItem(block, "input")->valuedouble)) +
              (cJSON_IsTrue(cJSON_GetObjectItem(block, "active")) ? "! " : " ");
    }
    cJSON_Delete(root);
    return text;
  };
  EXPECT_EQ(blocks(nullptr, nullptr), "18T10=1 19T10=6 20T10=8! ");
  EXPECT_EQ(blocks("2026-11-19T14:00:00Z", "2026-11-19T14:30:00Z"), "19T10=6 ");
  EXPECT_EQ(blocks("2026-11-19T14:59:59Z", "2026-11-20T10:00:00Z"), "19T10=6 ");
  EXPECT_EQ(blocks("2026-11-19T15:00:00Z", "2026-11-20T10:00:00.000000001Z"), "20T10=8! ");
  EXPECT_EQ(blocks(nullptr, "2026-11-19T10:00:00Z"), "18T10=1 ");
  EXPECT_EQ(blocks("2026-11-20T15:00:00Z", nullptr), "");
}

TEST_F(DiskTranscriptsReportTest, ABlockThatWentOnForLongerOverlapsUpToItsLastEntry) {
  write("p/a.jsonl", message("2026-11-19T10:00:00Z", "m", {1, 0, 0, 0, 0}) +
                         message("2026-11-19T14:30:00Z", "m", {2, 0, 0, 0, 0}) +
                         message("2026-11-19T19:00:00Z", "m", {4, 0, 0, 0, 0}));
  ReportRange range;
  range.from = time("2026-11-19T19:00:00Z");
  const std::string blocks = part(report(range), "blocks");
  EXPECT_NE(blocks.find(R"("end":"2026-11-19T15:00:00Z")"), std::string::npos) << blocks;
  EXPECT_NE(blocks.find(R"("input":7)"), std::string::npos) << blocks;
  range.from = time("2026-11-19T19:00:00.000000001Z");
  EXPECT_EQ(part(report(range), "blocks"), "[]");
}

TEST_F(DiskTranscriptsReportTest, SumsSaturate) {
  write("p/a.jsonl", message("2026-11-19T10:00:00Z", "m", {~std::uint64_t{0}, 0, 0, 0, 0}) +
                         message("2026-11-20T10:00:00Z", "m", {9, 0, 0, 0, 0}));
  EXPECT_NE(report().find(R"("total":{"input":18446744073709551615,)"), std::string::npos);
}

TEST_F(DiskTranscriptsReportTest, ManyModelsBecomeOthersAndNothingIsLost) {
  std::string lines;
  for (int i = 0; i < 3'000; ++i) {
    lines += message("2026-11-20T10:00:00Z", "m" + std::to_string(i), {1, 0, 0, 0, 0});
  }
  lines += message("2026-11-20T10:00:00Z", std::string(500, 'x'), {1, 0, 0, 0, 0});
  write("p/a.jsonl", lines);
  const std::string text = report();
  EXPECT_NE(text.find(R"("total":{"input":3001,)"), std::string::npos);
  EXPECT_NE(text.find(R"x({"model":"(other)","input":1001,)x"), std::string::npos);
}

TEST_F(DiskTranscriptsReportTest, IsTheSameForANewObjectAndAfterChanges) {
  write("p/a.jsonl", message("2026-11-19T10:00:00Z", "b", {1, 0, 0, 0, 0}));
  write("p/b.jsonl", message("2026-11-20T10:00:00Z", "a", {2, 0, 0, 0, 0}));
  const auto kept = open();
  const std::string before = *kept->report(kNow, {});
  write("p/c.jsonl", message("2026-11-20T10:00:00Z", "a", {4, 0, 0, 0, 0}));
  EXPECT_NE(*kept->report(kNow, {}), before);
  std::filesystem::remove(path("p/c.jsonl"));
  EXPECT_EQ(*kept->report(kNow, {}), before);
  EXPECT_EQ(report(), before);
}

}  // namespace
}  // namespace satchel::cascade
